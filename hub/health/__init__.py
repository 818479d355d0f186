"""How the hub, its store, its sensors and its models are: measured, and told as the metrics of `hub.metrics`.

| module | what it holds |
|---|---|
| `settings` | group `health` |
| `hearing` | what each event tells of its sensor: missing numbers, level, silence; kept by the archive |
| `sensors`, `store` | looks at the sensors and at the store |
| `psi`, `drift` | how far presence, likeness and embeddings are from what they were |
| `heartbeat` | a message that goes all the way from a sensor's topic to the alerts, again and again |
| `watch` | has all of them look, in a thread of its own |
| `exposition` | the metrics as text, with the old names of what was renamed |
"""
