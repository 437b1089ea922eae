"""Junk: whatever arrives, it is refused, at a bounded cost."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from typing import Any

import grpc
import pytest

from corpus import answer, corpus
from postern_auth import NotReady, Refused, Upstream, UpstreamError, Verifier, bearer_token, wire
from postern_auth.stream import StreamSource
from postern_auth.token_format import parse_token
from postern_auth.wire import Heartbeat, Revocation, Revocations, TrustedKeys, TrustUpdate
from test_conformance import source_of

SETTING = corpus("tokens.json")[0]


@pytest.fixture
def verifier(monkeypatch: pytest.MonkeyPatch) -> Verifier:
    """Fed by hand, with a cache for about a thousand tokens."""
    monkeypatch.setattr(StreamSource, "start", lambda self: None)
    for module in ("requirements", "verifier"):
        monkeypatch.setattr(f"postern_auth.{module}.time", lambda: SETTING["now"])
    verifier = Verifier("127.0.0.1:1", cache_bytes=20_000)
    source, policy = source_of(verifier), SETTING["policy"]
    rules = (policy["issuer"], tuple(policy["audiences"]), policy["max_lifetime"], policy["clock_skew"])
    for update in (TrustedKeys(SETTING["jwks"], *rules), Revocations([], True), Heartbeat(0)):
        source.apply(TrustUpdate("c", update), time.monotonic())
    return verifier


def accepted_tokens() -> list[str]:
    return [str(vector["token"]) for vector in SETTING["tokens"] if "expect" not in vector and "require" not in vector]


def test_a_million_junk_tokens_are_refused_and_leave_nothing_behind(verifier: Verifier) -> None:
    """V25"""
    good = accepted_tokens()[0]
    verifier.verify(good)
    header, claims, _ = good.split(".")
    held = verifier._cache._bytes
    verify = verifier.verify
    accepted = 0
    for number in range(1_000_000):
        # Of each thousand, one costs a check of a signature.
        signature = f"{number:086d}" if number % 1_000 == 0 else f"{number:x}"
        try:
            verify(f"{header}.{claims}.{signature}" if number % 2 == 0 else f"{number}.{header}.{claims}.{number}")
            accepted += 1
        except Refused:
            pass
    assert accepted == 0
    assert verifier._cache._bytes == held
    assert verifier.verify(good) is verifier.verify(good)


def test_mutated_tokens_are_refused_with_a_reason(verifier: Verifier) -> None:
    good = accepted_tokens()[0]
    choose = random.Random(18)
    for _ in range(20_000):
        token = list(good)
        for _ in range(choose.randint(1, 3)):
            at = choose.randrange(len(token))
            token[at] = chr(choose.choice([choose.randrange(128), choose.randrange(0x11_0000)]))
        text = "".join(token)
        if text != good:
            assert isinstance(answer(verifier, text), str)


def test_the_parser_takes_any_text() -> None:
    choose = random.Random(18)
    alphabet = [".", "=", "A", "-", "_", "\0", "\n", " ", "é", "\ud800", "😀", "ey"]
    for _ in range(20_000):
        text = "".join(choose.choices(alphabet, k=choose.randint(0, 40)))
        with pytest.raises(Refused):
            parse_token(text)


def test_a_deep_document_is_refused() -> None:
    for depth in (17, 1_000, 6_000):
        document = '{"a":' + "[" * depth + "]" * depth + "}"
        token = f"{urlsafe_b64encode(document.encode()).rstrip(b'=').decode()[:8000]}.e30.AAAA"
        with pytest.raises(Refused):
            parse_token(token)


def test_the_cache_is_bounded_and_evicts_the_oldest(verifier: Verifier) -> None:
    tokens = list(dict.fromkeys(accepted_tokens()))
    assert len(tokens) > 10
    for token in tokens * 2:
        verifier.verify(token)
    assert 0 < verifier._cache._bytes <= 20_000
    assert verifier._cache._bytes == sum(entry.bytes for entry in verifier._entries.values())
    assert next(reversed(verifier._entries)) == tokens[-1]


def test_what_is_no_token_is_an_error_of_the_program(verifier: Verifier) -> None:
    wrongs: tuple[Any, ...] = (accepted_tokens()[0].encode(), None, 5)
    for wrong in wrongs:
        with pytest.raises(TypeError, match="must be a str"):
            verifier.verify(wrong)
    with pytest.raises(TypeError, match="must be a list"):
        bearer_token("Bearer a.b.c")
    with pytest.raises(TypeError, match="not a string"):
        verifier.verify(accepted_tokens()[0], roles="admin")


def test_misuse_is_an_error_at_the_start() -> None:
    secret: Any = b"psk_secret"
    with pytest.raises(TypeError, match="must be strings"):
        Verifier("127.0.0.1:1", client_id="a", client_secret=secret)
    with pytest.raises(ValueError, match="no account and no connection"):
        Verifier(jwks_url="https://auth.example/keys", issuer="i", audiences=["a"], client_id="a", client_secret="b")
    closed = Verifier("127.0.0.1:1")
    closed.close()
    with pytest.raises(NotReady, match="is closed"):
        closed.ready(1)
    error = pickle.loads(pickle.dumps(UpstreamError(grpc.StatusCode.UNAVAILABLE, None, "gone")))  # noqa: S301
    assert str(error) == "UNAVAILABLE: gone"


def test_a_closed_verifier_refuses_what_it_had_accepted(verifier: Verifier) -> None:
    token = accepted_tokens()[0]
    verifier.verify(token)
    verifier.close()
    for text in (token, accepted_tokens()[1], "a.b.c"):
        with pytest.raises(Refused, match="the verifier is closed") as refused:
            verifier.verify(text)
        assert refused.value.reason == "TRUST_STALE"
    assert verifier.state().status == "waiting"


def test_a_refusal_shows_no_part_of_the_token(verifier: Verifier) -> None:
    for vector in SETTING["tokens"]:
        if "expect" in vector and isinstance(vector["token"], str):
            with pytest.raises(Refused) as refused:
                verifier.verify(vector["token"], **vector.get("require", {}))
            copy = pickle.loads(pickle.dumps(refused.value))  # noqa: S301
            assert (copy.reason, copy.detail) == (refused.value.reason, refused.value.detail)
            parts = [part for part in vector["token"].split(".") if len(part) > 20]
            assert not any(part in str(refused.value) for part in parts)


def test_messages_survive_junk() -> None:
    choose = random.Random(18)
    revocation = wire.encode_message((1, b"0123456789abcdef"), (5, 1_800_000_000))
    update = wire.encode_message((1, "c1"), (3, wire.encode_message((1, revocation), (2, 1))), (9, "new"), (10, 7))
    expected = Revocations([Revocation("sid", b"0123456789abcdef", 1_800_000_000)], True)
    assert wire.decode_trust_update(update) == TrustUpdate("c1", expected)
    for _ in range(20_000):
        junk = bytearray(update)
        junk[choose.randrange(len(junk))] = choose.randrange(256)
        try:
            wire.decode_trust_update(bytes(junk[: choose.randint(0, len(junk))]))
        except wire.WireError:
            continue


@pytest.mark.parametrize(
    ("address", "is_right"),
    [
        ("127.0.0.1:50051", True),
        ("localhost:50051", True),
        ("[::1]:50051", True),
        ("unix:/run/postern/grpc.sock", True),
        ("ipv4:127.0.0.1:1,127.0.0.2:2", True),
        ("dns:///localhost:50051", True),
        ("127.0.0.1", False),
        ("", False),
        ("localhost:0", False),
        ("localhost:70000", False),
        ("auth.example:50051", False),
        ("localhost.example:50051", False),
        ("ipv4:127.0.0.1:1,192.0.2.1:2", False),
        ("dns:///auth.example:50051", False),
        ("10.0.0.1:50051", False),
    ],
)
def test_plaintext_does_not_leave_the_machine(address: str, is_right: bool) -> None:
    if is_right:
        Upstream(address)
        return
    with pytest.raises(ValueError, match="is not an address|in plaintext"):
        Upstream(address)
    if "example" in address:
        Upstream(address, insecure=True)


def test_the_package_is_small() -> None:
    """Nothing but cryptography and grpcio: above all no protobuf, whose versions collide."""
    script = "import postern_auth, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert {"google", "fastapi", "starlette", "jwt"}.isdisjoint(loaded)
