"""A middleware for Starlette, FastAPI and every other ASGI program."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from typing import Any

from .bearer import bearer_token, credentials_missing
from .caller import caller_variable
from .claims import Caller
from .refusal import Refused
from .requirements import Level, Requirements, check_requirements
from .verifier import Verifier

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class RequireToken:
    """Lets a request in if its `Authorization: Bearer` token or API key is valid, and puts the caller into
    `request.state.caller`.

    Others get 401, 403 or 503 with JSON, `{"error": "TOKEN_EXPIRED", "message": "..."}`. It guards WebSockets, too. Where
    browsers call from other origins, add the CORS middleware after this one: then it is in front and answers preflights.
    """

    def __init__(
        self,
        app: App,
        verifier: Verifier,
        *,
        roles: Collection[str] = (),
        audience: str | None = None,
        actors: Collection[str] | None = None,
        min_acr: Level | None = None,
        max_auth_age: int | None = None,
        public: Collection[str] = (),
        client_address: Callable[[Scope], str | None] | None = None,
    ) -> None:
        """
        :param actors: names of services, one of which must act for the subject
        :param min_acr: the lowest level that the session of the user may have
        :param max_auth_age: how many seconds ago the user may last have proved who they are
        :param public: paths that need no token, compared exactly
        :param client_address: from where a request comes, by its scope, for API keys that are limited to networks. By
            default what the server says, which behind a proxy is the proxy
        """
        self._requirements: Requirements = {
            "roles": roles,
            "audience": audience,
            "actors": actors,
            "min_acr": min_acr,
            "max_auth_age": max_auth_age,
        }
        check_requirements(**self._requirements)
        check_requirements(public, None)
        self._app = app
        self._verifier = verifier
        self._public = frozenset(public)
        self._client_address = client_address or client_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"] in self._public:
            await self._app(scope, receive, send)
            return
        try:
            address = self._client_address(scope)
            caller = await authenticate(self._verifier, scope["headers"], self._requirements, address)
        except Refused as refused:
            await _refuse(refused, scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        reset = caller_variable.set(caller)
        try:
            await self._app(scope, receive, send)
        finally:
            caller_variable.reset(reset)


def client_of(scope: Scope) -> str | None:
    """The address of the client as the server knows it; None for a unix socket."""
    client = scope.get("client")
    return client[0] if client else None


async def authenticate(
    verifier: Verifier,
    headers: Iterable[tuple[bytes, bytes]],
    requirements: Requirements,
    client_address: str | None,
) -> Caller:
    """The caller of a request by its raw headers. Raises `Refused`."""
    values = [value.decode("latin-1") for name, value in headers if name.lower() == b"authorization"]
    token = bearer_token(values)
    if token is None:
        raise credentials_missing("'Authorization: Bearer <token>'")
    return await verifier.averify(token, **requirements, client_address=client_address)


async def _refuse(refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    prefix = "http"
    if scope["type"] == "websocket":
        await receive()
        if "websocket.http.response" not in scope.get("extensions", {}):
            # The server answers 403: it cannot be told which status.
            await send({"type": "websocket.close", "code": 1008, "reason": refused.reason})
            return
        prefix = "websocket.http"
    body = json.dumps({"error": refused.reason, "message": refused.detail}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **refused.http_headers}
    encoded = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": f"{prefix}.response.start", "status": refused.http_status, "headers": encoded})
    await send({"type": f"{prefix}.response.body", "body": body})
