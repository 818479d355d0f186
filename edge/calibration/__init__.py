"""Calibration of a sensor: recognise a calibrator, keep the history of calibrations, correct a frequency response.

`tone` and `calibrator` are pure rules, `correction` reads and applies a correction file, `history` is the file of
calibrations, `session` listens to the microphone or a recording, and `in_force` gives the agent what it applies.
"""
