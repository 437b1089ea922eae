"""The token of an `authorization: Bearer` header (RFC 6750 section 2.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from .refusal import Refused

_BEARER: Final = re.compile(r"bearer ([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE | re.ASCII)
_OTHER_BEARER: Final = re.compile(r"bearer\s+\S", re.IGNORECASE)


def bearer_token(values: Sequence[str]) -> str | None:
    """The token of the authorization headers of one call. None without one, or with another scheme.

    :param values: one entry for each time the header was sent: two are refused, since another program could read the other
    :raises Refused: TOKEN_MALFORMED
    """
    if isinstance(values, str):
        # Its characters would pass for the values of as many headers.
        raise TypeError("the authorization headers must be a list of strings, one for each header")
    if len(values) > 1:
        # Even beside an empty one.
        raise Refused("TOKEN_MALFORMED", "the call has more than one authorization header; send one")
    if not values or not values[0].strip():
        return None
    match = _BEARER.fullmatch(values[0])
    if match is not None:
        return match[1]
    if _OTHER_BEARER.match(values[0]) is None:
        return None
    raise Refused("TOKEN_MALFORMED", "the authorization header must be 'Bearer', one space and one token")


def credentials_missing(where: str) -> Refused:
    return Refused("CREDENTIALS_MISSING", f"send the access token as {where}")
