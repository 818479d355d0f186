"""Dashboard of the hub: input, processing, output and capacity."""

from typing import Final

from panels import Panel, Rows

RATE: Final = "$__rate_interval"
HUB: Final = 'instance=~"$hub"'
QUANTILE: Final = "histogram_quantile({q}, sum by (le{by}) (rate(earwitness_hub_{name}_bucket{{{hub}}}[{rate}])))"


def quantiles(name: str) -> list[tuple[str, str]]:
    """Return queries for the median and the 95th percentile of a histogram of the hub."""
    return [(QUANTILE.format(q=q, by="", name=name, hub=HUB, rate=RATE), f"{q:.0%}") for q in (0.5, 0.95)]


def rates(*names: tuple[str, str]) -> list[tuple[str, str]]:
    """Return queries for the rates of counters of the hub, with their legends."""
    return [(f"sum(rate(earwitness_hub_{name}_total{{{HUB}}}[{RATE}]))", legend) for name, legend in names]


INTERNALS: Final[Rows] = [
    (
        "Input",
        [
            Panel(
                "Events a second",
                "none",
                rates(
                    ("events_received", "received"),
                    ("events_archived", "archived"),
                    ("events_duplicate", "duplicates"),
                ),
            ),
            Panel(
                "Queue",
                "percentunit",
                [(f"earwitness:intake_queue:ratio{{{HUB}}}", "{{instance}}")],
                "Share of ingest.max_in_flight. When it is full, events wait at the broker.",
                steps=(0.5, 0.9),
            ),
            Panel(
                "Errors",
                "none",
                [
                    (f"sum(increase(earwitness_hub_{name}_total{{{HUB}}}[1h]))", legend)
                    for name, legend in (
                        ("messages_dead_lettered", "dead letters"),
                        ("messages_quarantined", "of these, unexpected errors"),
                        ("events_retimed", "events with wrong times"),
                        ("retention_pauses", "retention pauses"),
                        ("rows_unreadable", "unreadable rows"),
                        ("audio_file_failures", "audio files not written or removed"),
                        ("store_retries", "store retries"),
                        ("backpressure_disconnects", "back-pressure disconnects"),
                    )
                ],
                "Within an hour. All are normally zero.",
            ),
            Panel(
                "Restarts of threads",
                "none",
                [(f"sum by (worker) (increase(earwitness_hub_worker_restarts_total{{{HUB}}}[1h]))", "{{worker}}")],
                "Within an hour. Each is an unexpected error; the log has its traceback.",
            ),
        ],
    ),
    (
        "Processing",
        [
            Panel(
                "Heartbeat",
                "s",
                quantiles("heartbeat_roundtrip_seconds"),
                "From a sensor's topic through pipeline, store and outbox and back.",
                exemplars=True,
            ),
            Panel("Receipt to alert", "s", quantiles("alert_latency_seconds"), exemplars=True),
            Panel(
                "Stages, 95 %",
                "s",
                [
                    (
                        QUANTILE.format(q=0.95, by=", stage", name="stage_duration_seconds", hub=HUB, rate=RATE),
                        "{{stage}}",
                    )
                ],
                "Per batch of events.",
                exemplars=True,
            ),
            Panel("End of clip to receipt", "s", quantiles("event_delivery_delay_seconds")),
            Panel(
                "Events a batch",
                "none",
                [
                    (
                        (
                            f"sum(rate(earwitness_hub_batch_size_sum{{{HUB}}}[{RATE}]))"
                            f" / sum(rate(earwitness_hub_batch_size_count{{{HUB}}}[{RATE}]))"
                        ),
                        "on average",
                    )
                ],
                "Near 64 the hub is at its limit.",
            ),
            Panel(
                "Connections",
                "none",
                [
                    (f"earwitness_hub_ready{{{HUB}}}", "ready {{instance}}"),
                    (f"earwitness_hub_broker_connected{{{HUB}}}", "broker {{instance}}"),
                    (f"earwitness_store_up{{{HUB}}}", "store {{instance}}"),
                ],
                most=1,
            ),
        ],
    ),
    (
        "Output",
        [
            Panel(
                "Alerts an hour",
                "none",
                [
                    (f"sum(increase(earwitness_hub_alerts_total{{{HUB}}}[1h]))", "raised"),
                    (f"sum(increase(earwitness_hub_alerts_published_total{{{HUB}}}[1h]))", "published"),
                    ("max(earwitness_store_alerts_unpublished)", "not yet published"),
                ],
            ),
            Panel(
                "Named sounds an hour",
                "none",
                [(f"sum by (mode) (increase(earwitness_hub_events_named_total{{{HUB}}}[1h]))", "{{mode}}")],
                "Events that are named sounds; muted ones raise no alert.",
            ),
            Panel(
                "Sources",
                "none",
                [
                    ("max(earwitness_store_sources)", "sources"),
                    ("max(earwitness_store_source_episodes_pending)", "episodes pending"),
                    (
                        f"sum by (outcome) (increase(earwitness_hub_source_episodes_total{{{HUB}}}[1h]))",
                        "episodes an hour: {{outcome}}",
                    ),
                ],
                "The hub assigns each archived episode to a source: one machine, dog, siren or voice.",
            ),
            Panel(
                "Notifications",
                "none",
                [
                    (
                        f"sum by (channel, outcome) (increase(earwitness_hub_notifications_total{{{HUB}}}[1h]))",
                        "{{channel}} {{outcome}}",
                    )
                ],
                "Within an hour.",
            ),
            Panel(
                "Waiting for a person",
                "none",
                [
                    ("max(earwitness_store_dead_letters)", "dead letters of sensors"),
                    ("max(earwitness_store_dead_letters_discarded_total)", "of these, discarded for newer ones"),
                    ("max by (channel) (earwitness_store_notification_dead_letters)", "dead letters of {{channel}}"),
                    ("max by (channel) (earwitness_store_notifications_pending)", "waiting for {{channel}}"),
                ],
            ),
        ],
    ),
    (
        "Capacity",
        [
            Panel(
                "Store memory",
                "bytes",
                [
                    ("max(earwitness_store_memory_used_bytes)", "used"),
                    ("max(earwitness_store_memory_limit_bytes)", "limit"),
                ],
            ),
            Panel(
                "Archive",
                "none",
                [("max(earwitness_store_events)", "events"), ("max(earwitness_store_alerts)", "alerts")],
            ),
            Panel(
                "Disks, free",
                "percentunit",
                [
                    (
                        f"earwitness_hub_disk_free_bytes{{{HUB}}} / earwitness_hub_disk_size_bytes{{{HUB}}}",
                        "{{instance}} {{folder}}",
                    )
                ],
                steps=(0.2, 0.1),
                rising=False,
            ),
            Panel(
                "Hub memory",
                "bytes",
                [
                    (f'process_resident_memory_bytes{{{HUB}, job="earwitness-hub"}}', "{{instance}} process"),
                    (f"earwitness_hub_index_bytes{{{HUB}}}", "{{instance}} index {{space}}"),
                    (f"earwitness_hub_messages_in_flight_bytes{{{HUB}}}", "{{instance}} messages in flight"),
                    (
                        f"earwitness_hub_messages_in_flight_limit_bytes{{{HUB}}}",
                        "{{instance}} limit of messages in flight",
                    ),
                ],
            ),
            Panel(
                "Processor",
                "percentunit",
                [(f'rate(process_cpu_seconds_total{{{HUB}, job="earwitness-hub"}}[{RATE}])', "{{instance}}")],
                "1 is one core.",
            ),
            Panel("Index", "none", [(f"earwitness_hub_index_events{{{HUB}}}", "{{instance}} events")]),
        ],
    ),
]
