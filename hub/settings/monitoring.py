"""Settings of what is measured, and told as metrics."""

from pydantic import Field

from shared.settings import SettingsGroup


class MonitoringSettings(SettingsGroup):
    """What is measured of hub, store, sensors and models."""

    interval_s: float = Field(10.0, gt=0, le=60, description="time between looks at store and sensors")
    max_sensor_series: int = Field(
        1_000, ge=0, description="most sensors with metrics of their own, the first by name; none at 0"
    )
    sensor_series_ttl_days: float = Field(
        7.0, gt=0, description="a sensor that was not heard for so long has no metrics any more"
    )
    silence_db: float = Field(
        20.0, ge=-200, le=200, description="below this LAeq, in dB, a calibrated microphone is dead"
    )
    silence_dbfs: float = Field(
        -100.0, ge=-200, le=200, description="below this LAeq, in dBFS, a microphone is dead that is not calibrated"
    )
    min_level_change_db: float = Field(
        0.3, gt=0, le=20, description="a level that stays this close to what it was counts as no variation"
    )
    heartbeat_interval_s: float = Field(
        30.0, ge=0, description="time between heartbeats, from a sensor's topic to the alerts and back; none at 0"
    )
    stalled_after_s: float = Field(
        300.0, gt=0, description="/healthz is not ready once events arrive and none was archived for so long"
    )
    drift_interval_s: float = Field(300.0, gt=0, description="time between measurements of drift")
    drift_window_hours: float = Field(24.0, gt=0, description="drift is measured on the events of so many hours")
    drift_min_events: int = Field(200, ge=20, description="least events that drift is measured on")
    drift_reference_days: float = Field(
        7.0, gt=0, description="a network's first days, with which later ones are compared, unless its record tells"
    )
