"""V21 Every verdict of the corpus that the verifiers of all languages run."""

from __future__ import annotations

import base64
from typing import Any

import grpc
import pytest

from corpus import answer, claims_of, corpus, text_of
from postern_auth import Caller, Refused, ServiceCredential, UpstreamError, Verifier, bearer_token
from postern_auth.keys import UnusableKeys, read_key_set
from postern_auth.stream import StreamSource, WatchTrustCall
from postern_auth.wire import Heartbeat, Revocations, TrustedKeys, TrustUpdate

CLOCKED = ("stream", "trust", "verifier")


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = 0.0
        self.elapsed = 1_000.0
        for module in CLOCKED:
            monkeypatch.setattr(f"postern_auth.{module}.monotonic", lambda: self.elapsed)
        for module in ("requirements", "stream", "verifier"):
            monkeypatch.setattr(f"postern_auth.{module}.time", lambda: self.wall)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture(autouse=True)
def no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StreamSource, "start", lambda self: None)


def source_of(verifier: Verifier) -> StreamSource:
    verifier._start()
    source = verifier._source
    assert isinstance(source, StreamSource)
    return source


@pytest.mark.parametrize("setting", corpus("tokens.json"), ids=lambda setting: setting["name"])
def test_tokens_are_accepted_with_their_claims_or_refused_for_the_right_reason(setting: Any, clock: Clock) -> None:
    """M50, M51."""
    clock.wall = setting["now"]
    verifier = Verifier("127.0.0.1:1")
    source = source_of(verifier)
    policy = setting["policy"]
    keys = TrustedKeys(
        setting["jwks"],
        policy["issuer"],
        tuple(policy["audiences"]),
        policy["max_lifetime"],
        policy["clock_skew"],
    )
    for update in (keys, Revocations([], True), Heartbeat(0)):
        source.apply(TrustUpdate("c", update), clock.elapsed)
    wrong = []
    for vector in setting["tokens"]:
        found = answer(verifier, text_of(vector["token"]), **vector.get("require", {}))
        if "expect" in vector:
            is_right = found in vector["expect"]
        else:
            is_right = isinstance(found, Caller) and claims_of(found) == vector["claims"]
        if not is_right:
            wrong.append(f"{vector['name']}: {found}")
    assert wrong == []
    assert len(setting["tokens"]) > 20


def test_only_the_sound_keys_of_a_key_set_are_used() -> None:
    wrong = []
    for vector in corpus("keysets.json"):
        try:
            kids = sorted(read_key_set(vector["jwks"]))
        except UnusableKeys:
            kids = []
        if kids != vector["kids"]:
            wrong.append(f"{vector['name']}: {kids}")
    assert wrong == []


def test_the_authorization_headers_of_a_request() -> None:
    for vector in corpus("bearer.json"):
        found: dict[str, str]
        try:
            token = bearer_token(vector["values"])
            found = {"kind": "missing"} if token is None else {"kind": "token", "token": token}
        except Refused as refused:
            found = {"kind": refused.reason.removeprefix("TOKEN_").lower()}
        assert {**vector, **found} == vector


class Stream:
    """Drives the source of a verifier as its threads would, without a connection."""

    def __init__(self, clock: Clock, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = clock
        self.forgotten = 0
        #: The cursor of each stream that was opened.
        self.opened: list[str] = []
        monkeypatch.setattr(WatchTrustCall, "start", lambda call, channel, cursor, *rest: self.opened.append(cursor))
        monkeypatch.setattr(ServiceCredential, "renewed", lambda credential: ("a", float("inf")))
        monkeypatch.setattr(ServiceCredential, "forget", self.forget)
        clock.wall = script["now"]
        self.verifier = Verifier(
            "127.0.0.1:1",
            client_id="orders",
            client_secret="secret",
            max_staleness=script["max_staleness_ms"] / 1000,
        )
        self.source = source_of(self.verifier)
        self.run()

    def forget(self, _: object = None) -> None:
        self.forgotten += 1

    def run(self) -> None:
        """What the thread of the source does at this moment."""
        while self.source.tick() <= 0:
            self.source.open()

    def perform(self, step: Any) -> None:
        if "receive" in step:
            # A lost stream is opened again after a pause.
            while self.source._call is None:
                self.pass_time(0.05)
            self.source.on_update(self.source._call, base64.b64decode(step["receive"]))
        if "end" in step:
            code = next(code for code in grpc.StatusCode if code.value[0] == step["end"])
            assert self.source._call is not None
            self.source.on_end(self.source._call, UpstreamError(code, None, "the end"))
            self.run()
        if "elapse_ms" in step:
            self.pass_time(step["elapse_ms"] / 1000)
        if "set_clock" in step:
            self.clock.wall = step["set_clock"] - 1
            self.pass_time(1)

    def pass_time(self, seconds: float) -> None:
        while seconds > 1e-9:
            slice_of_it = min(seconds, 0.5)
            self.clock.elapsed += slice_of_it
            self.clock.wall += slice_of_it
            seconds -= slice_of_it
            if self.source._call is not None:
                # No stream of a script is silent.
                self.source._call.heard_at = self.clock.elapsed
            self.run()


@pytest.mark.parametrize("script", corpus("streams.json"), ids=lambda script: script["name"])
def test_every_script_of_a_stream_leads_where_it_says(script: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(clock, script, monkeypatch)
    cursor, opened = "", 1
    for step in script["steps"]:
        stream.perform(step)
        # A new stream continues where the last one ended.
        if len(stream.opened) > opened and "receive" in step:
            opened = len(stream.opened)
            assert (step["name"], stream.opened[-1]) == (step["name"], cursor)
        state = stream.verifier.state()
        tokens = {name: answer(stream.verifier, token) for name, token in script["tokens"].items()}
        cursor = step["then"]["cursor"]
        assert step["then"] == {
            "status": state.status,
            "connected": state.connected,
            "revocations": state.revocations,
            "cursor": stream.source._cursor,
            "forgotten": stream.forgotten,
            "tokens": {name: found if isinstance(found, str) else "accepted" for name, found in tokens.items()},
        }, step["name"]
