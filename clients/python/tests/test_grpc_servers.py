"""V23 The interceptors, on servers of grpc and grpc.aio, with every kind of handler."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest

from conftest import Until
from corpus import answer
from postern_auth import PUBLIC, Require, Verifier, current_caller, grpc_aio, grpc_sync, optional_caller, wire
from service import Center

RULES = {
    "/shop.Orders/Hours": PUBLIC,
    "/shop.Orders/Look": Require(optional=True),
    "/shop.Orders/Cancel": Require(roles=["admin"]),
    "/shop.Orders/Edit": Require(roles=["editor"], audience="orders"),
}
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


def who() -> bytes:
    caller = optional_caller()
    return b"nobody" if caller is None else caller.subject.encode()


def sync_unary(request: Any, context: Any) -> bytes:
    return who()


def sync_stream(request: Any, context: Any) -> Iterator[bytes]:
    yield who()
    yield who()


async def async_unary(request: Any, context: Any) -> bytes:
    await asyncio.sleep(0)
    return who()


async def async_stream(request: Any, context: Any) -> AsyncIterator[bytes]:
    yield who()
    await asyncio.sleep(0)
    yield who()


async def async_writer(request: Any, context: Any) -> None:
    await context.write(who())


def handlers(unary: Callable[..., Any], stream: Callable[..., Any], **others: Callable[..., Any]) -> Any:
    methods = {
        "unary_unary": grpc.unary_unary_rpc_method_handler(unary),
        "unary_stream": grpc.unary_stream_rpc_method_handler(stream),
        "stream_unary": grpc.stream_unary_rpc_method_handler(unary),
        "stream_stream": grpc.stream_stream_rpc_method_handler(stream),
        **{name: grpc.unary_unary_rpc_method_handler(unary) for name in ("Hours", "Look", "Cancel", "Edit")},
        **{name: grpc.unary_stream_rpc_method_handler(handler) for name, handler in others.items()},
    }
    return grpc.method_handlers_generic_handler("shop.Orders", methods)


@pytest.fixture
def sync_server(verifier: Verifier) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(4), interceptors=[grpc_sync.Authenticate(verifier, RULES)])
    server.add_generic_rpc_handlers((handlers(sync_unary, sync_stream),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


class AsyncServer:
    """A server of grpc.aio on a thread of its own."""

    def __init__(self, verifier: Verifier, *generic_handlers: Any, **options: Any) -> None:
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._handlers = generic_handlers
        self._authenticate = grpc_aio.Authenticate(verifier, RULES, **options)
        self.address = ""
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()))
        self._thread.start()
        assert self._started.wait(10)

    async def _run(self) -> None:
        self._stop = asyncio.Event()
        server = grpc.aio.server(ThreadPoolExecutor(4), interceptors=[self._authenticate])
        server.add_generic_rpc_handlers(self._handlers)
        self.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        self._started.set()
        await self._stop.wait()
        await server.stop(None)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def aio_sync_server(verifier: Verifier) -> Iterator[str]:
    server = AsyncServer(verifier, handlers(sync_unary, sync_stream))
    yield server.address
    server.close()


@pytest.fixture
def aio_async_server(verifier: Verifier) -> Iterator[str]:
    server = AsyncServer(verifier, handlers(async_unary, async_stream, Writer=async_writer))
    yield server.address
    server.close()


@pytest.fixture(params=["sync_server", "aio_sync_server", "aio_async_server"])
def address(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def call(address: str, method: str, *tokens: str) -> Any:
    """The responses, or the error."""
    metadata = [("authorization", token) for token in tokens]
    kind = method if method in KINDS else "unary_stream" if method == "Writer" else "unary_unary"
    with grpc.insecure_channel(address) as channel:
        make = getattr(channel, kind)(f"/shop.Orders/{method}")
        request: Any = iter([b"a", b"b"]) if kind.startswith("stream") else b"a"
        try:
            answer = make(request, metadata=metadata, timeout=10)
            return list(answer) if kind.endswith("stream") else [answer]
        except grpc.RpcError as error:
            return error


def refusal(error: Any) -> tuple[str, str | None]:
    details = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
    return error.code().name, wire.decode_error_reason(details)


def test_the_caller_reaches_handlers_of_every_kind(address: str, center: Center) -> None:
    token = f"Bearer {center.first.login('orders').access_token}"
    subject = call(address, "Edit", token)
    assert len(subject[0]) == 36
    for kind in KINDS:
        assert call(address, kind, token) == subject * (2 if kind.endswith("stream") else 1), kind
    # The next call in the same thread has no caller.
    assert call(address, "Hours") == [b"nobody"]
    assert call(address, "Hours", "Bearer a.b.c") == [b"nobody"]


def test_a_handler_that_writes_its_responses(aio_async_server: str, center: Center) -> None:
    token = f"Bearer {center.first.login().access_token}"
    assert call(aio_async_server, "Writer", token) == call(aio_async_server, "Look", token)
    assert refusal(call(aio_async_server, "Writer")) == ("UNAUTHENTICATED", "CREDENTIALS_MISSING")


def test_calls_are_refused_as_postern_does(address: str, center: Center, verifier: Verifier, until: Until) -> None:
    valid = f"Bearer {center.first.login().access_token}"
    for kind in KINDS:
        assert refusal(call(address, kind)) == ("UNAUTHENTICATED", "CREDENTIALS_MISSING"), kind
        assert refusal(call(address, kind, "Bearer a.b.c")) == ("UNAUTHENTICATED", "TOKEN_MALFORMED"), kind
    assert refusal(call(address, "unary_unary", valid, valid)) == ("UNAUTHENTICATED", "TOKEN_MALFORMED")
    assert refusal(call(address, "Cancel", valid)) == ("PERMISSION_DENIED", "ROLE_MISSING")
    assert refusal(call(address, "Edit", valid)) == ("UNAUTHENTICATED", "TOKEN_CLAIMS_INVALID")
    assert call(address, "Look") == [b"nobody"]
    assert refusal(call(address, "Look", "Bearer a.b.c")) == ("UNAUTHENTICATED", "TOKEN_MALFORMED")
    token = valid.removeprefix("Bearer ")
    center.first.revoke(token)
    until(lambda: answer(verifier, token) == "TOKEN_REVOKED", "the revocation arrives")
    assert refusal(call(address, "unary_unary", valid)) == ("UNAUTHENTICATED", "TOKEN_REVOKED")
    assert call(address, "Missing").code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_verifier_without_keys_answers_unavailable() -> None:
    with Verifier("127.0.0.1:1") as verifier:
        authenticate = grpc_sync.Authenticate(verifier)
        metadata = (("authorization", "Bearer a.b.c"),)
        verdict: Any = authenticate.judge(SimpleNamespace(method="/shop.Orders/Get", invocation_metadata=metadata))
    assert verdict.code is grpc.StatusCode.UNAVAILABLE
    name, status = verdict.trailers[0]
    assert (name, wire.decode_error_reason(status)) == ("grpc-status-details-bin", "TRUST_STALE")
    # RetryInfo with a delay of one second.
    assert b"type.googleapis.com/google.rpc.RetryInfo\x12\x04\x0a\x02\x08\x01" in status


def test_misspelt_rules_are_errors_at_the_start() -> None:
    service = SimpleNamespace(full_name="shop.Orders", methods=[SimpleNamespace(name="Cancel")])
    with Verifier("127.0.0.1:1") as verifier:
        grpc_sync.Authenticate(verifier, {"/shop.Orders/Cancel": PUBLIC}, services=[service])
        with pytest.raises(ValueError, match="no service has the method '/shop.Orders/Cancle'"):
            grpc_sync.Authenticate(verifier, {"/shop.Orders/Cancle": PUBLIC}, services=[service])
        rules: Any = {"Cancel": "open"}
        with pytest.raises(ValueError, match="'Cancel' is not a full method name; .*neither PUBLIC nor a Require"):
            grpc_aio.Authenticate(verifier, rules)
    wrongs: tuple[dict[str, Any], ...] = ({"roles": "admin"}, {"roles": [1]}, {"audience": ""})
    for wrong in wrongs:
        with pytest.raises(TypeError):
            Require(**wrong)
    with pytest.raises(ValueError, match="has no roles"):
        Require(roles=["admin"], optional=True)
    with pytest.raises(LookupError, match="no caller"):
        current_caller()
