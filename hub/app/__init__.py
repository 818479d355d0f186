"""Build, start and stop a hub.

`factory` builds components from settings; `hub` is the lifecycle of all of them; `retention` removes what is too old.
"""
