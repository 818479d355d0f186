"""Connect to a broker with MQTT 5.

`session` publishes, subscribes and acknowledges; `connection_loop` keeps its connection up and reports its events as
signals (`signals`). `paho_client` adds to paho-mqtt; `reason_codes` names the codes that decisions depend on.
`topics` spells every topic. `tls` builds the TLS context. `diagnostics` explains why a connection fails.
"""
