"""What an API key looks like, and what it may do."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from time import monotonic
from typing import Final

from . import wire
from .claims import Caller
from .refusal import Refused

API_KEY_PREFIX: Final = "pak_"
_FORM: Final = re.compile(r"pak_[0-9A-Za-z]{49}", re.ASCII)
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM_LENGTH: Final = 6
#: How long an answer is used, whatever it says itself: Postern streams the revocations of keys for a little longer.
MAX_AGE: Final = 600.0

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Grant:
    """What an API key may do, and for how long that is known."""

    caller: Caller
    #: None for every network.
    networks: tuple[IPv4Network | IPv6Network, ...] | None
    #: Revoked as a token: the key has ended, or it or its owner has changed.
    revoked_as: tuple[str, ...]
    #: Monotonic.
    known_until: float

    def allows(self, address: Address | None) -> bool:
        if self.networks is None:
            return True
        return address is not None and any(address in network for network in self.networks)


def looks_like_api_key(token: str) -> bool:
    """Whether it is an API key, valid or not: no access token begins like that."""
    return token.startswith(API_KEY_PREFIX)


def is_well_formed(key: str) -> bool:
    """Whether the checksum is right. Others are refused without a call."""
    if _FORM.fullmatch(key) is None:
        return False
    body, checksum = key[:-_CHECKSUM_LENGTH], binascii.crc32(key[:-_CHECKSUM_LENGTH].encode("ascii"))
    expected = ""
    for _ in range(_CHECKSUM_LENGTH):
        checksum, digit = divmod(checksum, len(_ALPHABET))
        expected = _ALPHABET[digit] + expected
    return key == body + expected


def caller_address(text: str | None) -> Address | None:
    """The address that identifies a caller. None for one on this machine: a proxy or tunnel may forward the calls of many."""
    if text is None:
        return None
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return None if address.is_loopback else address


def peer_ip(peer: str) -> str | None:
    """The address in the peer of a gRPC call, `ipv4:192.0.2.1:4711` or `ipv6:[2001:db8::1]:4711`; None for a socket."""
    match = re.fullmatch(r"ipv[46]:(?:\[|%5B)?([^\[\]]+?)(?:\]|%5D)?:[0-9]+", peer)
    return None if match is None else match[1].replace("%25", "%")


def grant_of(answer: wire.ApiKeyGrant, issuer: str) -> Grant:
    caller = Caller(
        subject=answer.subject,
        subject_type="user" if answer.is_user else "service",
        session_id=None,
        token_id=answer.id,
        client_id=None if answer.is_user else answer.subject,
        external_id=answer.external_id or None,
        subject_name=answer.subject_name or None,
        actor=None,
        issuer=issuer,
        audience=(answer.audience,),
        roles=answer.roles,
        issued_at=answer.created_at,
        expires_at=answer.expires_at,
        key_id=None,
        credential_kind="api_key",
    )
    return Grant(
        caller=caller,
        # One that cannot be read is an error: leaving it out could take the restriction away.
        networks=tuple(ip_network(text, strict=False) for text in answer.networks) or None,
        revoked_as=tuple(token_id for token_id in (answer.id, answer.revocation_id) if token_id),
        known_until=monotonic() + min(answer.max_age, MAX_AGE),
    )


def invalid() -> Refused:
    """One answer for every cause, as Postern's own: what is wrong with a key is for its owner alone."""
    return Refused("API_KEY_INVALID", "the API key is unknown, revoked or expired, or may not be used from this network")
