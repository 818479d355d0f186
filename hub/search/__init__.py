"""Find similar past events.

`retrieval` holds one scorer and one backend per feature space. A backend (`backend`) is `memory/` in this process or
`redis_backend`. `scoring/` ranks candidates; `candidates` and `recall_monitor` choose how many of them are scored
exactly; `follower` keeps an in-process index equal to the store.
"""
