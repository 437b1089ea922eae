"""What a program requires of a caller whose token is valid."""

from __future__ import annotations

from collections.abc import Collection
from time import time
from typing import Final, Literal, TypedDict, TypeGuard, get_args

from .claims import Caller
from .refusal import Refused

#: The levels of a session (claim `acr`), the lowest first, with the names of NIST SP 800-63B: `aal2` when a second factor or a
#: passkey that verified its user was used.
Level = Literal["aal1", "aal2"]
LEVELS: Final[tuple[Level, ...]] = get_args(Level)
#: That of Postern's own API.
MAX_AUTH_AGE: Final = 2**32 - 1


class Requirements(TypedDict):
    """As `Verifier.verify` takes them."""

    roles: Collection[str]
    audience: str | None
    actors: Collection[str] | None
    min_acr: Level | None
    max_auth_age: int | None


def require_authentication(caller: Caller, min_acr: Level | None, max_auth_age: int | None) -> None:
    """Raises `Refused` when the user has not proved enough, or too long ago."""
    check_authentication(min_acr, max_auth_age)
    if min_acr is not None and caller.acr not in LEVELS[LEVELS.index(min_acr) :]:
        detail = "this needs a second factor; call StepUp with a code or a passkey"
        if min_acr == "aal1":
            detail = "this needs the token of a login"
        raise Refused("STEP_UP_REQUIRED", detail, min_acr, max_auth_age)
    if max_auth_age is None:
        return
    if caller.authenticated_at is None or int(time()) - caller.authenticated_at > max_auth_age:
        detail = f"this needs a proof of at most {max_auth_age} seconds ago; call StepUp"
        raise Refused("STEP_UP_REQUIRED", detail, min_acr, max_auth_age)


def strictest(one: tuple[Level | None, int | None], other: tuple[Level | None, int | None]) -> tuple[Level | None, int | None]:
    """The highest level and the shortest time, so that one refusal names all that the caller has to prove."""
    levels = [level for level in LEVELS if level in (one[0], other[0])]
    ages = [age for age in (one[1], other[1]) if age is not None]
    return (levels[-1] if levels else None), min(ages, default=None)


def require_roles(caller: Caller, roles: Collection[str]) -> None:
    if isinstance(roles, str):
        raise TypeError("roles must be a list of strings, not a string")
    for role in roles:
        if role not in caller.roles:
            raise Refused("ROLE_MISSING", f"the subject lacks the role '{role}'")


def require_actor(caller: Caller, actors: Collection[str]) -> None:
    if isinstance(actors, str):
        raise TypeError("actors must be a list of strings, not a string")
    # Only the service that made this call counts (RFC 8693 section 4.1): those before it are history.
    name = None if caller.actor is None else caller.actor.name
    if name is None or name not in actors:
        raise Refused("ACTOR_NOT_ALLOWED", "the token names no service that may act here")


def is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value != ""


def check_requirements(
    roles: object, audience: object, actors: object = None, min_acr: object = None, max_auth_age: object = None
) -> None:
    """Checks what a program requires when it is set up: a wrong type would silently open or close a method."""
    if isinstance(roles, str) or not isinstance(roles, Collection) or not all(map(is_name, roles)):
        raise TypeError("roles must be a list of strings")
    if actors is not None and (
        isinstance(actors, str) or not isinstance(actors, Collection) or not actors or not all(map(is_name, actors))
    ):
        raise TypeError("actors must be a list of strings that is not empty, or None")
    if audience is not None and not is_name(audience):
        raise TypeError("audience must be a string that is not empty")
    check_authentication(min_acr, max_auth_age)


def check_authentication(min_acr: object, max_auth_age: object) -> None:
    if min_acr is not None and min_acr not in LEVELS:
        raise ValueError(f"min_acr must be one of {', '.join(LEVELS)}, or None")
    if max_auth_age is not None and (type(max_auth_age) is not int or not 1 <= max_auth_age <= MAX_AUTH_AGE):
        raise ValueError(f"max_auth_age must be a whole number of seconds, 1 to {MAX_AUTH_AGE}, or None")


def check_optional(roles: Collection[str], actors: object, min_acr: object, max_auth_age: object) -> None:
    """Checks what is required beside a token that may be absent."""
    if roles:
        raise ValueError("a caller without a token has no roles; remove roles or optional")
    if actors is not None:
        raise ValueError("a caller without a token has no actor; remove actors or optional")
    if min_acr is not None or max_auth_age is not None:
        raise ValueError("a caller without a token has proved nothing; remove min_acr and max_auth_age, or optional")
