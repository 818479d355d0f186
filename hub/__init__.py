"""Take events in, store them, find similar past events, raise alerts, and deliver them.

The path of an event:

1. `ingest.consumer` receives a message from the broker and acknowledges it once it is stored.
2. `ingest.pipeline` decodes it, computes features, and calls the next steps for a batch of messages.
3. `store.events` writes the event to Redis.
4. `search.retrieval` finds the most similar past events.
5. `alerting.detector` loads the state of the sensor, applies `domain.alert_rule`, and commits the result.
6. `store.episodes` keeps episodes, sensor states and thresholds.
7. `notify.dispatcher` takes alerts, `alerting.enrichment` completes them, `notify.delivery` sends them.

Layers, highest first; a module imports only from its own folder and from lower lines (`.importlinter`):

| layer | holds |
|---|---|
| `cli` | commands, one module per group |
| `diagnostics`, `sandbox`, `bench`, `training`, `deployment` | programs besides the running hub |
| `app` | the hub: its parts, opened from settings, started and stopped |
| `ingest`, `web`, `monitoring`, `integrations` | what runs in a hub |
| `notify` | delivery of alerts to channels |
| `alerting` | from matches to alerts |
| `search` | similar past events |
| `store` | data in Redis, and audio files |
| `features`, `model` | sound to features; networks and checkpoints |
| `metrics`, `settings`, `runtime` | definitions of metrics, settings, threads and processor |
| `domain` | values and rules, without I/O |
"""
