"""Deciding which matches are worth an alert."""
