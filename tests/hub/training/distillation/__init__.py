"""Distillation of the small backbone."""
