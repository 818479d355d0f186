"""Dashboards of the sensors: the whole network, and one of them."""

from typing import Final

from panels import Panel, Rows, number

SENSOR: Final = 'site="$site", sensor="$sensor"'
AGE: Final = "time() - max({})"
OVERVIEW: Final[Rows] = [
    (
        "Now",
        [
            number("Sensors online", "none", 'sum(earwitness:sensor_state{state="online"})'),
            number("Sensors offline", "none", 'sum(earwitness:sensor_state{state=~"silent|lost"})', (1, 5)),
            number("Events a second", "none", "earwitness:events_archived:rate5m"),
            number("Alerts in 24 hours", "none", "sum(increase(earwitness_hub_alerts_total[24h]))"),
            number(
                "Heartbeat, since", "s", "time() - min(earwitness_hub_last_heartbeat_timestamp_seconds)", (90, 180)
            ),
            number("Store memory", "percentunit", "earwitness:store_memory:ratio", (0.7, 0.85)),
        ],
    ),
    (
        "Needs attention",
        [
            Panel(
                "Firing alerts",
                "none",
                [('ALERTS{alertname=~"Earwitness.*", alertstate="firing"}', "")],
                "docs/operate.md has a runbook for each.",
                "table",
                12,
            ),
            Panel(
                "Offline sensors",
                "none",
                [('earwitness:sensor_state{state=~"silent|lost"} == 1', "")],
                "silent: no event for ten minutes. lost: the broker lost its connection.",
                "table",
                12,
            ),
        ],
    ),
    (
        "The network",
        [
            Panel("Sensors by state", "none", [("earwitness:sensors:count_by_state", "{{state}}")]),
            Panel("Events a second", "none", [("sum by (site) (earwitness:sensor_events:rate5m)", "{{site}}")]),
            Panel(
                "Late events",
                "percentunit",
                [("earwitness:events_late:ratio_rate1h", "more than a minute late")],
                "Share of events received more than a minute after the end of their clip, within an hour.",
                steps=(0.05, 0.2),
            ),
            Panel(
                "Level, loudest ten of each unit",
                "dB",
                [("topk by (unit) (10, earwitness:sensor_laeq_decibels)", "{{site}}/{{sensor}} ({{unit}})")],
                "LAeq of clips of ten seconds. dB and dBFS do not compare.",
                width=12,
            ),
            Panel(
                "Missing events, worst ten",
                "none",
                [("topk(10, earwitness:sensor_events_missing)", "{{site}}/{{sensor}}")],
                "Sequence numbers never received since the sensor was first seen. A slope means continuing loss.",
                width=12,
            ),
            Panel(
                "Spools, fullest ten",
                "percentunit",
                [("topk(10, max by (site, sensor) (earwitness_sensor_spool_used_ratio))", "{{site}}/{{sensor}}")],
                "Last report of each connected sensor.",
                width=12,
                steps=(0.5, 0.8),
            ),
            Panel(
                "Clips dropped, worst ten",
                "none",
                [("topk(10, max by (site, sensor) (earwitness_sensor_clips_dropped_total))", "{{site}}/{{sensor}}")],
                "Since the sensor started. Its spool accepted no more.",
                width=12,
            ),
        ],
    ),
]
ONE_SENSOR: Final[Rows] = [
    (
        "$site/$sensor",
        [
            number(
                "Online", "none", f'max(earwitness:sensor_state{{{SENSOR}, state="online"}})', (1, 1), rising=False
            ),
            number(
                "Last event, since",
                "s",
                AGE.format(f"earwitness:sensor_last_event_timestamp_seconds{{{SENSOR}}}"),
                (60, 600),
            ),
            number(
                "Clip to receipt", "s", f"max(earwitness_sensor_last_delivery_delay_seconds{{{SENSOR}}})", (60, 300)
            ),
            number("Missing events", "none", f"max(earwitness:sensor_events_missing{{{SENSOR}}})", (1, 100)),
            number(
                "Sound, since",
                "s",
                AGE.format(f"earwitness_sensor_last_signal_timestamp_seconds{{{SENSOR}}}"),
                (600, 1_800),
                text="Time since the level was last above that of a dead microphone.",
            ),
            number(
                "Level change, since",
                "s",
                AGE.format(f"earwitness_sensor_last_level_change_timestamp_seconds{{{SENSOR}}}"),
                (3_600, 21_600),
                text="Time since the level last changed by monitoring.min_level_change_db.",
            ),
        ],
    ),
    (
        "Over time",
        [
            Panel("Level", "dB", [(f"earwitness:sensor_laeq_decibels{{{SENSOR}}}", "LAeq ({{unit}})")], width=24),
            Panel("State", "none", [(f"earwitness:sensor_state{{{SENSOR}}}", "{{state}}")], most=1),
            Panel("Events a second", "none", [(f"earwitness:sensor_events:rate5m{{{SENSOR}}}", "events")]),
            Panel("Missing events", "none", [(f"earwitness:sensor_events_missing{{{SENSOR}}}", "missing")]),
            Panel(
                "Waiting in its spool",
                "none",
                [(f"max(earwitness_sensor_spool_events{{{SENSOR}}})", "events")],
                "Its last report.",
                width=12,
            ),
            Panel(
                "Clips dropped",
                "none",
                [(f"max(earwitness_sensor_clips_dropped_total{{{SENSOR}}})", "clips")],
                "Since it started. Its spool accepted no more.",
                width=12,
            ),
        ],
    ),
]
