"""How far the level meter keeps the limits of the standards: `limits` holds them, `report` measures and prints."""
