"""Deliver alerts to notification channels.

`dispatcher` enriches an alert and puts it into the outbox (`outbox`) of each channel. One `delivery` worker per
channel renders (`rendering`) and sends the messages of its outbox, by `hub.domain.delivery_policy`. `channels/` holds
one module per kind of channel, and `http` their common POST. `service` opens, starts and stops all of them.
`heartbeat_echo` returns heartbeats through the same outbox as alerts.
"""
