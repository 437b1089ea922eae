"""What makes the claims of a token acceptable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from .refusal import Refused
from .token_format import utf16_length


@dataclass(frozen=True, slots=True)
class Actor:
    """A service account that acts for the subject of a token."""

    subject: str
    #: Its name when the token was issued.
    name: str | None
    #: Who acted before it; None for the first one.
    actor: Actor | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a verified token or API key is for. Times are Unix time in seconds."""

    subject: str
    subject_type: Literal["user", "service"]
    session_id: str | None
    #: The id of the API key, if it is one.
    token_id: str
    #: None for the API key of a user.
    client_id: str | None
    #: The user's id in another program.
    external_id: str | None
    #: The name of the service account.
    subject_name: str | None
    #: Who acts for the subject.
    actor: Actor | None
    issuer: str
    audience: tuple[str, ...]
    roles: tuple[str, ...]
    #: When an API key was created.
    issued_at: int
    #: None for an API key that does not expire.
    expires_at: int | None
    #: The key that signed the token. None for an API key.
    key_id: str | None
    credential_kind: Literal["access_token", "api_key"] = "access_token"
    #: The level of the session, `aal1` or `aal2`. None where the token does not say it, as those of service accounts, and
    #: for an API key.
    acr: str | None = None
    #: How the user proved who they are (RFC 8176): `pwd`, `otp`, `hwk`, `swk`, `mfa`, and `recovery`.
    amr: tuple[str, ...] = ()
    #: When the user last proved it. None where the token does not say it, and for an API key.
    authenticated_at: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules that claims are checked against."""

    #: Compared exactly.
    issuer: str
    #: The token must name one of these.
    audiences: tuple[str, ...]
    #: Maximum of `exp - iat`, in seconds.
    max_lifetime: int
    #: The tolerated clock difference, in seconds.
    skew: int


_ABSENT: Final = object()
_MAX_DATE: Final = 2**40
#: A call can pass through as many services.
_MAX_ACTORS: Final = 4
_UNSAFE: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")


def check_claims(claims: Mapping[str, object], policy: Policy, key_id: str, now: float) -> Caller:
    """Reads the claims of a token whose signature is valid. Raises `Refused`.

    First the type of every claim, then issuer, audience and lifetime, then the times. Unknown claims are ignored (RFC 7519
    section 4), so a newer issuer may add some.
    """
    subject = _identifier(claims, "sub")
    exp, iat = _date(claims, "exp"), _date(claims, "iat")
    token_id, client_id = _identifier(claims, "jti"), _identifier(claims, "client_id")
    session_id = _identifier(claims, "sid") if "sid" in claims else None
    external_id = _identifier(claims, "external_id") if "external_id" in claims else None
    subject_name = _identifier(claims, "name") if "name" in claims else None
    acr = _identifier(claims, "acr") if "acr" in claims else None
    amr = _identifiers(claims.get("amr", []))
    if amr is None:
        raise _invalid("amr must be a list of strings of 1 to 256 characters without control characters")
    authenticated_at = int(_date(claims, "auth_time")) if "auth_time" in claims else None
    actor = _actor(claims["act"], _MAX_ACTORS) if "act" in claims else None
    roles = _identifiers(claims.get("roles"))
    if roles is None:
        raise _invalid("roles must be a list of strings of 1 to 256 characters without control characters")
    if claims.get("iss") != policy.issuer:
        raise _invalid("iss is not the trusted issuer")
    audience = _audience(claims, policy)
    if exp - iat > policy.max_lifetime:
        raise _invalid("the time from iat to exp is longer than the maximum lifetime of a token")
    nbf = _date(claims, "nbf") if "nbf" in claims else None
    expires_at = int(exp)
    if now >= expires_at + policy.skew:
        raise expired()
    if nbf is not None and nbf > now + policy.skew:
        raise Refused("TOKEN_NOT_YET_VALID", "nbf is in the future")
    if iat > now + policy.skew:
        raise Refused("TOKEN_NOT_YET_VALID", "iat is in the future")
    return Caller(
        subject=subject,
        subject_type="service" if session_id is None else "user",
        session_id=session_id,
        token_id=token_id,
        client_id=client_id,
        external_id=external_id,
        subject_name=subject_name if session_id is None else None,
        actor=actor,
        issuer=policy.issuer,
        audience=audience,
        roles=roles,
        issued_at=int(iat),
        expires_at=expires_at,
        key_id=key_id,
        acr=acr,
        amr=amr,
        authenticated_at=authenticated_at,
    )


def expired() -> Refused:
    return Refused("TOKEN_EXPIRED", "the token has expired")


def wrong_audience() -> Refused:
    return _invalid("aud does not have the required audience")


def is_identifier(value: object) -> bool:
    """Safe to store, log and put into a header: 1 to 256 characters, no control characters or lone surrogates."""
    if not isinstance(value, str) or not value:
        return False
    if value.isascii():
        return len(value) <= 256 and value.isprintable()
    return utf16_length(value) <= 256 and _UNSAFE.search(value) is None


def _identifier(claims: Mapping[str, object], name: str) -> str:
    value = claims.get(name)
    if isinstance(value, str) and is_identifier(value):
        return value
    raise _invalid(f"{name} must be a string of 1 to 256 characters without control characters")


def _actor(value: object, remaining: int) -> Actor:
    """The claim `act` (RFC 8693 section 4.1). It decides who may call, so a malformed one refuses the token."""
    if isinstance(value, dict) and remaining > 0:
        subject, name = value.get("sub"), value.get("name")
        is_named = "name" not in value or is_identifier(name)
        if isinstance(subject, str) and is_identifier(subject) and is_named:
            before = _actor(value["act"], remaining - 1) if "act" in value else None
            return Actor(subject, name if isinstance(name, str) else None, before)
    raise _invalid(f"act must be an object with sub and perhaps name and act, nested at most {_MAX_ACTORS} deep")


def _identifiers(value: object) -> tuple[str, ...] | None:
    return tuple(value) if isinstance(value, list) and all(map(is_identifier, value)) else None


def _date(claims: Mapping[str, object], name: str) -> float:
    """A NumericDate (RFC 7519 section 2) in a plausible range. Of JSON only numbers arrive as `float`; True is a bool."""
    value = claims.get(name)
    if isinstance(value, float) and 0 < value < _MAX_DATE:
        return value
    raise _invalid(f"{name} must be a number of seconds, greater than 0 and less than 2^40")


def _audience(claims: Mapping[str, object], policy: Policy) -> tuple[str, ...]:
    aud = claims.get("aud", _ABSENT)
    if aud is _ABSENT:
        raise _invalid("the token has no aud, which must have an accepted audience")
    audience = _identifiers([aud] if isinstance(aud, str) else aud)
    if audience is None:
        raise _invalid("aud must be a string or a list of strings")
    if not any(accepted in audience for accepted in policy.audiences):
        raise _invalid("aud has no accepted audience")
    return audience


def _invalid(detail: str) -> Refused:
    return Refused("TOKEN_CLAIMS_INVALID", detail)
