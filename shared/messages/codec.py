"""The base of all messages, and their JSON form."""

from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import InvalidError, UnsupportedError

VERSION: Final = 1
JSON_CONTENT_TYPE: Final = "application/json"
STATE_CAP_BYTES: Final = 16 * 1024


class Message(BaseModel):
    """Base of every message: bounded values, unknown fields ignored, immutable, no NaN or infinity."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, allow_inf_nan=False, json_schema_serialization_defaults_required=True
    )


AnyMessage = TypeVar("AnyMessage", bound=Message)


def encode_json(message: Message) -> bytes:
    """Encode a message as UTF-8 JSON."""
    return message.model_dump_json().encode()


def decode_json(kind: type[AnyMessage], payload: bytes, max_bytes: int = STATE_CAP_BYTES) -> AnyMessage:
    """Decode a JSON message.

    Raises:
        InvalidError: too large, not JSON, or not a message of this kind.
    """
    if len(payload) > max_bytes:
        raise InvalidError(f"{kind.__name__} of {len(payload)} bytes is over the cap of {max_bytes}")
    try:
        return kind.model_validate_json(payload)
    except ValidationError as error:
        kind_of = UnsupportedError if _is_newer(error) else InvalidError
        raise kind_of(f"{kind.__name__}: {_reasons(error)}") from error


def validate(kind: type[AnyMessage], fields: object, what: str) -> AnyMessage:
    """Return decoded fields as a message.

    Args:
        kind: the kind of message.
        fields: decoded by another codec than JSON; of any type.
        what: name of the message in the reason.

    Raises:
        InvalidError: not a message of this kind.
        UnsupportedError: a later version of the message.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        kind_of = UnsupportedError if _is_newer(error) else InvalidError
        raise kind_of(f"{what}: {_reasons(error)}") from error
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:  # from tagged CBOR values
        raise InvalidError(f"{what}: {truncated(error)}") from error


def _is_newer(error: ValidationError) -> bool:
    """Return whether the message has a later version than this program knows."""
    return any(
        fault["loc"] == ("version",) and isinstance(fault["input"], int) and VERSION < fault["input"] < 2**31
        for fault in error.errors(include_url=False, include_context=False)
    )


def _reasons(error: ValidationError) -> str:
    """Return the first four faults without the values, which may be large or private."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)[:4]
    return "; ".join(_cut(f"{'.'.join(map(str, e['loc'])) or 'message'}: {e['msg']}") for e in errors)


def truncated(error: BaseException) -> str:
    """Return the text of an error, at most 200 characters of it."""
    return _cut(str(error) or type(error).__name__)


def _cut(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "..."
