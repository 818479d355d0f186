"""Define the metrics about sensors and models."""

import math
from typing import Final

from hub.metrics.collectors import MetricGroup

SENSOR: Final = ("site", "sensor")
STATES: Final = ("online", "silent", "stopped", "lost")
VERDICTS: Final = ("same", "different", "wrong-category", "ignore")


class SensorMetrics(MetricGroup):
    """Metrics about sensors and models.

    Args:
        registry: registry of the metrics.
    """

    def _sensors(self) -> None:
        self.sensors_left_out = self._gauge(
            "store_sensors_unexported",
            "Sensors without their own metrics, because `monitoring.max_sensor_series` is reached",
        )
        self.sensor_state = self._listed(
            "sensor_state", "1 for the current state of a sensor, else 0", *SENSOR, "state"
        )
        self.sensor_last_event = self._listed(
            "sensor_last_event_timestamp_seconds", "Time at which an event of a sensor was last received", *SENSOR
        )
        self.sensor_events = self._listed("sensor_events", "Events received from a sensor", *SENSOR, counter=True)
        self.sensor_missing = self._listed(
            "sensor_events_missing",
            "Events that a sensor numbered and the hub has not received",
            *SENSOR,
        )
        self.sensor_skew = self._listed(
            "sensor_clock_skew_seconds",
            "Last measured difference of a sensor's clock to the hub's; negative if it is behind",
            *SENSOR,
        )
        self.sensor_delay = self._listed(
            "sensor_last_delivery_delay_seconds",
            "From the start of a sensor's last clip to its receipt, while the sensor is online",
            *SENSOR,
        )
        self.sensor_level = self._listed(
            "sensor_laeq_decibels", "LAeq of a sensor's last clip, while the sensor is online", *SENSOR, "unit"
        )
        self.sensor_sound = self._listed(
            "sensor_last_signal_timestamp_seconds",
            "Time at which a sensor's level was last above that of a dead microphone",
            *SENSOR,
        )
        self.sensor_varied = self._listed(
            "sensor_last_level_change_timestamp_seconds", "Time at which a sensor's level last changed", *SENSOR
        )
        self.sensor_waiting = self._listed(
            "sensor_spool_events", "Last reported number of events in a sensor's spool, while connected", *SENSOR
        )
        self.sensor_spool = self._listed(
            "sensor_spool_used_ratio", "Last reported share of a sensor's spool in use, while connected", *SENSOR
        )
        self.sensor_dropped = self._listed(
            "sensor_clips_dropped", "Clips that a sensor dropped because its spool was full", *SENSOR, counter=True
        )
        self.sensor_shed = self._listed(
            "sensor_spool_shed_events",
            "Events of which a sensor's spool shed audio, embedding or levels, in the ranges of its last report",
            *SENSOR,
            "content",
        )
        self.sensor_capture_gap = self._listed(
            "sensor_capture_gap_seconds",
            "Time since a sensor started for which its microphone delivered no sound, as last reported",
            *SENSOR,
            counter=True,
        )
        self.sensor_certificate_end = self._listed(
            "sensor_certificate_expiry_timestamp_seconds", "Expiry time of a sensor's certificate", *SENSOR
        )

    def _models(self) -> None:
        self.presence_psi = self._listed(
            "model_presence_psi",
            "Population stability index of a category's presence, against the first days here or the training data",
            "space",
            "category",
            "reference",
        )
        self.embedding_psi = self._listed(
            "model_embedding_psi", "Population stability index of embeddings against the same", "space", "reference"
        )
        self.match_probability_psi = self._listed(
            "model_match_probability_psi", "Population stability index of episodes' match probabilities"
        )
        self.presence_share = self._listed(
            "model_presence_ratio", "Share of recent events in which a category is detected", "space", "category"
        )
        self.trained_share = self._listed(
            "model_training_presence_ratio", "Share of training clips that contain a category", "space", "category"
        )
        self.drift_events = self._listed("model_drift_events", "Events of the last measurement of drift", "space")
        self.reference_events = self._listed(
            "model_reference_events", "Events of a drift reference", "space", "reference"
        )
        self.stated = self._gauge(
            "model_mean_predicted_probability",
            "Mean match probability of alerts with a verdict in the last 30 days; NaN if none",
        )
        self.right = self._gauge(
            "model_observed_precision",
            "Share of alerts judged right in the last 30 days; should be close to the mean match probability",
        )
        for gauge in (self.stated, self.right):
            gauge.set(math.nan)
        self.judged = self._gauge("model_alerts_with_verdict", "Alerts with a verdict in the last 30 days")
