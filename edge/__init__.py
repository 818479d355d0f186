"""Capture sound, cut clips, measure levels, spool, and publish.

The path of a clip: `sources` yields it. `capture` encodes it as an event (`encode`, `extractor`) and puts it into the
spool (`spool`), on a thread of its own. `publisher` sends the events of the spool, with a bounded number under way
(`in_flight`), and deletes them after the broker's PUBACK. `agent` runs both. `cli` is the command line.
"""
