"""Conformance of the level meter to its standards: `limits` holds them, `report` measures and prints."""
