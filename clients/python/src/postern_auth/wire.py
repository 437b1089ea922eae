"""The few messages of `postern.v1` and `google.rpc` that a verifier reads and writes, in the protobuf wire format.

They are coded by hand, so that the package has no generated code: that would tie every program that uses it to a version
of the protobuf runtime. Unknown fields are skipped, as the format requires.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, NamedTuple

Field = tuple[int, "int | bytes"]

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_FIXED32: Final = 5
#: Of `postern.v1.SubjectType`.
_USER: Final = 1
_SERVICE: Final = 2


class WireError(ValueError):
    """The bytes are not a message of the expected type."""


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise WireError("a varint is cut off or longer than ten bytes")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7


def fields(data: bytes) -> Iterator[Field]:
    """Yields number and value of each field. Values of 4 and 8 bytes are skipped: no message here has them."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise WireError("field number 0")
        if wire_type == _VARINT:
            value, at = _varint(data, at)
            yield number, value
        elif wire_type == _BYTES:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise WireError("a field is cut off")
            yield number, data[at : at + length]
            at += length
        elif wire_type in (_FIXED32, _FIXED64):
            at += 4 if wire_type == _FIXED32 else 8
            if at > len(data):
                raise WireError("a field is cut off")
        else:
            raise WireError(f"wire type {wire_type} is not in use")


def _text(value: int | bytes) -> str:
    if not isinstance(value, bytes):
        raise WireError("a string field holds a number")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise WireError("a string field is not UTF-8") from error


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise WireError("a message field holds a number")
    return value


