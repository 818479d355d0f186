"""Take messages from the broker to the store.

| module | task |
|---|---|
| `consumer` | receives batches, limits what waits, acknowledges in order |
| `acknowledgement` | acknowledges a message once its event is on the store's disk |
| `messages` | values: a message in processing, and its outcome |
| `pipeline` | decode, features, store, search, detect |
| `quarantine` | sets aside a message whose handling raises an unexpected error |
| `subscription` | checks what the broker grants |
| `handover` | redistributes the queued messages of a removed hub |
"""
