"""The renewal of a service account's token, by the answers of a service that may hang."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from conftest import Until
from postern_auth import ServiceCredential, UpstreamError, wire

ISSUE_METHOD = "/postern.v1.AuthService/IssueServiceToken"


class Issuer(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers each request for a token with the next of `answers`, and hangs while there is none."""

    def __init__(self) -> None:
        self.requests = 0
        self.answers: queue.Queue[str | grpc.StatusCode] = queue.Queue()

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return grpc.unary_unary_rpc_method_handler(self._issue) if call.method == ISSUE_METHOD else None

    def _issue(self, _request: bytes, context: grpc.ServicerContext) -> bytes:
        self.requests += 1
        answer = self.answers.get()
        if isinstance(answer, grpc.StatusCode):
            context.abort(answer, "refused")
        return wire.encode_message((1, str(answer)), (3, 100))


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def credential(issuer: Issuer) -> Iterator[ServiceCredential]:
    server = grpc.server(ThreadPoolExecutor(4), handlers=(issuer,))
    credential = ServiceCredential(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", "orders", "secret")
    server.start()
    issuer.answers.put("first")
    yield credential
    credential.close()
    for _ in range(4):
        issuer.answers.put("last")
    server.stop(None)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic time of the credential."""
    now = [1000.0]
    monkeypatch.setattr("postern_auth.credential.monotonic", lambda: now[0])
    return now


def test_a_service_that_hangs_delays_no_call_while_the_token_is_valid(
    issuer: Issuer, credential: ServiceCredential, now: list[float], until: Until
) -> None:
    assert credential.access_token() == "first"
    now[0] += 74
    assert (credential.access_token(), issuer.requests) == ("first", 1)
    now[0] += 12
    # The service hangs: any of them that waited would fail after 5 seconds.
    assert {credential.access_token() for _ in range(50)} == {"first"}
    until(lambda: issuer.requests == 2, "it is asked")
    now[0] += 13
    assert credential.access_token() == "first"
    issuer.answers.put("second")
    until(lambda: credential.access_token() == "second", "the new one is used")
    assert issuer.requests == 2


def test_a_renewal_without_an_answer_is_tried_again_after_a_pause(
    issuer: Issuer, credential: ServiceCredential, now: list[float], until: Until
) -> None:
    credential.access_token()
    now[0] += 86
    issuer.answers.put(grpc.StatusCode.UNAVAILABLE)
    assert credential.access_token() == "first"
    until(lambda: credential._paused_until == 1088, "it has failed")
    now[0] += 1.9
    assert (credential.access_token(), issuer.requests) == ("first", 2)
    now[0] += 0.1
    issuer.answers.put("second")
    until(lambda: credential.access_token() == "second", "it was renewed")


def test_the_caller_learns_of_a_renewal_that_is_refused(
    issuer: Issuer, credential: ServiceCredential, now: list[float], until: Until
) -> None:
    credential.access_token()
    now[0] += 86
    issuer.answers.put(grpc.StatusCode.UNAUTHENTICATED)
    assert credential.access_token() == "first"
    until(lambda: credential._refused, "it was refused")
    issuer.answers.put(grpc.StatusCode.UNAUTHENTICATED)
    with pytest.raises(UpstreamError, match="UNAUTHENTICATED"):
        credential.access_token()
    issuer.answers.put("second")
    assert credential.access_token() == "second"


def test_a_fork_ends_the_renewal_in_the_background(
    issuer: Issuer, credential: ServiceCredential, now: list[float], until: Until
) -> None:
    credential.access_token()
    now[0] += 86
    credential.access_token()
    until(lambda: issuer.requests == 2, "it is asked")
    # What `os.fork` calls first; the child of a test would be a second pytest.
    credential.leave()
    assert not [thread for thread in threading.enumerate() if thread.name == "postern-credential"]
    assert credential.access_token() == "first"
