"""The messages on MQTT: the CBOR event message, and the JSON state and alert messages.

Pydantic models are used at this boundary only; the programs use `shared.events` internally. Every decoder limits the
size before it parses, and raises `InvalidError` with a reason for the dead letter.

Every number, text and list is bounded, and every time can be converted to UTC. Decoders ignore unknown fields, so a
hub accepts messages of newer sensors and rows that a newer hub stored. A change of the meaning of a known field
increments `codec.VERSION`. A program rejects messages with a version that it does not know.

1. `fields`: the bounded types of fields.
2. `codec`: the base of all messages, and JSON.
3. `event`: events of sensors, in CBOR; `event_edits`: changes of single fields of an encoded one.
4. `sensor`: the state of a sensor.
5. `alert`: alerts of a hub.
"""
