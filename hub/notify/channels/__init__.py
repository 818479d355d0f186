"""Send alerts: one module per kind of channel; `protocol` defines the interface of a channel."""
