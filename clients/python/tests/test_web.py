"""FastAPI and Starlette, in this process and under servers with several processes."""

import http.client
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from fastapi.security import OAuth2PasswordBearer
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import WebSocketDenialResponse

import postern_auth.fastapi
from conftest import Until
from corpus import answer
from postern_auth import Caller, Verifier, current_caller, optional_caller
from postern_auth.starlette import RequireToken
from service import Center

PROGRAMS = Path(__file__).parent / "programs"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def fastapi_app(verifier: Verifier) -> FastAPI:
    app = FastAPI()
    user = postern_auth.fastapi.caller(verifier)
    form_login = OAuth2PasswordBearer(tokenUrl="token")

    @app.get("/me")
    def me(caller: Annotated[Caller, Depends(user)]) -> dict[str, Any]:
        # In a thread of the pool.
        return {"subject": caller.subject, "same": current_caller() is caller}

    @app.get("/async")
    async def asynchronous(caller: Annotated[Caller, Depends(user)]) -> dict[str, Any]:
        return {"subject": caller.subject, "same": current_caller() is caller}

    @app.get("/open")
    def opened() -> bool:
        return optional_caller() is None

    optional = postern_auth.fastapi.caller(verifier, optional=True, scheme=form_login)

    @app.get("/maybe")
    def maybe(caller: Annotated[Caller | None, Depends(optional)]) -> bool:
        return caller is None

    @app.delete("/orders", dependencies=[Depends(postern_auth.fastapi.caller(verifier, roles=["admin"]))])
    def delete() -> None:
        raise AssertionError("only an admin gets here")

    @app.websocket("/socket")
    async def socket(websocket: WebSocket, caller: Annotated[Caller, Depends(user)]) -> None:
        await websocket.accept()
        await websocket.send_text(caller.subject)
        await websocket.close()

    return app


def test_the_fastapi_dependency(center: Center, verifier: Verifier, until: Until) -> None:
    token = center.first.login().access_token
    with TestClient(fastapi_app(verifier)) as client:
        subject = verifier.verify(token).subject
        for path in ("/me", "/async"):
            assert client.get(path, headers=bearer(token)).json() == {"subject": subject, "same": True}
        assert client.get("/open", headers=bearer(token)).json() is True
        assert client.get("/maybe").json() is True
        assert client.get("/maybe", headers=bearer(token)).json() is False
        assert client.get("/maybe", headers=bearer("a.b.c")).status_code == 401
        missing = client.get("/me")
        assert (missing.status_code, missing.headers["www-authenticate"]) == (401, "Bearer")
        assert missing.json()["detail"]["error"] == "CREDENTIALS_MISSING"
        malformed = client.get("/me", headers=bearer("a.b.c"))
        assert malformed.status_code == 401
        assert re.fullmatch(r'Bearer error="invalid_token", error_description="[^"]+"', malformed.headers["www-authenticate"])
        twice = client.get("/me", headers=[("authorization", f"Bearer {token}")] * 2)
        assert (twice.status_code, twice.json()["detail"]["error"]) == (401, "TOKEN_MALFORMED")
        forbidden = client.delete("/orders", headers=bearer(token))
        assert (forbidden.status_code, forbidden.json()["detail"]["error"]) == (403, "ROLE_MISSING")
        assert forbidden.headers["www-authenticate"] == 'Bearer error="insufficient_scope"'
        with client.websocket_connect("/socket", headers=bearer(token)) as socket:
            assert socket.receive_text() == subject
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/socket"):
            raise AssertionError("a socket without a token is not opened")
        assert denied.value.status_code == 401
        center.first.revoke(token)
        until(lambda: answer(verifier, token) == "TOKEN_REVOKED", "the revocation arrives")
        revoked = client.get("/me", headers=bearer(token))
        assert (revoked.status_code, revoked.json()["detail"]["error"]) == (401, "TOKEN_REVOKED")


