"""Settings of metrics, heartbeat and drift detection."""

from pydantic import Field

from shared.settings import SettingsGroup


class MonitoringSettings(SettingsGroup):
    """Monitoring of the hub itself, Redis, sensors and models."""

    interval_s: float = Field(10.0, gt=0, le=60, description="time between probes of Redis and sensors, in seconds")
    max_sensor_series: int = Field(
        1_000, ge=0, description="maximum sensors with their own metrics, the first by name; none at 0"
    )
    sensor_series_ttl_days: float = Field(
        7.0, gt=0, description="the hub drops the metrics of a sensor without events for this many days"
    )
    silence_db: float = Field(
        20.0, ge=-200, le=200, description="below this LAeq, in dB, a calibrated microphone counts as dead"
    )
    silence_dbfs: float = Field(
        -100.0, ge=-200, le=200, description="below this LAeq, in dBFS, an uncalibrated microphone counts as dead"
    )
    min_level_change_db: float = Field(
        0.3, gt=0, le=20, description="smaller changes of a sensor's level, in dB, count as no variation"
    )
    heartbeat_interval_s: float = Field(
        30.0, ge=0, description="time between heartbeats through the pipeline, in seconds; none at 0"
    )
    stalled_after_s: float = Field(
        300.0,
        gt=0,
        description="/healthz reports not ready if events arrive and none is archived for this many seconds",
    )
    drift_interval_s: float = Field(300.0, gt=0, description="time between measurements of drift, in seconds")
    drift_window_hours: float = Field(24.0, gt=0, description="the hub measures drift on events of this many hours")
    drift_min_events: int = Field(200, ge=20, description="minimum events for a measurement of drift")
    drift_reference_days: float = Field(
        7.0, gt=0, description="the first days of a network at this deployment, which are the reference of drift"
    )
