"""Find similar past events.

`retrieval` holds one scorer and one backend per feature space. A backend (`backend`) is `memory/` in this process or
`redis_backend`; both take `entries`. `scoring/` ranks candidates. `recall_monitor` scans some live queries exactly;
`candidates` then chooses how many candidates are scored exactly. `follower` keeps an in-process index equal to the
store. `archived_towers` reads the towers that the archive keeps. `pair_comparison` compares two recordings without
broker and store.
"""
