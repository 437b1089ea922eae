"""Q40, Q44 API keys at the interceptors, the middleware and the dependency."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, Any

import grpc
import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import postern_auth.fastapi
from fake import FakePostern, new_key
from postern_auth import Caller, PolicyFile, Require, Verifier, current_caller, grpc_sync
from postern_auth.starlette import RequireToken
from test_grpc_servers import (
    KINDS,
    RULES,
    AsyncServer,
    async_stream,
    async_unary,
    async_writer,
    call,
    handlers,
    refusal,
    sync_stream,
    sync_unary,
)

Serve = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="module")
def postern() -> Iterator[FakePostern]:
    running = FakePostern()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def verifier(postern: FakePostern) -> Iterator[Verifier]:
    with postern.verifier() as v:
        yield v


@contextmanager
def grpc_server(verifier: Verifier, generic: Any, **options: Any) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(4), interceptors=[grpc_sync.Authenticate(verifier, RULES, **options)])
    server.add_generic_rpc_handlers((generic,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    # Its threads would keep the interpreter alive after a test that fails.
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@contextmanager
def aio_server(verifier: Verifier, generic: Any, **options: Any) -> Iterator[str]:
    server = AsyncServer(verifier, generic, **options)
    try:
        yield server.address
    finally:
        server.close()


@pytest.fixture(params=["grpc", "grpc.aio with functions", "grpc.aio with coroutines"])
def serve(request: pytest.FixtureRequest, verifier: Verifier) -> Serve:
    if request.param == "grpc":
        return lambda **options: grpc_server(verifier, handlers(sync_unary, sync_stream), **options)
    if request.param == "grpc.aio with functions":
        return lambda **options: aio_server(verifier, handlers(sync_unary, sync_stream), **options)
    return lambda **options: aio_server(verifier, handlers(async_unary, async_stream, Writer=async_writer), **options)


def test_a_key_is_accepted_wherever_a_token_is(serve: Serve, postern: FakePostern) -> None:
    key = postern.create(roles=["editor"])
    subject = postern.grant(key).subject.encode()
    with serve() as address:
        assert call(address, "Edit", f"Bearer {key}") == [subject]
        assert call(address, "Look", f"Bearer {key}") == [subject]
        for kind in KINDS:
            assert call(address, kind, f"Bearer {key}") == [subject] * (2 if kind.endswith("stream") else 1), kind
            # One that is asked about at this call.
            other = postern.create()
            assert call(address, kind, f"Bearer {other}")[0] == postern.grant(other).subject.encode(), kind
            for invalid in (new_key(), f"{key}0"):
                refused = call(address, kind, f"Bearer {invalid}")
                assert refusal(refused) == ("UNAUTHENTICATED", "API_KEY_INVALID"), kind
        assert refusal(call(address, "Cancel", f"Bearer {key}")) == ("PERMISSION_DENIED", "ROLE_MISSING")
        other = postern.create(roles=["editor"], audience="postern")
        assert refusal(call(address, "Edit", f"Bearer {other}")) == ("UNAUTHENTICATED", "TOKEN_CLAIMS_INVALID")
        assert refusal(call(address, "Look", f"Bearer {new_key()}")) == ("UNAUTHENTICATED", "API_KEY_INVALID")
        # The next call in the same thread has no caller.
        assert call(address, "Hours", f"Bearer {key}") == [b"nobody"]


def test_a_handler_that_writes_its_responses(verifier: Verifier, postern: FakePostern) -> None:
    key = postern.create()
    with aio_server(verifier, handlers(async_unary, async_stream, Writer=async_writer)) as address:
        assert call(address, "Writer", f"Bearer {key}") == [postern.grant(key).subject.encode()]
        assert refusal(call(address, "Writer", f"Bearer {new_key()}")) == ("UNAUTHENTICATED", "API_KEY_INVALID")


def test_a_refused_key_reaches_no_handler(verifier: Verifier) -> None:
    reached: list[str] = []

    def unary(request: Any, context: Any) -> bytes:
        reached.append("unary")
        return b""

    def stream(request: Any, context: Any) -> Iterator[bytes]:
        reached.append("stream")
        yield b""

    for server in (grpc_server, aio_server):
        with server(verifier, handlers(unary, stream)) as address:
            for kind in KINDS:
                assert refusal(call(address, kind, f"Bearer {new_key()}")) == ("UNAUTHENTICATED", "API_KEY_INVALID")
    assert reached == []


def test_the_networks_of_a_key(serve: Serve, postern: FakePostern) -> None:
    key = postern.create(allowed_networks=["192.0.2.0/24", "127.0.0.0/8"])
    # The other end of this connection is on this machine, which identifies nobody.
    with serve() as address:
        assert refusal(call(address, "unary_unary", f"Bearer {key}")) == ("UNAUTHENTICATED", "API_KEY_INVALID")
    seen: list[str] = []

    def forwarded(context: Any) -> str:
        seen.append(context.peer())
        return "192.0.2.7"

    with serve(client_address=forwarded) as address:
        for kind in KINDS:
            assert len(call(address, kind, f"Bearer {key}")[0]) == 36, kind
    assert len(seen) == len(KINDS)
    assert all(peer.startswith("ipv4:127.0.0.1:") for peer in seen)

    def faulty(context: Any) -> str:
        raise KeyError("a fault of the program")

    with serve(client_address=faulty) as address:
        assert call(address, "unary_unary", f"Bearer {key}").code() is grpc.StatusCode.INTERNAL


def test_other_calls_are_served_while_a_key_is_asked_about(serve: Serve, postern: FakePostern) -> None:
    known, held, entered, done = postern.create(), postern.create(), threading.Event(), threading.Event()
    with serve() as address, ThreadPoolExecutor(1) as pool:
        assert len(call(address, "unary_unary", f"Bearer {known}")) == 1

        def hold() -> None:
            entered.set()
            done.wait(10)

        postern.on_ask = hold
        waiting = pool.submit(call, address, "unary_unary", f"Bearer {held}")
        assert entered.wait(10)
        for _ in range(20):
            assert len(call(address, "unary_unary", f"Bearer {known}")) == 1
        assert not waiting.done()
        done.set()
        assert waiting.result(10) == [postern.grant(held).subject.encode()]
        postern.on_ask = lambda: None


def test_a_policy_file_holds_for_keys(serve: Serve, postern: FakePostern, tmp_path: Path) -> None:
    rules = {"/shop.Orders/Edit": {"roles": ["admin"]}, "/shop.Orders/Look": {"actors": ["orders"]}}
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"version": 1, "methods": {**rules, "/shop.Orders/unary_stream": {"roles": ["editor"]}}}))
    key = postern.create(roles=["editor"])
    with serve(policy=PolicyFile(path)) as address:
        assert len(call(address, "unary_stream", f"Bearer {key}")) == 2
        # The code asks for the role editor alone.
        assert refusal(call(address, "Edit", f"Bearer {key}")) == ("PERMISSION_DENIED", "ROLE_MISSING")
        assert refusal(call(address, "Look", f"Bearer {key}")) == ("PERMISSION_DENIED", "ACTOR_NOT_ALLOWED")
        assert refusal(call(address, "unary_unary", f"Bearer {key}"))[1] == "METHOD_NOT_LISTED"


def test_actors_in_the_code(serve: Serve, verifier: Verifier, postern: FakePostern) -> None:
    """G11. A key has no actor. That a token with one is accepted says the corpus."""
    key = postern.create()
    with serve(otherwise=Require(actors=["orders"])) as address:
        answered = call(address, "unary_unary", f"Bearer {key}")
        assert refusal(answered) == ("PERMISSION_DENIED", "ACTOR_NOT_ALLOWED")
    app = FastAPI()
    acting = postern_auth.fastapi.caller(verifier, actors=["orders"])

    @app.get("/me", dependencies=[Depends(acting)])
    def me() -> None:
        raise AssertionError("only the service orders gets here")

    guarded = Starlette(routes=[])
    guarded.add_middleware(RequireToken, verifier=verifier, actors=["orders"])
    for program in (app, guarded):
        with TestClient(program) as client:
            forbidden = client.get("/me", headers=bearer(key))
            assert (forbidden.status_code, "ACTOR_NOT_ALLOWED" in forbidden.text) == (403, True)
    for wrong in ("orders", [], [""], [7]):
        with pytest.raises(TypeError):
            Require(actors=wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            postern_auth.fastapi.caller(verifier, actors=wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            RequireToken(guarded, verifier, actors=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no actor"):
        Require(optional=True, actors=["orders"])
    with pytest.raises(ValueError, match="no actor"):
        postern_auth.fastapi.caller(verifier, optional=True, actors=["orders"])  # type: ignore[call-overload]


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def fastapi_app(verifier: Verifier, **options: Any) -> FastAPI:
    app = FastAPI()
    user = postern_auth.fastapi.caller(verifier, roles=["editor"], **options)

    @app.get("/me")
    def me(caller: Annotated[Caller, Depends(user)]) -> str:
        assert current_caller() is caller
        return caller.subject

    return app


def starlette_app(verifier: Verifier, **options: Any) -> Starlette:
    def me(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f'"{current_caller().subject}"')

    app = Starlette(routes=[Route("/me", me)])
    app.add_middleware(RequireToken, verifier=verifier, roles=["editor"], **options)
    return app


@pytest.mark.parametrize("make", [fastapi_app, starlette_app])
def test_programs_for_the_web(make: Callable[..., Any], verifier: Verifier, postern: FakePostern) -> None:
    key = postern.create(roles=["editor"])
    limited = postern.create(roles=["editor"], allowed_networks=["192.0.2.0/24"])
    with TestClient(make(verifier), client=("192.0.2.9", 4711)) as client:
        for each in (key, limited):
            answer = client.get("/me", headers=bearer(each))
            assert (answer.status_code, answer.json()) == (200, postern.grant(each).subject)
        forbidden = client.get("/me", headers=bearer(postern.create()))
        assert (forbidden.status_code, "ROLE_MISSING" in forbidden.text) == (403, True)
        unknown = client.get("/me", headers=bearer(new_key()))
        assert (unknown.status_code, "API_KEY_INVALID" in unknown.text) == (401, True)
        assert unknown.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    with TestClient(make(verifier), client=("198.51.100.1", 4711)) as client:
        assert client.get("/me", headers=bearer(key)).status_code == 200
        assert client.get("/me", headers=bearer(limited)).status_code == 401

    def forwarded(connection: Any) -> str | None:
        headers = dict(connection["headers"])
        return str(headers[b"x-real-ip"].decode())

    with TestClient(make(verifier, client_address=forwarded)) as client:
        for address, status in (("192.0.2.1", 200), ("198.51.100.1", 401)):
            assert client.get("/me", headers={**bearer(limited), "x-real-ip": address}).status_code == status
