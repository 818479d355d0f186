"""Datasets, pairs, training and evaluation; nothing else imports it."""