def test_the_security_scheme_in_openapi(verifier: Verifier) -> None:
    document = fastapi_app(verifier).openapi()
    schemes = document["components"]["securitySchemes"]
    assert schemes["postern"] == {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    assert schemes["OAuth2PasswordBearer"]["flows"]["password"]["tokenUrl"] == "token"
    assert document["paths"]["/me"]["get"]["security"] == [{"postern": []}]
    assert "security" not in document["paths"]["/open"]["get"]
    with pytest.raises(ValueError, match="has no roles"):
        postern_auth.fastapi.caller(verifier, roles=["admin"], optional=True)  # type: ignore[call-overload]
    # As texts, older releases of FastAPI would not understand them.
    for dependency in (postern_auth.fastapi.caller(verifier), postern_auth.fastapi.caller(verifier, optional=True)):
        assert inspect.signature(dependency.__call__).parameters["connection"].annotation is HTTPConnection


def test_a_verifier_without_keys_answers_503() -> None:
    with Verifier("127.0.0.1:1") as verifier, TestClient(fastapi_app(verifier)) as client:
        answer = client.get("/me", headers=bearer("a.b.c"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["detail"]["error"] == "TRUST_STALE"


def starlette_app(verifier: Verifier) -> Starlette:
    def me(request: Request) -> PlainTextResponse:
        assert request.state.caller is current_caller()
        return PlainTextResponse(request.state.caller.subject)

    async def health(request: Request) -> PlainTextResponse:
        return PlainTextResponse("nobody" if optional_caller() is None else "somebody")

    async def socket(websocket: Any) -> None:
        await websocket.accept()
        await websocket.send_text(current_caller().subject)
        await websocket.close()

    app = Starlette(routes=[Route("/me", me), Route("/health", health), WebSocketRoute("/socket", socket)])
    app.add_middleware(RequireToken, verifier=verifier, roles=["editor"], public=["/health"])
    return app


def test_the_middleware(center: Center, verifier: Verifier, until: Until) -> None:
    token = center.first.login().access_token
    with TestClient(starlette_app(verifier)) as client:
        subject = verifier.verify(token).subject
        assert client.get("/me", headers=bearer(token)).text == subject
        assert client.get("/health").text == "nobody"
        # A path that is not there is not revealed either.
        for path in ("/me", "/health/", "/missing"):
            missing = client.get(path)
            assert (missing.status_code, missing.headers["www-authenticate"]) == (401, "Bearer"), path
            assert missing.json()["error"] == "CREDENTIALS_MISSING"
        twice = client.get("/me", headers=[("authorization", f"Bearer {token}")] * 2)
        assert (twice.status_code, twice.json()["error"]) == (401, "TOKEN_MALFORMED")
        service = client.get("/me", headers=bearer(center.first.service_token(center.account)))
        assert (service.status_code, service.json()["error"]) == (403, "ROLE_MISSING")
        with client.websocket_connect("/socket", headers=bearer(token)) as socket:
            assert socket.receive_text() == subject
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/socket"):
            raise AssertionError("a socket without a token is not opened")
        assert (denied.value.status_code, denied.value.json()["error"]) == (401, "CREDENTIALS_MISSING")
        center.first.revoke(token)
        until(lambda: answer(verifier, token) == "TOKEN_REVOKED", "the revocation arrives")
        assert client.get("/me", headers=bearer(token)).json()["error"] == "TOKEN_REVOKED"


@contextmanager
def running(command: list[str], center: Center, address: re.Pattern[str], folder: Path, **environment: str) -> Iterator[str]:
    """Runs a server in the folder until the block ends. Yields the address that it prints."""
    environment = {
        **os.environ,
        "ADDRESS": center.first.grpc,
        "POSTERN_CLIENT_ID": center.account.client_id,
        "POSTERN_CLIENT_SECRET": center.account.client_secret,
        **environment,
    }
    process = subprocess.Popen([sys.executable, "-m", *command], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    log = ""
    try:
        for line in process.stderr:
            log += line
            match = address.search(line)
            if match is not None:
                yield match[1]
                break
        else:
            raise AssertionError(f"the server did not start: {log}")
    finally:
        process.terminate()
        process.communicate(timeout=30)


def ask(address: str, token: str) -> tuple[int, dict[str, Any]]:
    """On a connection of its own, so that the processes of the server take turns."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", "/me", headers=bearer(token))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except OSError:
        # The processes are still starting.
        return 0, {}
    finally:
        connection.close()


GUNICORN = ["gunicorn", "--preload", "--workers", "2", "--bind", "127.0.0.1:0", "app:app"]
GUNICORN += ["--worker-class", "uvicorn_worker.UvicornWorker"]
UVICORN = ["uvicorn", "--workers", "2", "--port", "0", "--no-use-colors", "app:app"]


@pytest.mark.parametrize(
    ("command", "address", "environment"),
    [
        (GUNICORN, r"Listening at: http://(\S+)", {}),
        (GUNICORN, r"Listening at: http://(\S+)", {"READY_BEFORE_FORK": "1"}),
        (UVICORN, r"running on http://(\S+)", {}),
    ],
    ids=["gunicorn --preload", "gunicorn --preload, ready before the fork", "uvicorn --workers"],
)
def test_every_process_of_a_server_refuses_a_revoked_token(
    command: list[str], address: str, environment: dict[str, str], center: Center, until: Until
) -> None:
    token = center.first.login().access_token
    with running(command, center, re.compile(address), PROGRAMS, **environment) as server:
        processes: set[str] = set()

        def both_have_accepted() -> bool:
            status, body = ask(server, token)
            assert status in (0, 200, 503), body
            processes.add(body.get("process", ""))
            return len(processes - {""}) == 2

        until(both_have_accepted, "both processes have accepted the token")
        center.first.revoke(token)
        answers: list[tuple[int, str]] = []

        def all_refuse() -> bool:
            status, body = ask(server, token)
            answers.append((status, body["detail"]["error"] if status != 200 else ""))
            return len(answers) >= 40 and set(answers[-30:]) == {(401, "TOKEN_REVOKED")}

        until(all_refuse, "both processes refuse the token")
        # The revocation was streamed ahead of the answer to RevokeToken: at most the first few were on their way.
        assert answers.count((200, "")) <= 3
