"""Values and rules, without I/O.

Modules here import numpy, pydantic, the standard library and values of `shared`; no Redis, MQTT, PyTorch or FastAPI.
Functions take the time and a random generator as arguments.

| module | what it holds |
|---|---|
| `records`, `match`, `episodes`, `alerts`, `verdicts` | values: stored events, matches, episodes, alerts, verdicts |
| `detection`, `alert_state`, `alert_rule` | which event raises an alert |
| `alert_offers`, `alert_pricing`, `thresholds` | the alert budget of a site, and its thresholds |
| `episode_draft`, `sensor_history` | which episodes an event belongs to; earlier episodes, for late events |
| `presence_matrix`, `psi` | agreement of two clips; drift of distributions |
| `recurrence/` | how regularly episodes recur, and when next |
| `sources`, `source_partition`, `source_summary` | which episodes have the same source |
| `named_sounds`, `named_returns` | sounds that people named |
| `sensor_map`, `sensor_status`, `clocks` | where sensors are, how they are, which times are believed |
| `delivery_policy` | quiet hours, digests, daily limits |
"""
