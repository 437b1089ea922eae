"""V24 The key set by HTTP, from servers that behave badly."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from conftest import Until
from corpus import answer, corpus
from postern_auth import Caller, NotReady, Verifier
from postern_auth import jwks as jwks_module
from postern_auth.jwks import CacheTimes, FetchError, JwksSource, cache_times, fetch_key_set, parse_url
from postern_auth.trust import Trust

SETTING = corpus("tokens.json")[0]
Respond = Callable[[BaseHTTPRequestHandler], None]


class Server:
    def __init__(self) -> None:
        self.requests = 0
        self.respond: Respond = key_set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                outer.respond(self)

            def log_message(self, *_: object) -> None:
                pass

        class Threads(socketserver.ThreadingMixIn, socketserver.TCPServer):
            daemon_threads = True

        self._server = Threads(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/keys"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def key_set(text: str = SETTING["jwks"], status: int = 200, **headers: str) -> Respond:
    def respond(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(text.encode())

    return respond


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def verifier(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Verifier]:
    monkeypatch.setattr("postern_auth.verifier.time", lambda: SETTING["now"])
    policy = SETTING["policy"]
    with Verifier(jwks_url=server.url, issuer=policy["issuer"], audiences=policy["audiences"], max_staleness=1) as v:
        yield v


def test_an_unexpected_fault_does_not_end_the_fetching(
    verifier: Verifier, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    fetch, faults = fetch_key_set, [RuntimeError("can't start new thread")]

    def failing_once(url: Any) -> Any:
        if faults:
            raise faults.pop()
        return fetch(url)

    monkeypatch.setattr(jwks_module, "fetch_key_set", failing_once)
    with pytest.raises(NotReady, match="could not be fetched: .*can't start new thread"):
        verifier.ready(0.2)
    until(lambda: isinstance(answer(verifier, good_token()), Caller), "the keys are fetched again")


def good_token() -> str:
    return str(next(vector["token"] for vector in SETTING["tokens"] if vector["name"] == "as issued"))


def test_tokens_are_verified_by_the_key_set(server: Server, verifier: Verifier) -> None:
    verifier.ready(5)
    assert isinstance(answer(verifier, good_token()), Caller)
    state = verifier.state()
    assert (state.status, state.connected, state.age, state.failure) == ("ready", True, None, None)


@pytest.mark.parametrize(
    ("cache_control", "ages", "times"),
    [
        (["public, max-age=20"], ["15"], (20, 15)),
        (["max-age=20"], ["35"], (20, 35)),
        (['Max-Age="20"'], [], (20, 0)),
        (["x-max-age=20"], [], (300, 0)),
        (["max-age=20", "max-age=10"], ["5, 9", "7"], (10, 9)),
        (["max-age=20, no-store"], [], (1, 0)),
        (["max-age=999999999"], ["-15"], (3_600, 0)),
        ([], ["100"], (300, 100)),
        ([], [], (300, 0)),
    ],
)
def test_the_times_of_a_response(cache_control: list[str], ages: list[str], times: tuple[float, float]) -> None:
    assert cache_times(cache_control, ages) == times


def test_the_headers_of_a_response_are_read(server: Server) -> None:
    server.respond = key_set("\ufeff" + SETTING["jwks"], cache_control="max-age=20", age="15")
    assert fetch_key_set(parse_url(server.url, False)) == (SETTING["jwks"], (20, 15))


def test_the_age_in_caches_counts_and_an_older_copy_brings_no_key_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    other = corpus("tokens.json")[1]["jwks"]
    answers: list[tuple[str, CacheTimes]] = []
    for module in ("jwks", "trust"):
        monkeypatch.setattr(f"postern_auth.{module}.monotonic", lambda: now)
    monkeypatch.setattr(jwks_module, "fetch_key_set", lambda url: answers.pop())
    trust = Trust(10, True)
    source = JwksSource("http://127.0.0.1:1/keys", "https://auth.example", ("postern",), False, trust)
    answers.append((SETTING["jwks"], CacheTimes(20, 15)))
    # Fetched again when the original is 20 seconds old, and stale 10 seconds later.
    assert (source._fetch(), trust.stale_at) == (5, now + 15)
    first = trust.keys
    answers.append((other, CacheTimes(20, 17)))
    assert 0.5 <= source._fetch() <= 1
    assert trust.keys is first
    answers.append((other, CacheTimes(20, 14)))
    assert source._fetch() == 6
    assert trust.keys is not first
    # A cache that keeps it for too long is asked with pauses.
    now += 60
    answers.append((other, CacheTimes(20, 40)))
    assert (0.5 <= source._fetch() <= 1, trust.stale_at) == (True, now - 10)


def slow(request: BaseHTTPRequestHandler) -> None:
    """Never quiet for as long as the timeout of the socket."""
    try:
        request.send_response(200)
        request.end_headers()
        while True:
            request.wfile.write(b" ")
            time.sleep(0.02)
    except OSError:
        return


def slow_header(request: BaseHTTPRequestHandler) -> None:
    try:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
        while True:
            request.wfile.write(b"a")
            time.sleep(0.02)
    except OSError:
        return


@pytest.mark.parametrize(
    ("respond", "cause"),
    [
        (key_set(status=302, location="http://127.0.0.1:1/"), "status 302, and redirects are not followed"),
        (key_set(status=500), "answered with status 500"),
        (key_set("x" * (256 * 1024 + 1)), "longer than 256 KiB"),
        (slow, "no answer within 0.3 seconds"),
        (slow_header, "no answer within 0.3 seconds"),
        (lambda request: None, "closed connection|without response"),
    ],
)
def test_a_failed_fetch_names_its_cause(respond: Respond, cause: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks_module, "FETCH_LIMIT", 0.3)
    server.respond = respond
    with pytest.raises(FetchError, match=cause):
        fetch_key_set(parse_url(server.url, False))


@pytest.mark.parametrize(
    ("respond", "cause"),
    [
        (key_set(status=404), "could not be fetched: the server answered with status 404"),
        (key_set("[]"), "cannot be used: the key set has no array 'keys'"),
        (key_set('{"keys": []}'), "cannot be used: the service publishes no keys"),
    ],
)
def test_ready_names_the_cause(respond: Respond, cause: str, server: Server, verifier: Verifier) -> None:
    server.respond = respond
    with pytest.raises(NotReady, match=cause):
        verifier.ready(0.3)
    assert answer(verifier, good_token()) == "TRUST_STALE"


def test_keys_that_cannot_be_fetched_again_become_stale(server: Server, verifier: Verifier, until: Until) -> None:
    server.respond = key_set(cache_control="max-age=1")
    verifier.ready(5)
    server.respond = key_set(status=503)
    until(lambda: answer(verifier, good_token()) == "TRUST_STALE", "max-age and staleness are over")
    assert "status 503" in (verifier.state().failure or "")
    server.respond = key_set(cache_control="max-age=1")
    until(lambda: isinstance(answer(verifier, good_token()), Caller), "the keys are fetched again")


def test_an_unknown_key_has_the_set_fetched(server: Server, verifier: Verifier, until: Until) -> None:
    other = corpus("tokens.json")[1]
    token = next(vector["token"] for vector in other["tokens"] if vector["name"] == "as issued")
    verifier.ready(5)
    both = json.loads(SETTING["jwks"])["keys"] + json.loads(other["jwks"])["keys"]
    server.respond = key_set(json.dumps({"keys": both}))
    assert answer(verifier, token) == "TOKEN_KEY_UNKNOWN"
    until(lambda: isinstance(answer(verifier, token), Caller), "the new key is here")


def test_invented_keys_have_the_set_fetched_once_in_thirty_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(jwks_module, "monotonic", lambda: now)
    # Not started: `_fetch_at` shows what its thread would do.
    source = JwksSource("http://127.0.0.1:1/keys", "https://auth.example", ("postern",), False, Trust(300, True))
    fetched = 0
    for second in range(60):
        now = 1_000.0 + second
        for _ in range(100):
            source._fetch_at = now + 300
            source.on_unknown_key()
            fetched += source._fetch_at <= now
    assert fetched == 2


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"jwks_url": "http://auth.example/keys"}, "plaintext"),
        ({"jwks_url": "ftp://127.0.0.1/keys"}, "http or https URL"),
        ({"jwks_url": "https://a:b@auth.example/keys"}, "without a user"),
        ({"jwks_url": "https://auth.example/keys", "issuer": None}, "issuer must be set"),
        ({"jwks_url": "https://auth.example/keys", "audiences": "postern"}, "audiences must list"),
        ({"jwks_url": "https://auth.example/keys", "audiences": []}, "audiences must list"),
    ],
)
def test_options_that_have_no_meaning_are_errors(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Verifier(**{"issuer": "https://auth.example", "audiences": ["postern"], **options})
