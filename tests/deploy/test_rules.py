"""The rules, by Prometheus' own tool: each alert fires when it should and not before, and has its runbook."""

import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.expressions import ROOT, RULES, names, rules
from tests.programs import program

HUB = {"job": "earwitness-hub", "instance": "hub:8080"}
ONE = {"site": "demo", "sensor": "street-1"}
PAGES = ("page", "ticket", "none")
DEVICE = {"job": "earwitness-edge", "instance": "127.0.0.1:9470"}


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


@dataclass(frozen=True, slots=True)
class Case:
    """An alert, what the hubs exported minute by minute, and when it fires and when it does not.

    Args:
        series: by name and further labels, values as promtool writes them: `0+5x60` is 0, 5, 10, ...
        fires: by labels other than its severity, at this minute.
        quiet: minutes at which it does not.
    """

    alert: str
    series: dict[str, str]
    fires: int
    labels: tuple[dict[str, str], ...]
    quiet: tuple[int, ...] = (1,)
    hub: dict[str, str] = field(default_factory=lambda: HUB)

    def document(self) -> dict[str, Any]:
        asked = f'ALERTS{{alertname="{self.alert}", alertstate="firing"}}'
        severity = ALERTS[self.alert]["labels"]["severity"]
        exported_metrics = [
            {
                "labels": name_of("ALERTS", alertname=self.alert, alertstate="firing", severity=severity, **own),
                "value": 1,
            }
            for own in self.labels
        ]
        return {
            "interval": "1m",
            "name": self.alert,
            "input_series": [{"series": with_hub(name, self.hub), "values": v} for name, v in self.series.items()],
            "promql_expr_test": [
                {"expr": asked, "eval_time": f"{self.fires}m", "exp_samples": exported_metrics},
                *({"expr": asked, "eval_time": f"{minute}m", "exp_samples": []} for minute in self.quiet),
            ],
        }


def name_of(metric: str, **labels: str) -> str:
    inner = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{metric}{{{inner}}}"


def with_hub(series: str, hub: dict[str, str]) -> str:
    """A series with the labels that scraping adds."""
    name, _, inner = series.partition("{")
    own = dict(re.findall(r'(\w+)="([^"]*)"', inner))
    return name_of(name, **own, **hub)


def sensor(metric: str, **labels: str) -> str:
    return name_of(f"earwitness_sensor_{metric}", **ONE, **labels)


def edge(name: str, values: str, fires: int, quiet: tuple[int, ...], *, alert: str) -> Case:
    """A case of an alert that one sensor's own metric raises."""
    series = {name_of(f"earwitness_edge_{name}", **ONE): values}
    return Case(f"EarwitnessEdge{alert}", series, fires, ({**DEVICE, **ONE},), quiet, DEVICE)


def states(silent: int, online: int, values: str) -> dict[str, str]:
    """States of many sensors: some go silent as in `values`, the others do not."""
    exported_metrics = {}
    for number in range(silent + online):
        for state in ("online", "silent"):
            name = name_of("earwitness_sensor_state", site="demo", sensor=f"s-{number}", state=state)
            well = "1+0x60" if state == "online" else "0+0x60"
            exported_metrics[name] = values if state == "silent" and number < silent else well
            if state == "online" and number < silent:
                exported_metrics[name] = " ".join("0" if value == "1" else "1" for value in values.split())
    return exported_metrics


