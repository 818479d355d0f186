"""Code that edge and hub share: values, wire messages, topics, taxonomy, settings groups, the MQTT session.

It imports numpy, pydantic, paho and small audio libraries; never torch, never redis, never edge or hub.
"""
