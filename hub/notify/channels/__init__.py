"""Send alerts: one module per kind of channel.

`protocol` defines the interface of a channel of the settings. `mqtt` is the channel that every hub has.
"""