LATER = " ".join(["0"] * 10 + ["1"] * 50)
CASES = [
    Case("EarwitnessHubDown", {"up": "1x10 0x20"}, 14, (HUB,), (5, 11)),
    Case("EarwitnessHubDown", {'up{job="prometheus"}': "1x30"}, 14, ({"job": "earwitness-hub"},), (), {}),
    Case(
        "EarwitnessNoHeartbeat",
        {"earwitness_hub_last_heartbeat_timestamp_seconds": "0+60x10 600x20"},
        18,
        (HUB,),
        (12,),
    ),
    Case("EarwitnessBrokerAway", {"earwitness_hub_broker_connected": "1x5 0x20"}, 10, (HUB,), (7,)),
    Case(
        "EarwitnessQueueGrowing",
        {"earwitness_hub_messages_in_flight": "0x10 200x40", "earwitness_hub_messages_in_flight_limit": "256x50"},
        *(30, (HUB,), (15,)),
    ),
    Case(
        "EarwitnessQueueGrowing", {"earwitness_hub_backpressure_disconnects_total": "0x10 0+1x30"}, 24, (HUB,), (10,)
    ),
    Case(
        "EarwitnessAlertsLate",
        {
            'earwitness_hub_alert_latency_seconds_bucket{le="3"}': "0+0x100",
            'earwitness_hub_alert_latency_seconds_bucket{le="10"}': "0+1x100",
            'earwitness_hub_alert_latency_seconds_bucket{le="+Inf"}': "0+1x100",
            "earwitness_hub_alert_latency_seconds_count": "0+1x100",
        },
        *(60, ({},), (5, 30)),
    ),
    Case(
        "EarwitnessAlertsLate",
        {
            'earwitness_hub_alert_latency_seconds_bucket{le="3"}': "0x100",
            'earwitness_hub_alert_latency_seconds_bucket{le="10"}': "0x5 1x100",
            'earwitness_hub_alert_latency_seconds_bucket{le="+Inf"}': "0x5 1x100",
            "earwitness_hub_alert_latency_seconds_count": "0x5 1x100",
        },
        *(60, (), (30, 90)),
    ),
    Case(
        "EarwitnessHubNotTaking",
        {"earwitness_hub_ready": "1x5 0x60", "earwitness_store_up": "1x65"},
        *(40, (HUB,), (30,)),
    ),
    Case("EarwitnessBrokerAway", {"earwitness_hub_broker_connected": " ".join(["NaN"] * 20)}, 10, (), (15,)),
    Case(
        "EarwitnessNoHeartbeat",
        {"earwitness_hub_last_heartbeat_timestamp_seconds": " ".join(["NaN"] * 20)},
        10,
        (),
        (15,),
    ),
    Case("EarwitnessHubRestarting", {"process_start_time_seconds": "0x10 700 760 820 880x10"}, 14, (HUB,), (10,)),
    Case(
        "EarwitnessCertificateEnds",
        {'earwitness_hub_certificate_expiry_timestamp_seconds{certificate="broker"}': f"{31 * 86_400}x2000"},
        *(1_600, ({"certificate": "broker"},), (1_400,)),
    ),
    Case(
        "EarwitnessProbeStale",
        {
            'earwitness_hub_probe_success_timestamp_seconds{probe="store"}': "0+60x10 600x30",
            "earwitness_store_up": "1x40",
        },
        *(20, ({**HUB, "probe": "store"},), (12,)),
    ),
    Case(
        "EarwitnessProbeStale",
        {
            'earwitness_hub_probe_success_timestamp_seconds{probe="store"}': "0+60x10 600x30",
            "earwitness_store_up": "0x40",
        },
        *(20, (), (30,)),
    ),
    Case(
        "EarwitnessDiskFull",
        {
            'earwitness_hub_disk_free_bytes{folder="clips"}': "50x5 9x30",
            'earwitness_hub_disk_size_bytes{folder="clips"}': "100x35",
        },
        *(20, ({**HUB, "folder": "clips"},), (8,)),
    ),
    Case("EarwitnessNothingArchived", {"earwitness_hub_ingest_stalled_seconds": "0x5 0+60x30"}, 20, (HUB,), (5, 11)),
    Case(
        "EarwitnessNothingArchived",
        {"earwitness_hub_ingest_stalled_seconds": "0x5 0+60x30", "earwitness_store_up": "0x40"},
        *(20, (), (30,)),
    ),
    Case(
        "EarwitnessWorkerRestarting",
        {'earwitness_hub_worker_restarts_total{worker="follow"}': "0x5 1x100"},
        *(8, ({**HUB, "worker": "follow"},), (4, 70)),
    ),
    Case(
        "EarwitnessClipsFailing",
        {'earwitness_hub_audio_file_failures_total{operation="write"}': "0x5 1x100"},
        *(8, ({**HUB, "operation": "write"},), (4, 50)),
    ),
    edge("broker_connected", "1x5 0x60", 40, (4, 30), alert="Offline"),
    edge("source_failing", "0x5 1x60", 15, (4, 8), alert="SourceFailing"),
    edge("spool_events_set_aside", "0x5 2x60", 20, (4, 10), alert="EventsSetAside"),
    edge("sessions_taken_over_total", "0x5 1x10 4x100", 18, (8, 70), alert="NameTaken"),
    edge("unexpected_errors_total", "0x5 1x100", 8, (4, 80), alert="Errors"),
    Case(
        "EarwitnessEdgeClipsLost",
        {
            name_of("earwitness_edge_clips_dropped_total", **ONE): "0x5 3x100",
            name_of("earwitness_edge_spool_events_lost_total", **ONE): "0x100",
        },
        *(8, ({**DEVICE, **ONE},), (4, 60), DEVICE),
    ),
    Case(
        "EarwitnessEdgeSpoolFilling",
        {
            name_of("earwitness_edge_spool_bytes", **ONE): "10x5 90x60",
            name_of("earwitness_edge_spool_limit_bytes", **ONE): "100x65",
        },
        *(20, ({**DEVICE, **ONE},), (4, 10), DEVICE),
    ),
    Case("EarwitnessStoreAway", {"earwitness_store_up": "1x5 0x20"}, 10, (HUB,), (6,)),
    Case(
        "EarwitnessStoreMemory",
        {"earwitness_store_memory_used_bytes": "50x5 90x30", "earwitness_store_memory_limit_bytes": "100x35"},
        *(20, ({},), (8,)),
    ),
    Case("EarwitnessStoreNotDurable", {"earwitness_store_aof_healthy": "1x5 0x30"}, 25, ({},), (10,)),
    Case(
        "EarwitnessRetentionBehind",
        {
            "earwitness_store_oldest_event_timestamp_seconds": "0x3000",
            "earwitness_store_retention_seconds": "3600x3000",
        },
        *(1_600, ({},), (1_400,)),
    ),
    Case("EarwitnessRetentionRefused", {"earwitness_hub_retention_paused": "0x5 1x30 0x30"}, 25, ({},), (10, 18, 45)),
    Case("EarwitnessSensorClockWrong", {sensor("clock_skew_seconds"): "100x5 7200x40"}, 20, (ONE,), (4, 10)),
    Case("EarwitnessSensorClockWrong", {sensor("clock_skew_seconds"): "-100x5 -7200x40"}, 20, (ONE,), (4, 10)),
    Case("EarwitnessDeadLetters", {"earwitness_store_dead_letters": "0x5 3x30"}, 20, ({},), (8,)),
    Case(
        "EarwitnessDeadLettersNearLimit",
        {"earwitness_store_dead_letters_bytes": "10x5 81x30", "earwitness_store_dead_letters_limit_bytes": "100x35"},
        *(8, ({},), (3,)),
    ),
    Case(
        "EarwitnessMessagesQuarantined", {"earwitness_hub_messages_quarantined_total": "0x5 1x100"}, 8, ({},), (4, 70)
    ),
    Case(
        "EarwitnessAlertsUnpublished", {"earwitness_store_alerts_unpublished": "0x9 1 0x5 2x40"}, 45, ({},), (12, 20)
    ),
    Case(
        "EarwitnessNotifierFailing",
        {
            'earwitness_hub_notifications_total{channel="chat", outcome="retried"}': "0x5 0+1x40",
            'earwitness_hub_notifications_total{channel="chat", outcome="sent"}': "5x45",
            'earwitness_hub_notifications_total{channel="mail", outcome="retried"}': "0x5 0+1x40",
            'earwitness_hub_notifications_total{channel="mail", outcome="sent"}': "0+1x45",
        },
        *(20, ({"channel": "chat"},), (5,)),
    ),
    Case(
        "EarwitnessNotificationsDead",
        {'earwitness_store_notification_dead_letters{channel="mail"}': "0x5 1x30"},
        *(20, ({"channel": "mail"},), (8,)),
    ),
    Case(
        "EarwitnessSensorSilent", states(2, 8, LATER), 20, tuple({"site": "demo", "sensor": f"s-{n}"} for n in (0, 1))
    ),
    Case("EarwitnessManySensorsSilent", states(6, 4, LATER), 20, ({},), (9,)),
    Case("EarwitnessSensorSilent", states(6, 4, LATER), 9, (), (20,)),
    Case("EarwitnessManySensorsSilent", states(2, 1, LATER), 9, (), (20,)),
    Case("EarwitnessManySensorsSilent", states(3, 0, LATER), 20, ({},), (9,)),
    Case("EarwitnessSensorSpoolFilling", {sensor("spool_used_ratio"): "0.5x10 0.9x40"}, 25, (ONE,), (15,)),
    Case("EarwitnessSensorDropsClips", {sensor("clips_dropped_total"): "0x10 3x100"}, 20, (ONE,), (9, 80)),
    Case(
        "EarwitnessSensorCertificateEnds",
        {sensor("certificate_expiry_timestamp_seconds"): f"{31 * 86_400}x2000"},
        *(1_600, (ONE,), (1_400,)),
    ),
    Case("EarwitnessSensorsLeftOut", {"earwitness_store_sensors_unexported": "0x5 3x100"}, 80, ({},), (30,)),
    Case(
        "EarwitnessMonitoringBroken",
        {'up{job="alertmanager"}': "1x5 0x20"},
        *(15, ({"job": "alertmanager"},), (8,), {}),
    ),
    Case("EarwitnessWatchdog", {"up": "1x5"}, 3, ({},), ()),
    # Two hubs export the same of what they share: it is counted once.
    Case(
        "EarwitnessDeadLetters",
        {"earwitness_store_dead_letters": "0x5 3x30", 'earwitness_store_dead_letters{replica="2"}': "0x5 3x30"},
        *(20, ({},), (8,)),
    ),
    Case(
        "EarwitnessSensorSilent",
        {
            sensor("state", state="silent"): "0x5 1x10 _x10 1x30",
            sensor("state", state="silent", replica="2"): "0x5 1x10 _x10 1x30",
            sensor("state", state="online"): "1x5 0x10 _x10 0x30",
        },
        *(22, (ONE,), (4,)),
    ),
    Case(
        "EarwitnessMicrophoneDead",
        {
            sensor("last_event_timestamp_seconds"): "0+60x120",
            sensor("last_signal_timestamp_seconds"): "0+60x10 600x110",
            sensor("last_level_change_timestamp_seconds"): "0+60x120",
        },
        *(60, (ONE,), (30,)),
    ),
    Case(
        "EarwitnessMicrophoneDead",
        {
            sensor("last_event_timestamp_seconds"): "0+60x600",
            sensor("last_signal_timestamp_seconds"): "0+60x600",
            sensor("last_level_change_timestamp_seconds"): "0+60x10 600x600",
        },
        *(400, (ONE,), (300,)),
    ),
    Case("EarwitnessDeliveryGaps", {sensor("events_missing"): "4x60 9x120"}, 80, (ONE,), (62, 150)),
    Case(
        "EarwitnessDeliveryLate",
        {
            'earwitness_hub_event_delivery_delay_seconds_bucket{le="60.0"}': "0+6x120",
            "earwitness_hub_event_delivery_delay_seconds_count": "0+10x120",
        },
        *(100, ({},), (20,)),
    ),
    Case(
        "EarwitnessRecallLow",
        {
            'earwitness_hub_search_recall_ratio{space="vggish"}': "1x10 0.9x100",
            "earwitness_hub_search_recall_target_ratio": "0.99x110",
        },
        *(90, ({**HUB, "space": "vggish"},), (60,)),
    ),
    Case(
        "EarwitnessPresenceDrift",
        {'earwitness_model_presence_psi{space="vggish", category="dog", reference="deployment"}': "0.1x10 0.4x500"},
        *(400, ({"space": "vggish", "category": "dog", "reference": "deployment"},), (300,)),
    ),
    Case(
        "EarwitnessEmbeddingDrift",
        {'earwitness_model_embedding_psi{space="vggish", reference="deployment"}': "0.1x10 0.4x500"},
        *(400, ({"space": "vggish", "reference": "deployment"},), (300,)),
    ),
    Case(
        "EarwitnessMatchProbabilityDrift",
        {"earwitness_model_match_probability_psi": "0.1x10 0.4x500"},
        400,
        ({},),
        (300,),
    ),
    Case(
        "EarwitnessCalibrationOff",
        {
            "earwitness_model_mean_predicted_probability": "0.9x120",
            "earwitness_model_observed_precision": "0.5x120",
            "earwitness_model_alerts_with_verdict": "19x10 20x110",
        },
        *(100, ({},), (60,)),
    ),
    Case(
        "EarwitnessLimitExceeded",
        {
            'earwitness_hub_exceedances_total{rule="night",notify="yes"}': "0x9 1x110",
            'earwitness_hub_exceedances_total{rule="day",notify="no"}': "0x9 3x110",
        },
        *(11, ({"rule": "night"},), (5, 75)),
    ),
]


