"""Commands of hubs to this sensor.

`rules` decides what a command does, without I/O. `self_test` judges the sensor's own report. `remote_settings` keeps
the settings that hubs changed, in a file. `service` receives commands and publishes replies.
"""
