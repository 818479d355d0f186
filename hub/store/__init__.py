"""Keep everything in Redis, and audio files on disk.

| module | what it keeps |
|---|---|
| `keys` | nothing: the key of all that is in Redis |
| `client`, `fitness`, `rows` | the connection and its errors; whether a server fits; rows that cannot be read |
| `events`, `event_queries` | events, alerts, states that sensors sent, changes; lists of events |
| `episodes`, `sensor_history` | episodes, the recent past of sensors, site thresholds; earlier episodes |
| `sources`, `source_rows`, `source_transaction`, `source_verdicts` | sources and their episodes |
| `named_sounds`, `name_returns` | named sounds and when they returned |
| `dead_letters` | messages that could not be taken |
| `sensor_signals` | what events tell of their sensor |
| `consumer_group` | a stream that hubs divide among themselves |
| `audio_files`, `verdict_file` | FLAC files; verdicts as JSON lines |
| `time_correction` | events that earlier hubs stored with times in the future |
"""
