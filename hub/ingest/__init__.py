"""Take messages from the broker to the store.

| module | what it does |
|---|---|
| `consumer` | receives batches, limits what waits, acknowledges in order |
| `backlog` | counts what waits, and makes the network thread wait for room |
| `acknowledgement` | acknowledges a message once its event is on the store's disk |
| `messages` | values: a message on its way, and its outcome |
| `pipeline` | decode, features, store, search, detect |
| `preparation` | decodes messages, computes features and towers |
| `event_recorder` | writes events, with presence, capture time and sound |
| `capture_times` | decides which capture times are believed |
| `clip_keeper` | writes the sound of events to files |
| `stage_timer` | times the stages of the pipeline |
| `quarantine` | sets aside a message whose handling raises an unexpected error |
| `subscription` | checks what the broker grants |
| `event_subscription` | subscribes, and asks again what the broker refuses |
| `handover` | hands the messages of a departed hub to the others |
"""
