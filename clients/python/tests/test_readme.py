"""The program of the README, and the one of examples/python, as a stranger would run them."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from conftest import Until
from service import EMAIL, PASSWORD, ROOT, Center
from test_web import running

ADDRESS = re.compile(r"running on http://(\S+)")
EXAMPLE = ROOT / "examples/python"


def ask(address: str, method: str, path: str, token: str = "", form: dict[str, str] | None = None) -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    body = None
    if form is not None:
        headers["content-type"], body = "application/x-www-form-urlencoded", urlencode(form)
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null")
    finally:
        connection.close()


def test_the_program_of_the_readme(center: Center, tmp_path: Path, until: Until) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    block = re.search(r"^ +```python\n(.*?)^ +```", readme, re.DOTALL | re.MULTILINE)
    assert block is not None
    (tmp_path / "app.py").write_text(re.sub(r"^   ", "", block[1], flags=re.MULTILINE))
    tokens = center.first.login()
    environment = {"AUTH_ADDRESS": center.first.grpc}
    with running(["uvicorn", "--port", "0", "--no-use-colors", "app:app"], center, ADDRESS, tmp_path, **environment) as app:
        status, body = ask(app, "GET", "/me", tokens.access_token)
        assert (status, len(body["hello"])) == (200, 36)
        status, body = ask(app, "DELETE", "/orders", tokens.access_token)
        assert (status, body["detail"]["error"]) == (403, "ROLE_MISSING")
        center.first.revoke(tokens.access_token)
        until(lambda: ask(app, "GET", "/me", tokens.access_token)[0] == 401, "the revocation arrives")
        status, body = ask(app, "GET", "/me", tokens.access_token)
        assert (status, body["detail"]["error"]) == (401, "TOKEN_REVOKED")


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """The stubs that the README of the example has generated, elsewhere: a checkout may have some already."""
    protos = ROOT / "proto"
    output = (f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}")
    command = (sys.executable, "-m", "grpc_tools.protoc", "-I", str(protos), *output, "postern/v1/auth.proto")
    subprocess.run(command, check=True)
    return tmp_path


def test_the_example(center: Center, stubs: Path, until: Until) -> None:
    environment = {"AUTH_ADDRESS": center.first.grpc, "PYTHONPATH": str(stubs)}
    command = ["uvicorn", "--port", "0", "--no-use-colors", "fastapi_app:app"]
    with running(command, center, ADDRESS, EXAMPLE, **environment) as app:
        status, body = ask(app, "POST", "/token", form={"username": EMAIL, "password": "a wrong password"})
        assert (status, body["detail"]["error"]) == (401, "INVALID_CREDENTIALS")
        status, body = ask(app, "POST", "/token", form={"username": EMAIL, "password": PASSWORD})
        assert (status, body["token_type"]) == (200, "bearer")
        token = body["access_token"]
        status, body = ask(app, "GET", "/me", token)
        assert (status, body["roles"]) == (200, ["editor"])
        assert ask(app, "POST", "/logout", token) == (204, None)
        # Refused within milliseconds, although it has not expired.
        until(lambda: ask(app, "GET", "/me", token)[0] == 401, "the revocation arrives")
        status, body = ask(app, "GET", "/me", token)
        assert (status, body["detail"]["error"]) == (401, "TOKEN_REVOKED")
        _, document = ask(app, "GET", "/openapi.json")
        schemes = document["components"]["securitySchemes"].values()
        assert [scheme["flows"]["password"]["tokenUrl"] for scheme in schemes] == ["token"]
