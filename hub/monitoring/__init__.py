"""Measure the hub, Redis, the sensors and the models, and export the metrics of `hub.metrics.definitions`.

| module | what it does |
|---|---|
| `monitor` | builds all probes and runs them at their intervals |
| `sensors`, `store`, `certificates`, `clocks`, `verdicts` | one probe each |
| `drift` | compares presence, match probability and embeddings with a reference |
| `heartbeat` | periodically sends a message from a sensor's topic through the pipeline and back |
"""
