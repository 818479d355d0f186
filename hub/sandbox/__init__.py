"""Run the whole system on one machine, with weeks of history: `earwitness-hub demo`.

| module | what it does |
|---|---|
| `demo` | runs the demo from start to end |
| `system` | starts the servers and the hub, and waits until they are ready |
| `neighbourhood` | generates which sensor records what, and when |
| `rendered_clips` | renders and embeds each scene once |
| `history` | sends dated clips through the hub's pipeline |
| `child_processes` | starts programs that end with the demo |
| `terminal` | prints alerts and links |
"""
