"""Capture sound, cut clips, measure levels, spool, and publish.

The way of a clip: `sources` yields it; `capture` encodes it (`encode`, `extractor`) and puts it into the spool
(`spool`) on a thread of its own; `publisher` sends what is in the spool, at most a few messages at a time
(`in_flight`), and removes it after the broker's PUBACK. `agent` runs both; `cli` is the command line.
"""
