"""Commands to sensors: `command_client` sends one and waits for replies, `command_service` keeps them."""
