"""Sound to features: one small interface per feature space."""
