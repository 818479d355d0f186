"""Send alerts: one module per kind of channel; `protocol` says what a channel must do."""
