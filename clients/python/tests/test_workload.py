"""W37-W39 Service tokens for the token of a platform, in place of a secret."""

from __future__ import annotations

import logging
import os
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from conftest import Until
from corpus import answer
from fake import FakePostern
from postern_auth import Caller, NotReady, TokenFileError, UpstreamError, Verifier, WorkloadCredential, credential, wire

CANARY = "eyJhbGciOiJSUzI1NiJ9.canary-of-an-outside-token.c2lnbmF0dXJl"


@pytest.fixture
def postern() -> Iterator[FakePostern]:
    running = FakePostern()
    yield running
    running.stop()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{CANARY}\n")
    return path


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that have passed for credentials."""
    passed = [0.0]
    monkeypatch.setattr(credential, "monotonic", lambda: time.monotonic() + passed[0])
    return passed


def replace_as_kubelet_does(path: Path, token: str) -> None:
    new = path.with_name("..new")
    new.write_text(token)
    os.replace(new, path)


def refuse(request: Any, context: Any) -> str:
    status = wire.encode_status(16, "the token has expired", "TOKEN_EXPIRED", None)
    context.set_trailing_metadata((("grpc-status-details-bin", status),))
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token has expired")
    return ""


def test_the_file_is_read_again_for_each_renewal(postern: FakePostern, file: Path, later: list[float], until: Until) -> None:
    """W37"""
    workload = WorkloadCredential(postern.address, file, service_account="orders", audience="stock", roles=["reader"])
    assert workload.access_token() == workload.access_token() == "access token 1"
    asked = postern.exchanges[0]
    assert (asked.subject_token, asked.service_account) == (CANARY, "orders")
    assert (asked.audience, list(asked.roles), asked.actor_token) == ("stock", ["reader"], "")
    replace_as_kubelet_does(file, "a.second.token")
    later[0] = 440
    assert workload.access_token() == "access token 1"
    # Four fifths of ten minutes, spread a little.
    later[0] = 515
    until(lambda: workload.access_token() == "access token 2", "the token is renewed")
    assert postern.exchanges[1].subject_token == "a.second.token"
    called: list[object] = []
    workload(None, lambda metadata, error: called.append((metadata, error)))
    assert called == [((("authorization", "Bearer access token 2"),), None)]
    workload.close()


def test_a_renewal_that_fails_leaves_the_token_in_use(
    postern: FakePostern, file: Path, later: list[float], monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    """W38"""
    workload = WorkloadCredential(postern.address, file)
    assert workload.access_token() == "access token 1"
    file.unlink()
    later[0] = 515
    opened: list[object] = []
    read = WorkloadCredential._read

    def counted(workload: WorkloadCredential) -> str:
        opened.append(workload)
        return read(workload)

    monkeypatch.setattr(WorkloadCredential, "_read", counted)
    for _ in range(10):
        assert workload.access_token() == "access token 1"
    until(lambda: len(opened) == 1, "the file is read")
    for _ in range(10):
        assert workload.access_token() == "access token 1"
    # Not at every call.
    assert len(opened) == 1
    file.write_text("a.second.token")
    later[0] += 2.1
    until(lambda: workload.access_token() == "access token 2", "the token is renewed")
    file.unlink()
    later[0] += 601
    with pytest.raises(TokenFileError, match="cannot be read"):
        workload.access_token()
    assert len(postern.exchanges) == 2
    workload.close()


def test_a_file_that_cannot_be_used_is_told_clearly(postern: FakePostern, tmp_path: Path) -> None:
    """W38"""
    path = tmp_path / "token"
    faults: tuple[tuple[bytes | None, str], ...] = (
        (None, "cannot be read: No such file"),
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (CANARY.encode() * 400, "longer than 16384 bytes"),
        (f"{CANARY} {CANARY}".encode(), "one token and nothing else"),
        (f"{CANARY}\0\xff".encode("latin-1"), "one token and nothing else"),
        (f"{CANARY}\0".encode(), "one token and nothing else"),
    )
    for content, cause in faults:
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        workload = WorkloadCredential(postern.address, path)
        with pytest.raises(TokenFileError, match=cause) as error:
            workload.access_token()
        assert str(path) in str(error.value)
        assert "canary" not in f"{error.value!r} {error.value.__context__!r}"
        assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)  # noqa: S301
    path.unlink()
    # Opening a pipe must not wait for its writer.
    os.mkfifo(path)
    with pytest.raises(TokenFileError, match="not a regular file"):
        WorkloadCredential(postern.address, path).access_token()
    path.unlink()
    path.mkdir()
    with pytest.raises(TokenFileError, match="cannot be read: Is a directory"):
        WorkloadCredential(postern.address, path).access_token()
    assert postern.exchanges == []
    # The longest that Postern takes.
    path.rmdir()
    path.write_bytes(b"a" * 16_384 + b"\n")
    assert WorkloadCredential(postern.address, path).access_token() == "access token 1"


def test_a_refusal_has_its_reason_and_not_the_token(postern: FakePostern, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """W38"""
    caplog.set_level(logging.DEBUG)
    postern.exchange = refuse
    workload = WorkloadCredential(postern.address, file)
    with pytest.raises(UpstreamError) as error:
        workload.access_token()
    assert (error.value.code, error.value.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED")
    with Verifier(postern.address, token_file=file) as verifier, pytest.raises(NotReady, match="TOKEN_EXPIRED") as not_ready:
        verifier.ready(0.5)
    assert "canary" not in f"{error.value!r} {not_ready.value!r} {caplog.text}"
    assert "no access token for the stream" in caplog.text
    workload.close()


def test_a_verifier_needs_no_secret(postern: FakePostern, file: Path, until: Until) -> None:
    """W39"""
    tokens: list[str] = []
    watch = postern.metadata_of_streams
    with Verifier(postern.address, token_file=file, service_account="orders", api_audience="postern") as verifier:
        verifier.ready(10)
        assert watch == ["Bearer access token 1"]
        assert (postern.exchanges[0].service_account, postern.exchanges[0].audience) == ("orders", "postern")
        key = postern.create()
        postern.on_ask = lambda: tokens.extend(postern.metadata_of_asks)
        assert isinstance(answer(verifier, key), Caller)
        assert tokens == ["Bearer access token 1"]
    # It starts before the platform has written the file, and recovers.
    file.unlink()
    with Verifier(postern.address, token_file=file) as verifier:
        with pytest.raises(NotReady, match="no access token for the stream: the token file .* cannot be read"):
            verifier.ready(0.2)
        file.write_text(CANARY)
        verifier.ready(10)


def test_misuse_is_an_error_at_the_start(file: Path) -> None:
    """W39"""
    wrongs: tuple[dict[str, Any], ...] = (
        {"token_file": file, "client_id": "a", "client_secret": "b"},
        {"service_account": "orders"},
        {"client_id": "a", "client_secret": "b", "service_account": "orders"},
        {"token_file": ""},
    )
    for wrong in wrongs:
        with pytest.raises(ValueError, match="token_file"):
            Verifier("127.0.0.1:1", **wrong)
    with pytest.raises(ValueError, match="no account and no connection"):
        Verifier(jwks_url="https://auth.example/keys", issuer="i", audiences=["a"], token_file=file)
    with pytest.raises(ValueError, match="plaintext"):
        WorkloadCredential("192.0.2.1:50051", file)
    roles: Any = "admin"
    with pytest.raises(TypeError, match="list of strings"):
        WorkloadCredential("127.0.0.1:1", file, roles=roles)
    audience: Any = None
    with pytest.raises(TypeError, match="must be strings"):
        WorkloadCredential("127.0.0.1:1", file, audience=audience)
