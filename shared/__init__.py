"""What edge and hub agree on: values, wire messages, topics, taxonomy, settings groups, the MQTT shell.

Imports numpy, pydantic, paho and small audio libraries; never torch, never redis, never edge or hub.
"""
