"""Reproduce the paper: its network's variants, the experiments, and docs/results.md made from their records."""
