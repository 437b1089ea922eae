"""A dependency for FastAPI.

Annotations are evaluated here: of a dependency that is an object, older releases of FastAPI do not resolve those that are
texts, and take the connection for a parameter of the query.
"""

from collections.abc import Callable, Collection
from typing import Literal, overload

from fastapi import HTTPException
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from .caller import caller_variable
from .claims import Caller
from .refusal import Refused
from .requirements import Level, Requirements, check_optional, check_requirements
from .starlette import authenticate, client_of
from .verifier import Verifier


class _CallerDependency(SecurityBase):
    """A security scheme, so that OpenAPI names it and Swagger has its Authorize button."""

    def __init__(
        self,
        verifier: Verifier,
        requirements: Requirements,
        optional: bool,
        scheme: SecurityBase | None,
        client_address: Callable[[HTTPConnection], str | None] | None,
    ) -> None:
        check_requirements(**requirements)
        self._verifier = verifier
        self._requirements = requirements
        self._optional = optional
        self._client_address = client_address or _client_of
        self.model = HTTPBearer(bearerFormat="JWT") if scheme is None else scheme.model
        self.scheme_name = "postern" if scheme is None else scheme.scheme_name

    async def __call__(self, connection: HTTPConnection) -> Caller | None:
        """Asynchronous, so that the variable that it sets reaches the function of the path, also one in a thread."""
        try:
            address = self._client_address(connection)
            caller = await authenticate(self._verifier, connection.headers.raw, self._requirements, address)
        except Refused as refused:
            if self._optional and refused.reason == "CREDENTIALS_MISSING":
                return None
            raise HTTPException(
                status_code=refused.http_status,
                detail={"error": refused.reason, "message": refused.detail},
                headers=refused.http_headers,
            ) from None
        caller_variable.set(caller)
        return caller


def _client_of(connection: HTTPConnection) -> str | None:
    return client_of(connection.scope)


class CallerDependency(_CallerDependency):
    async def __call__(self, connection: HTTPConnection) -> Caller:
        caller = await super().__call__(connection)
        assert caller is not None
        return caller


class OptionalCallerDependency(_CallerDependency):
    pass


@overload
def caller(
    verifier: Verifier,
    *,
    roles: Collection[str] = (),
    audience: str | None = None,
    actors: Collection[str] | None = None,
    min_acr: Level | None = None,
    max_auth_age: int | None = None,
    optional: Literal[False] = False,
    scheme: SecurityBase | None = None,
    client_address: Callable[[HTTPConnection], str | None] | None = None,
) -> CallerDependency: ...
@overload
def caller(
    verifier: Verifier,
    *,
    audience: str | None = None,
    optional: Literal[True],
    scheme: SecurityBase | None = None,
    client_address: Callable[[HTTPConnection], str | None] | None = None,
) -> OptionalCallerDependency: ...
def caller(
    verifier: Verifier,
    *,
    roles: Collection[str] = (),
    audience: str | None = None,
    actors: Collection[str] | None = None,
    min_acr: Level | None = None,
    max_auth_age: int | None = None,
    optional: bool = False,
    scheme: SecurityBase | None = None,
    client_address: Callable[[HTTPConnection], str | None] | None = None,
) -> _CallerDependency:
    """A dependency that returns the caller of a request, or answers 401, 403 or 503 with the headers of RFC 6750 and RFC 9470.

    :param roles: roles that the caller must have, all of them
    :param actors: names of services, one of which must act for the subject
    :param min_acr: the lowest level that the session of the user may have
    :param max_auth_age: how many seconds ago the user may last have proved who they are
    :param optional: None for a request without a token; a token that is sent must be valid
    :param scheme: the security scheme that OpenAPI shows, such as `OAuth2PasswordBearer(tokenUrl="token")`; by default
        a bearer token
    :param client_address: from where a request comes, for API keys that are limited to networks. By default what the
        server says, which behind a proxy is the proxy
    """
    requirements: Requirements = {
        "roles": roles,
        "audience": audience,
        "actors": actors,
        "min_acr": min_acr,
        "max_auth_age": max_auth_age,
    }
    if optional:
        check_optional(roles, actors, min_acr, max_auth_age)
    kind = OptionalCallerDependency if optional else CallerDependency
    return kind(verifier, requirements, optional, scheme, client_address)
