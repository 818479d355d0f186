"""Build, start and stop a hub.

`factory` builds components from settings, `event_factory` those that handle events, and `monitor_factory` the probes.
`hub` starts and stops them; `health` reports their state. `maintenance` runs background work, with `retention`, which
removes old data; `recall` measures how complete searches are.
"""