def _number(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise WireError("a number field holds bytes")
    return value


class TrustedKeys(NamedTuple):
    jwks: str
    issuer: str
    audiences: tuple[str, ...]
    max_lifetime: int
    clock_skew: int


class Revocation(NamedTuple):
    kind: Literal["sid", "jti", "kid"]
    #: 16 bytes for a session whose id is a UUID, otherwise the text.
    id: bytes | str
    expires_at: int


class Revocations(NamedTuple):
    revocations: list[Revocation]
    complete: bool


class Heartbeat(NamedTuple):
    news_age_ms: int


class ApiKeyGrant(NamedTuple):
    id: str
    subject: str
    is_user: bool
    subject_name: str
    external_id: str
    roles: tuple[str, ...]
    audience: str
    networks: tuple[str, ...]
    #: Unix time.
    created_at: int
    #: Unix time; None when the key does not expire.
    expires_at: int | None
    #: Seconds.
    max_age: int
    revocation_id: str


class TrustUpdate(NamedTuple):
    cursor: str
    #: None for a kind of update that only a newer server knows.
    update: TrustedKeys | Revocations | Heartbeat | None


class ServiceToken(NamedTuple):
    access_token: str
    expires_in: int


def decode_trust_update(data: bytes) -> TrustUpdate:
    cursor = ""
    update: TrustedKeys | Revocations | Heartbeat | None = None
    for number, value in fields(data):
        if number == 1:
            cursor = _text(value)
        elif number == 2:
            update = _decode_keys(_bytes(value))
        elif number == 3:
            update = _decode_revocations(_bytes(value))
        elif number == 4:
            ages = [_number(age) for number, age in fields(_bytes(value)) if number == 1]
            update = Heartbeat(ages[-1] & 0xFFFF_FFFF if ages else 0)
    return TrustUpdate(cursor, update)


def _decode_keys(data: bytes) -> TrustedKeys:
    jwks = issuer = ""
    audiences: list[str] = []
    max_lifetime = clock_skew = 0
    for number, value in fields(data):
        if number == 1:
            jwks = _text(value)
        elif number == 2:
            issuer = _text(value)
        elif number == 3:
            audiences.append(_text(value))
        elif number == 4:
            max_lifetime = _number(value) & 0xFFFF_FFFF
        elif number == 5:
            clock_skew = _number(value) & 0xFFFF_FFFF
    return TrustedKeys(jwks, issuer, tuple(audiences), max_lifetime, clock_skew)


def _decode_revocations(data: bytes) -> Revocations:
    revocations: list[Revocation] = []
    complete = False
    for number, value in fields(data):
        if number == 1:
            revocation = _decode_revocation(_bytes(value))
            if revocation is not None:
                revocations.append(revocation)
        elif number == 2:
            complete = _number(value) != 0
    return Revocations(revocations, complete)


def _decode_revocation(data: bytes) -> Revocation | None:
    kind: Literal["sid", "jti", "kid"] | None = None
    subject: bytes | str = ""
    expires_at = 0
    for number, value in fields(data):
        if number == 1:
            kind, subject = "sid", _bytes(value)
            if len(subject) != 16:
                raise WireError("a session id does not have 16 bytes")
        elif number == 2:
            kind, subject = "jti", _text(value)
        elif number == 3:
            kind, subject = "kid", _text(value)
        elif number == 4:
            kind, subject = "sid", _text(value)
        elif number == 5:
            expires_at = _number(value)
    return None if kind is None else Revocation(kind, subject, expires_at)


def decode_api_key_grant(data: bytes) -> ApiKeyGrant:
    texts = dict.fromkeys((1, 2, 4, 5, 7, 12), "")
    roles: list[str] = []
    networks: list[str] = []
    times: dict[int, int] = {}
    subject_type = max_age = 0
    for number, value in fields(data):
        if number in texts:
            texts[number] = _text(value)
        elif number == 3:
            subject_type = _number(value)
        elif number == 6:
            roles.append(_text(value))
        elif number == 8:
            networks.append(_text(value))
        elif number in (9, 10):
            # A Timestamp; whole seconds are enough.
            seconds = [_number(part) for field, part in fields(_bytes(value)) if field == 1]
            times[number] = seconds[-1] if seconds else 0
        elif number == 11:
            max_age = _number(value) & 0xFFFF_FFFF
    if not texts[1] or not texts[2] or not texts[7] or subject_type not in (_USER, _SERVICE):
        raise WireError("the answer does not say whose API key it is, or for what")
    return ApiKeyGrant(
        id=texts[1],
        subject=texts[2],
        is_user=subject_type == _USER,
        subject_name=texts[4],
        external_id=texts[5],
        roles=tuple(roles),
        audience=texts[7],
        networks=tuple(networks),
        created_at=times.get(9, 0),
        expires_at=times.get(10),
        max_age=max_age,
        revocation_id=texts[12],
    )


def decode_token_set(data: bytes) -> ServiceToken:
    access_token, expires_in = "", 0
    for number, value in fields(data):
        if number == 1:
            access_token = _text(value)
        elif number == 3:
            expires_in = _number(value) & 0xFFFF_FFFF
    if access_token == "" or expires_in == 0:
        raise WireError("the answer has no access token")
    return ServiceToken(access_token, expires_in)


def decode_error_reason(data: bytes) -> str | None:
    """The reason in the `grpc-status-details-bin` trailer. None when Postern did not write it."""
    for number, value in fields(data):
        if number != 3:
            continue
        message = dict(fields(_bytes(value)))
        if _text(message.get(1, b"")).endswith("/google.rpc.ErrorInfo"):
            info = dict(fields(_bytes(message.get(2, b""))))
            if _text(info.get(2, b"")) == "postern":
                return _text(info.get(1, b"")) or None
    return None


def encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def encode_message(*parts: tuple[int, int | str | bytes]) -> bytes:
    """Encodes fields in the given order. Those with the default value are left out, as in proto3."""
    encoded = bytearray()
    for number, value in parts:
        if isinstance(value, int):
            if value:
                encoded += encode_varint(number << 3 | _VARINT) + encode_varint(value)
        elif value:
            content = value.encode() if isinstance(value, str) else value
            encoded += encode_varint(number << 3 | _BYTES) + encode_varint(len(content)) + content
    return bytes(encoded)


def encode_watch_request(cursor: str) -> bytes:
    return encode_message((1, cursor))


def encode_service_token_request(client_id: str, client_secret: str, audience: str) -> bytes:
    return encode_message((1, client_id), (2, client_secret), (3, audience))


def encode_exchange_request(subject_token: str, service_account: str, audience: str, roles: Iterable[str]) -> bytes:
    return encode_message((1, subject_token), (2, service_account), (3, audience), *((4, role) for role in roles))


def encode_resolve_request(key_sha256: bytes) -> bytes:
    return encode_message((1, key_sha256))


def encode_status(
    code: int, message: str, reason: str, retry_after: float | None, metadata: Mapping[str, str] | None = None
) -> bytes:
    """A `google.rpc.Status` with `ErrorInfo`, and `RetryInfo` when there is a delay."""
    entries = ((3, encode_message((1, name), (2, value))) for name, value in (metadata or {}).items())
    details = [_any("ErrorInfo", encode_message((1, reason), (2, "postern"), *entries))]
    if retry_after is not None:
        seconds = int(retry_after)
        delay = encode_message((1, seconds), (2, round((retry_after - seconds) * 1e9)))
        details.append(_any("RetryInfo", encode_message((1, delay))))
    return encode_message((1, code), (2, message), *((3, detail) for detail in details))


def _any(name: str, value: bytes) -> bytes:
    return encode_message((1, f"type.googleapis.com/google.rpc.{name}"), (2, value))
