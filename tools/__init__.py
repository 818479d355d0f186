"""Programs that `make` runs; they are not installed."""
