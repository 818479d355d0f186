"""Deliver alerts to notification channels.

`dispatcher` completes an alert and puts it into the outbox (`outbox`) of each channel; one `delivery` worker per
channel renders (`rendering`) and sends what is in its outbox, by `hub.domain.delivery_policy`. `channels/` holds one
module per kind of channel, `http` the POST they share; `service` opens, starts and stops all of them.
`heartbeat_echo` answers heartbeats by the same way as alerts.
"""
