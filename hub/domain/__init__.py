"""Values and rules, without I/O.

Modules here import numpy, pydantic, the standard library and values of `shared`; no Redis, MQTT, PyTorch or FastAPI.
Functions take the time and a random generator as arguments.

| module | what it holds |
|---|---|
| `records`, `match`, `episodes`, `alerts`, `verdicts` | values: stored events, matches, episodes, alerts, verdicts |
| `alert_rule`, `alert_offers`, `alert_pricing`, `thresholds` | which event raises an alert |
| `sensor_history` | earlier episodes of a sensor, for events that arrive late |
| `presence_matrix`, `psi` | agreement of two clips; drift of distributions |
| `recurrence/` | how regularly episodes recur, and when next |
| `sources`, `source_partition`, `source_summary` | which episodes have the same source |
| `named_sounds`, `named_returns` | sounds that people named |
| `sensor_map`, `sensor_status`, `clocks` | where sensors are, how they are, which times are believed |
| `delivery_policy` | quiet hours, digests, daily limits |
"""
