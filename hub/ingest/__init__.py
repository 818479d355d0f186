"""Take messages from the broker to the store.

| module | what it does |
|---|---|
| `consumer` | receives batches, limits what waits, acknowledges in order |
| `acknowledgement` | acknowledges a message once its event is on the store's disk |
| `messages` | values: a message on its way, and its outcome |
| `pipeline` | decode, features, store, search, detect |
| `quarantine` | sets aside a message whose handling raises an unexpected error |
| `subscription` | checks what the broker grants |
| `handover` | hands the messages of a departed hub to the others |
"""
