"""What Home Assistant documents of MQTT device discovery, and what its code (2025.4) insists on, as a schema."""

from jsonschema import Draft202012Validator

TEXT = {"type": "string", "minLength": 1}
WHERE = {"type": "string", "pattern": "^[^+#]+$"}
AVAILABILITY = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "properties": {
            "topic": WHERE,
            "payload_available": TEXT,
            "payload_not_available": TEXT,
            "value_template": TEXT,
        },
        "required": ["topic"],
        "additionalProperties": False,
    },
}
ENTITY = {
    "platform": TEXT,
    "unique_id": TEXT,
    "name": TEXT,
    "icon": {"type": "string", "pattern": "^mdi:"},
    "entity_category": {"enum": ["config", "diagnostic"]},
    "state_topic": WHERE,
    "value_template": TEXT,
    "json_attributes_topic": WHERE,
    "availability": AVAILABILITY,
    "availability_mode": {"enum": ["all", "any", "latest"]},
    "expire_after": {"type": "integer", "minimum": 1},
}
SENSOR = {
    **ENTITY,
    "platform": {"const": "sensor"},
    "device_class": {"enum": ["sound_pressure", "enum", "timestamp"]},
    "unit_of_measurement": TEXT,
    "state_class": {"const": "measurement"},
    "suggested_display_precision": {"type": "integer", "minimum": 0},
    "options": {"type": "array", "minItems": 1, "items": TEXT},
}
BINARY = {**ENTITY, "platform": {"const": "binary_sensor"}, "device_class": {"const": "connectivity"}}
NEEDED = ["platform", "unique_id", "state_topic"]
DEVICE = Draft202012Validator(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["device", "origin", "components"],
        "properties": {
            "device": {
                "type": "object",
                "additionalProperties": False,
                "required": ["identifiers"],
                "properties": {
                    "identifiers": {"type": "array", "minItems": 1, "items": TEXT},
                    "name": TEXT,
                    "manufacturer": TEXT,
                    "model": TEXT,
                    "sw_version": TEXT,
                    "configuration_url": {"type": "string", "pattern": "^https?://"},
                },
            },
            "origin": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name"],
                "properties": {"name": TEXT, "sw_version": TEXT, "support_url": TEXT},
            },
            "components": {
                "type": "object",
                "additionalProperties": {
                    "oneOf": [
                        {"additionalProperties": False, "required": NEEDED, "properties": kind}
                        for kind in (SENSOR, BINARY)
                    ],
                    # A unit of sound pressure needs its device class, and the other way round.
                    "if": {"properties": {"device_class": {"const": "sound_pressure"}}, "required": ["device_class"]},
                    "then": {"properties": {"unit_of_measurement": {"enum": ["dB", "dBA"]}}},
                    "else": {
                        "if": {"required": ["options"]},
                        "then": {
                            "properties": {
                                "device_class": {"const": "enum"},
                                "state_class": False,
                                "unit_of_measurement": False,
                            }
                        },
                    },
                },
            },
        },
    }
)
