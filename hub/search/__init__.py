"""Finding similar past events."""
