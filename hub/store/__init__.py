"""Keep everything in Redis, and audio files on disk.

| module | what it keeps |
|---|---|
| `keys` | nothing: the key of everything in Redis |
| `client`, `fitness`, `rows`, `codec` | the connection and its errors; whether a server fits; rows and their values |
| `events`, `event_queries`, `event_removal` | events; lists of events; the removal of old ones |
| `alerts`, `sensors`, `changes` | alerts; what sensors announced; events that were added and removed |
| `levels`, `level_bands`, `level_offsets` | levels and bands of seconds; corrections of their times |
| `level_statistics`, `level_index`, `day_level_queries` | levels of minutes and hours; indexes; levels of days |
| `level_details` | the level details of an event |
| `json_rows`, `episode_rows`, `budget_rows` | the form of JSON rows; those of episodes, and of alert budgets |
| `episodes`, `episode_batch`, `sensor_history` | episodes; what a batch loads and commits; earlier episodes |
| `site_thresholds` | thresholds of sites |
| `sources`, `source_rows`, `source_transaction`, `source_verdicts` | sources and their episodes |
| `named_sounds`, `name_returns` | named sounds and when they returned |
| `dead_letters` | messages that were refused |
| `sensor_signals` | what the events of a sensor show of its microphone and its connection |
| `stores` | all stores of a hub, as one value |
| `consumer_group` | a stream that hubs divide among themselves |
| `audio_files`, `verdict_file` | FLAC files; verdicts as JSON lines |
| `time_correction` | events that earlier hubs stored with times in the future |
"""
