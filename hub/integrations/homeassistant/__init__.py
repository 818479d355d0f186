"""Show sensors in Home Assistant.

`discovery` builds discovery documents and state messages. `publisher` publishes them, from one hub at a time.
"""
