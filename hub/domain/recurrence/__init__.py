"""Describe how episodes recur.

`forecast` estimates the coming week's hours; `analysis` finds regularity and the next window; `attribution` estimates
how much of a forecast is due to a rhythm.
"""
