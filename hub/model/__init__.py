"""The Siamese network, the Pairwise Presence Matrix and checkpoints."""
