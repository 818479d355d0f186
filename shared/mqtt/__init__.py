"""Connect to a broker with MQTT 5.

`session` keeps one connection up and reports its events as signals (`signals`). `topics` spells every topic. `tls`
builds the TLS context. `diagnostics` explains why a connection fails.
"""
