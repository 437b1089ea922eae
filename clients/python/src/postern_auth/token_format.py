"""The format of a token, checked before its signature.

JOSE libraries accept no forgeries, but are lenient about the format: spaces, padding, doubled members. One signed token
then has many texts, and two programs can read different users from it.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from json import JSONDecoder
from typing import Final, NamedTuple, NoReturn

from .refusal import Refused

#: Longer tokens are refused without being parsed.
MAX_TOKEN_BYTES: Final = 8192
#: Bounds the nesting of claims.
MAX_DEPTH: Final = 16
_MAX_KID_LENGTH: Final = 128


class Header(NamedTuple):
    alg: str
    kid: str | None
    typ: str | None


class UnverifiedToken(NamedTuple):
    """A well-formed token. Do not trust the contents: the signature has not been checked."""

    header: Header
    claims: dict[str, object]
    signed: bytes
    signature: bytes


def parse_token(token: str) -> UnverifiedToken:
    """Splits and decodes a compact JWS. Raises `Refused` with TOKEN_TOO_LARGE or TOKEN_MALFORMED."""
    # A character has at least one byte of UTF-8, so the length alone refuses a megabyte without reading it.
    if len(token) > MAX_TOKEN_BYTES:
        raise too_large()
    try:
        encoded = token.encode("ascii")
    except UnicodeEncodeError:
        if len(token.encode("utf-8", "surrogatepass")) > MAX_TOKEN_BYTES:
            raise too_large() from None
        segments = token.split(".")
        if len(segments) != 3 or "" in segments:
            raise _malformed("a token is three base64url segments joined by dots") from None
        raise _malformed("a segment is not canonical base64url") from None
    parts = encoded.split(b".")
    if len(parts) != 3 or b"" in parts:
        raise _malformed("a token is three base64url segments joined by dots")
    header_segment, claims_segment, signature_segment = parts
    header_json = decode_base64url(header_segment)
    claims_json = decode_base64url(claims_segment)
    signature = decode_base64url(signature_segment)
    if header_json is None or claims_json is None or signature is None:
        raise _malformed("a segment is not canonical base64url")
    header = _last_header.get(header_json) or _read_header(header_json)
    claims = _read_object(claims_json, "claims")
    return UnverifiedToken(header, claims, encoded[: -len(signature_segment) - 1], signature)


def too_large() -> Refused:
    return Refused("TOKEN_TOO_LARGE", f"the token is longer than {MAX_TOKEN_BYTES} bytes")


def decode_base64url(segment: bytes) -> bytes | None:
    """Decodes canonical base64url: no padding, no other characters, unused bits zero. None for anything else."""
    try:
        decoded = urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    except ValueError:
        return None
    # The decoder skips what it does not know. Encoding again gives the one canonical text.
    return decoded if urlsafe_b64encode(decoded).rstrip(b"=") == segment else None


#: The last valid header: all tokens of one key have the same.
_last_header: dict[bytes, Header] = {}


def _read_header(json: bytes) -> Header:
    members = _read_object(json, "header")
    if not members.keys() <= {"alg", "kid", "typ"}:
        raise _malformed("the header has a member other than alg, kid and typ")
    alg, kid, typ = (members.get(name, _ABSENT) for name in ("alg", "kid", "typ"))
    if not isinstance(alg, str) or not isinstance(kid, str | _Absent) or not isinstance(typ, str | _Absent):
        raise _malformed("alg, kid and typ must be strings, and alg present")
    if isinstance(kid, str) and not 1 <= utf16_length(kid) <= _MAX_KID_LENGTH:
        raise _malformed(f"kid must have 1 to {_MAX_KID_LENGTH} characters")
    header = Header(alg, kid if isinstance(kid, str) else None, typ if isinstance(typ, str) else None)
    _last_header.clear()
    _last_header[json] = header
    return header


class _Absent:
    pass


_ABSENT: Final = _Absent()


def utf16_length(text: str) -> int:
    """The length in UTF-16 units, in which Postern's limits are written."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _not_json(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


# Numbers are read as doubles, as every other verifier reads them: 1e400 becomes infinite, which the claim rules refuse.
_decoder = JSONDecoder(object_pairs_hook=_distinct, parse_int=float, parse_constant=_not_json)


def _read_object(json: bytes, name: str) -> dict[str, object]:
    try:
        text = json.decode()
    except UnicodeDecodeError:
        raise _malformed(f"the {name} {'is' if name == 'header' else 'are'} not UTF-8") from None
    try:
        value: object = _decoder.decode(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or (_may_be_deep(text) and _depth(value) > MAX_DEPTH):
        raise _malformed(f"the {name} {'is' if name == 'header' else 'are'} not one JSON object with distinct members")
    return value


def _may_be_deep(text: str) -> bool:
    return text.count("{") + text.count("[") > MAX_DEPTH


def _depth(value: object) -> int:
    deepest = 0
    rest = [(value, 1)]
    while rest:
        item, depth = rest.pop()
        if isinstance(item, dict | list):
            deepest = max(deepest, depth)
            rest += [(child, depth + 1) for child in (item.values() if isinstance(item, dict) else item)]
    return deepest


def _malformed(detail: str) -> Refused:
    return Refused("TOKEN_MALFORMED", detail)
