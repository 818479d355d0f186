"""Describe how episodes recur.

`forecast` estimates the coming week's hours; `forecast_windows` picks the next window; `analysis` finds regularity
and the next window; `attribution` estimates how much of a forecast is due to a rhythm.
"""
