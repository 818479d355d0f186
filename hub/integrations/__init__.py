"""Connect the hub to other systems."""
