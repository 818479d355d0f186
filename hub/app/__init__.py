"""Build, start and stop a hub.

`factory` builds components from settings, `hub` starts and stops them, `retention` removes old data.
"""
