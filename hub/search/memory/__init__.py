"""Keep the events of a feature space in this process.

`index` adds, removes and searches events. `segment` holds at most 65,536 events by column. `reader` is the state that
one search sees. `sketch_scan` and `sketch_products` find candidates. `persistence` writes and reads snapshots.
"""
