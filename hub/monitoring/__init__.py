"""Measure the hub, Redis, the sensors and the models, and export the metrics of `hub.metrics.definitions`.

| module | what it does |
|---|---|
| `monitor` | starts and stops all probes and the heartbeat |
| `sensors`, `store`, `certificates`, `clocks`, `verdicts`, `index_memory` | one probe each |
| `drift` | compares presence, match probability and embeddings with a reference |
| `heartbeat` | periodically sends a message from a sensor's topic through the pipeline and back |
"""