def test_the_rules_are_well_formed() -> None:
    ran = subprocess.run(
        [program("promtool"), "check", "rules", *map(str, RULES)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_alert_has_a_case() -> None:
    assert {case.alert for case in CASES if case.labels} == set(ALERTS)


def needed(alert: str) -> list[dict[str, Any]]:
    """An alert's rule after the recording rules it asks for: evaluating the others, too, takes ten times as long."""
    recording = {rule["record"]: rule for rule in rules() if "record" in rule}
    chosen: list[dict[str, Any]] = []
    open_ = [ALERTS[alert]]
    while open_:
        rule = open_.pop()
        chosen = [rule, *(one for one in chosen if one is not rule)]
        open_ += [recording[name] for name in names(rule["expr"]) & set(recording)]
    return chosen


def test_alerts_fire_when_they_should_and_not_before(tmp_path: Path) -> None:
    files = []
    for alert in {case.alert for case in CASES}:
        rule_file = tmp_path / f"{alert}.rules.yml"
        rule_file.write_text(json.dumps({"groups": [{"name": alert, "rules": needed(alert)}]}))
        files.append(tmp_path / f"{alert}.yml")
        document = {
            "rule_files": [str(rule_file)],
            "evaluation_interval": "1m",
            "tests": [case.document() for case in CASES if case.alert == alert],
        }
        files[-1].write_text(json.dumps(document))
    ran = subprocess.run([program("promtool"), "test", "rules", *files], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_states_how_urgent_it_is_and_has_a_runbook(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in PAGES
    assert {"summary", "description", "runbook_url"} == set(rule["annotations"])
    begin, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert begin == "{{ with $externalLabels.runbooks }}{{ . }}{{ else }}docs/operate.md{{ end }}"
    headings = re.findall(r"(?m)^#+ (.+)$", (ROOT / "docs" / "operate.md").read_text())
    assert anchor == name.lower()
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


def test_every_runbook_is_of_an_alert() -> None:
    text = (ROOT / "docs" / "operate.md").read_text()
    assert set(re.findall(r"(?m)^### (Earwitness\w+)$", text)) == set(ALERTS)


@pytest.mark.parametrize(
    ("external", "begin"),
    [
        ({}, "docs/operate.md"),
        ({"runbooks": "https://wiki.example/operate.html"}, "https://wiki.example/operate.html"),
    ],
)
def test_a_runbook_begins_with_the_address_that_prometheus_is_given(
    tmp_path: Path, external: dict[str, str], begin: str
) -> None:
    rule = ALERTS["EarwitnessStoreAway"]
    exported_metrics = {
        name: text.replace("{{ $labels.instance }}", HUB["instance"]) for name, text in rule["annotations"].items()
    }
    exported_metrics["runbook_url"] = f"{begin}#earwitnessstoreaway"
    document = {
        "rule_files": [str(path) for path in RULES],
        "tests": [
            {
                "interval": "1m",
                "external_labels": external,
                "input_series": [{"series": with_hub("earwitness_store_up", HUB), "values": "0x10"}],
                "alert_rule_test": [
                    {
                        "eval_time": "5m",
                        "alertname": "EarwitnessStoreAway",
                        "exp_alerts": [
                            {"exp_labels": {**HUB, "severity": "page"}, "exp_annotations": exported_metrics}
                        ],
                    }
                ],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(json.dumps(document))
    ran = subprocess.run([program("promtool"), "test", "rules", file], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
