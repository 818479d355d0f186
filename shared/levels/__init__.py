"""Sound levels: a streaming level meter that needs numpy only.

`meter` measures clips and seconds. `weighting` designs the A and C filters, `bands` the third-octave bands.
`detectors` holds the Fast, Slow and Impulse time weightings. `block_filter` runs recursive filters in blocks.
`ambient` follows the level that is exceeded nine tenths of the time. `values` holds the results.
"""
