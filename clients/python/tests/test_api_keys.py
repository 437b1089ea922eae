"""Q40-Q44 API keys, resolved by a server with the protos of Postern."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from conftest import Until
from corpus import answer
from fake import ISSUER, FakePostern, new_key
from postern_auth import Caller, Refused, Verifier, api_key_resolver
from postern_auth.api_key import caller_address, is_well_formed, peer_ip

PROGRAM = Path(__file__).parent / "programs/fork.py"


@pytest.fixture
def postern() -> Iterator[FakePostern]:
    running = FakePostern()
    yield running
    running.stop()


@pytest.fixture
def verifier(postern: FakePostern) -> Iterator[Verifier]:
    with postern.verifier() as v:
        yield v


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that have passed for the resolver."""
    passed = [0.0]
    for module in ("api_key", "api_key_resolver"):
        monkeypatch.setattr(f"postern_auth.{module}.monotonic", lambda: time.monotonic() + passed[0])
    return passed


def in_threads(count: int, work: Any) -> list[Any]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def test_a_key_is_asked_about_once_and_has_the_shape_of_a_token(postern: FakePostern, verifier: Verifier) -> None:
    """Q40"""
    key = postern.create(roles=["editor", "reader"], external_id="42", expires_at=int(time.time()) + 3_600)
    opened = threading.Event()
    postern.on_ask = lambda: opened.wait(0.5)
    callers = in_threads(50, lambda _: verifier.verify(key, roles=["reader"], audience="orders"))
    assert len(postern.asked) == 1
    opened.set()
    assert all(caller is callers[0] for caller in callers)
    grant = postern.grant(key)
    assert callers[0] == Caller(
        subject=grant.subject,
        subject_type="user",
        session_id=None,
        token_id=grant.id,
        client_id=None,
        external_id="42",
        subject_name=None,
        actor=None,
        issuer=ISSUER,
        audience=("orders",),
        roles=("editor", "reader"),
        issued_at=1_700_000_000,
        expires_at=grant.expires_at.seconds,
        key_id=None,
        credential_kind="api_key",
    )
    assert answer(verifier, key, roles=["admin"]) == "ROLE_MISSING"
    assert answer(verifier, key, audience="postern") == "TOKEN_CLAIMS_INVALID"
    service = verifier.verify(postern.create(subject="orders", subject_type=2, subject_name="the orders"))
    assert (service.subject_type, service.client_id, service.subject_name) == ("service", "orders", "the orders")
    assert (service.expires_at, service.roles) == (None, ())
    # An audience that Postern does not have any more.
    assert answer(verifier, postern.create(audience="removed")) == "API_KEY_INVALID"


def test_an_answer_is_used_for_as_long_as_it_says(postern: FakePostern, verifier: Verifier, later: list[float]) -> None:
    """Q40"""
    short, long = postern.create(max_age=60), postern.create(max_age=4_000_000)
    expired = postern.create(expires_at=int(time.time()) - 1)
    for _ in range(2):
        assert isinstance(answer(verifier, short), Caller)
        assert isinstance(answer(verifier, long), Caller)
        assert answer(verifier, expired) == "API_KEY_INVALID"
    assert len(postern.asked) == 3
    later[0] = 61
    assert isinstance(answer(verifier, short), Caller)
    assert isinstance(answer(verifier, long), Caller)
    assert len(postern.asked) == 4
    # Beyond that the stream need not have its revocation.
    later[0] = 601
    assert isinstance(answer(verifier, long), Caller)
    assert len(postern.asked) == 5


def test_a_revoked_key_is_refused_by_every_verifier(postern: FakePostern, verifier: Verifier, until: Until) -> None:
    """Q41"""
    key, other = postern.create(), postern.create()
    with postern.verifier() as second:
        for each in (verifier, second):
            assert isinstance(answer(each, key), Caller)
            assert isinstance(answer(each, other), Caller)
        postern.end(key)
        for each in (verifier, second):
            until(lambda each=each: answer(each, key) == "API_KEY_INVALID", "the revocation arrives")  # type: ignore[misc]
            assert isinstance(answer(each, other), Caller)
    # It has ended for good, so nobody is asked again.
    assert len(postern.asked) == 4


def test_a_changed_key_is_asked_about_again(postern: FakePostern, verifier: Verifier, until: Until) -> None:
    """Q41"""
    key = postern.create(roles=["admin"])
    assert verifier.verify(key).roles == ("admin",)
    before = postern.grant(key).revocation_id
    postern.create(key, roles=["reader"])
    assert verifier.verify(key).roles == ("admin",)
    postern.revoke(before)
    until(lambda: verifier.verify(key).roles == ("reader",), "the change arrives")
    assert answer(verifier, key, roles=["admin"]) == "ROLE_MISSING"
    assert len(postern.asked) == 2


@pytest.mark.parametrize(("which", "verdict"), [("id", "API_KEY_INVALID"), ("revocation_id", "TRUST_STALE")])
def test_an_answer_that_arrives_after_its_revocation_is_void(
    which: str, verdict: str, postern: FakePostern, verifier: Verifier, until: Until
) -> None:
    """Q41"""
    key = postern.create()

    def revoke_first() -> None:
        known = verifier.state().revocations
        postern.revoke(getattr(postern.grant(key), which))
        until(lambda: verifier.state().revocations > known, "the revocation is known")

    postern.on_ask = revoke_first
    assert answer(verifier, key) == verdict
    postern.on_ask = lambda: None
    assert answer(verifier, key) == verdict
    # Not remembered as unknown when it only has changed.
    assert len(postern.asked) == (1 if which == "id" else 2)
    postern.create(key)
    if which == "revocation_id":
        assert isinstance(answer(verifier, key), Caller)


def test_an_unknown_key_is_asked_about_once_in_ten_seconds(
    postern: FakePostern, verifier: Verifier, later: list[float]
) -> None:
    """Q42"""
    key = new_key()
    for _ in range(100):
        assert answer(verifier, key) == "API_KEY_INVALID"
    assert len(postern.asked) == 1
    postern.create(key)
    later[0] = 9
    assert answer(verifier, key) == "API_KEY_INVALID"
    later[0] = 11
    assert isinstance(answer(verifier, key), Caller)


def junk() -> list[str]:
    key = new_key()
    wrong = "0" if key[-1] != "0" else "1"
    texts = [key[:-1] + wrong, key + "0", key[:-1], key[:4] + wrong + key[5:], "pak_", "pak_" + "0" * 49, key.upper()]
    return [*texts, key[:-1] + "\u0661", key + "\n", "pak_" + "\ud800" * 49]


def test_junk_is_refused_without_a_call(postern: FakePostern, verifier: Verifier) -> None:
    """Q42"""
    for text in junk():
        assert not is_well_formed(text)
        expected = "API_KEY_INVALID" if text.startswith("pak_") else "TOKEN_MALFORMED"
        assert answer(verifier, text) == expected, text
    assert answer(verifier, "pak_" + "a" * 10_000) == "TOKEN_TOO_LARGE"
    flood = [f"pak_{number:049}" for number in range(50_000)]
    resolver = verifier._api_keys()
    before = len(gc.get_objects())
    assert {answer(verifier, text) for text in flood} == {"API_KEY_INVALID"}
    assert postern.asked == []
    assert (len(resolver._grants), len(resolver._unknown), len(resolver._pending)) == (0, 0, 0)
    assert len(gc.get_objects()) < before + 1_000


def test_a_flood_of_invented_keys_is_bounded_and_hurts_no_known_key(
    postern: FakePostern, verifier: Verifier, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    """Q42"""
    monkeypatch.setattr(api_key_resolver, "MAX_WAITING", 20)
    key = postern.create()
    assert isinstance(answer(verifier, key), Caller)
    lock, done = threading.Lock(), threading.Event()
    inside: list[int] = [0]

    def hold() -> None:
        with lock:
            inside.append(inside[-1] + 1)
        done.wait(10)
        with lock:
            inside.append(inside[-1] - 1)

    postern.on_ask = hold
    asked_about = api_key_resolver.MAX_CALLS + 20
    with ThreadPoolExecutor(80) as pool:
        verdicts = [pool.submit(answer, verifier, new_key()) for _ in range(80)]
        until(lambda: sum(verdict.done() for verdict in verdicts) >= 80 - asked_about, "those beyond the limits are refused")
        refused = [verdict.result() for verdict in verdicts if verdict.done()]
        assert set(refused) == {"TRUST_STALE"}
        assert isinstance(answer(verifier, key), Caller)
        done.set()
    until(lambda: len(postern.asked) == 1 + asked_about, "the others are asked about")
    until(lambda: inside[-1] == 0, "the calls end")
    assert max(inside) == api_key_resolver.MAX_CALLS
    asked = len(postern.asked)
    assert isinstance(answer(verifier, key), Caller)
    assert len(postern.asked) == asked
    # The calls of the flood have ended: another key is asked about at once.
    postern.on_ask = lambda: None
    assert isinstance(answer(verifier, postern.create()), Caller)


def test_no_more_keys_are_remembered_than_allowed(
    postern: FakePostern, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q42"""
    monkeypatch.setattr(api_key_resolver, "MAX_REMEMBERED", 5)
    kept = postern.create()
    for _ in range(10):
        assert isinstance(answer(verifier, kept), Caller)
        assert isinstance(answer(verifier, postern.create()), Caller)
        assert answer(verifier, new_key()) == "API_KEY_INVALID"
    resolver = verifier._api_keys()
    assert (len(resolver._grants), len(resolver._unknown), len(resolver._digests)) == (5, 5, 10)
    # The one in use was never forgotten.
    assert len(postern.asked) == 21


def test_without_postern_known_keys_are_accepted_as_long_as_tokens(postern: FakePostern, until: Until) -> None:
    """Q43"""
    with postern.verifier(max_staleness=3) as verifier:
        known, unknown = postern.create(), postern.create()
        assert isinstance(answer(verifier, known), Caller)
        postern.stop()
        until(lambda: not verifier.state().connected, "the loss is noticed")
        assert isinstance(answer(verifier, known), Caller)
        assert answer(verifier, unknown) == "TRUST_STALE"
        until(lambda: answer(verifier, known) == "TRUST_STALE", "what is known is too old")
        verifier.close()
        assert answer(verifier, known) == "TRUST_STALE"


def test_an_answer_that_does_not_come_is_waited_for_a_second(postern: FakePostern, verifier: Verifier) -> None:
    """Q43"""
    done = threading.Event()
    postern.on_ask = lambda: done.wait(10)
    key, started = postern.create(), time.monotonic()
    assert answer(verifier, key) == "TRUST_STALE"
    assert 0.9 < time.monotonic() - started < 3
    done.set()


def test_an_answer_that_makes_no_sense_accepts_nothing(
    postern: FakePostern, verifier: Verifier, caplog: pytest.LogCaptureFixture
) -> None:
    """Q43"""
    for fields in ({"subject": ""}, {"id": ""}, {"audience": ""}, {"subject_type": 3}, {"allowed_networks": ["nowhere"]}):
        assert answer(verifier, postern.create(**fields), client_address="192.0.2.1") == "TRUST_STALE", fields
    assert next(record.levelno for record in caplog.records if "resolved" in record.getMessage()) == logging.WARNING
    postern.on_ask = lambda: 1 / 0
    assert answer(verifier, new_key()) == "TRUST_STALE"
    # What a proxy answers is no verdict of Postern, and not remembered as one.
    unknown = new_key()
    postern.on_ask, postern.unknown_reason = lambda: None, "NO_ROUTE"
    assert answer(verifier, unknown) == "TRUST_STALE"
    postern.create(unknown)
    assert isinstance(answer(verifier, unknown), Caller)


def test_a_coroutine_waits_without_blocking_others(postern: FakePostern, verifier: Verifier) -> None:
    """Q40"""
    key, done = postern.create(roles=["reader"]), threading.Event()
    postern.on_ask = lambda: done.wait(10)

    async def run() -> list[Any]:
        first = asyncio.ensure_future(verifier.averify(key, roles=["reader"]))
        impatient = asyncio.ensure_future(verifier.averify(key))
        await asyncio.sleep(0.05)
        # One that gives up does not take the answer from the other.
        impatient.cancel()
        await asyncio.sleep(0.05)
        assert not first.done()
        done.set()
        return [await first, await verifier.averify(key)]

    callers = asyncio.run(run())
    assert callers[0] is callers[1]
    assert len(postern.asked) == 1

    async def refused(text: Any) -> str:
        try:
            await verifier.averify(text)
        except Refused as refusal:
            return refusal.reason
        return "accepted"

    done.clear()
    assert asyncio.run(refused(postern.create())) == "TRUST_STALE"
    done.set()
    assert asyncio.run(refused(new_key())) == "API_KEY_INVALID"
    assert asyncio.run(refused("a.b.c")) == "TOKEN_MALFORMED"
    assert asyncio.run(refused("pak_" + "a" * 10_000)) == "TOKEN_TOO_LARGE"
    with pytest.raises(TypeError, match="must be a str"):
        asyncio.run(refused(key.encode()))
    verifier.close()
    assert asyncio.run(refused(key)) == "TRUST_STALE"


def test_networks(postern: FakePostern, verifier: Verifier) -> None:
    """Q44"""
    key = postern.create(allowed_networks=["192.0.2.0/24", "2001:db8:0:0:0:0:0:0/32", "127.0.0.0/8"])
    for inside in ("192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1", "2001:db8::1%eth0"):
        assert isinstance(answer(verifier, key, client_address=inside), Caller), inside
    # An address of this machine identifies nobody: a proxy may forward the calls of many.
    for outside in ("192.0.3.1", "2001:db9::1", "::ffff:198.51.100.1", "127.0.0.1", "::1", "", "a name", None):
        assert answer(verifier, key, client_address=outside) == "API_KEY_INVALID", outside
    assert answer(verifier, key) == "API_KEY_INVALID"
    assert len(postern.asked) == 1
    assert caller_address("::ffff:127.0.0.1") is None
    assert caller_address("2001:db8::1%25") == ip_address("2001:db8::1")
    for peer, address in (
        ("ipv4:192.0.2.1:4711", "192.0.2.1"),
        ("ipv6:[2001:db8::1]:4711", "2001:db8::1"),
        ("ipv6:%5B2001:db8::1%5D:4711", "2001:db8::1"),
        ("unix:", None),
        ("unix:/run/192.0.2.1:1", None),
        ("", None),
    ):
        assert peer_ip(peer) == address


def test_a_key_is_kept_and_logged_nowhere(postern: FakePostern, verifier: Verifier, caplog: pytest.LogCaptureFixture) -> None:
    """Q44"""
    caplog.set_level(logging.DEBUG)
    valid, unknown = postern.create(), new_key()
    for key in (valid, unknown, valid[:-1] + "!"):
        found = answer(verifier, key)
        if isinstance(found, str):
            with pytest.raises(Refused) as refused:
                verifier.verify(key)
            assert key[4:20] not in f"{refused.value} {refused.value.http_headers}"
    resolver = verifier._api_keys()
    held = repr((vars(resolver), verifier._entries, verifier.verify(valid), caplog.text))
    assert valid[4:20] not in held
    assert unknown[4:20] not in held


def test_the_key_set_alone_verifies_no_api_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Q43"""
    with Verifier(jwks_url="http://127.0.0.1:1/keys", issuer=ISSUER, audiences=["orders"]) as verifier:
        assert answer(verifier, new_key()) == "TRUST_STALE"
        monkeypatch.setattr(verifier._trust, "stale_at", time.monotonic() + 60)
        with pytest.raises(Refused, match="set an address of Postern") as refused:
            verifier.verify(new_key())
        assert (refused.value.reason, refused.value.http_status) == ("API_KEY_INVALID", 401)


def test_a_forked_child_asks_by_itself(postern: FakePostern, until: Until) -> None:
    """Q43"""
    key, later_key = postern.create(), postern.create()
    command = (sys.executable, str(PROGRAM), postern.address, "account", "secret")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answers = process.stdin, process.stdout

        def ask(question: str) -> str:
            asked.write(f"{question}\n")
            return answers.readline().strip()

        assert answers.readline().strip() == "ready"
        assert ask(key) == "accepted"
        postern.end(key)
        assert ask(f"child {key}") == "TRUST_STALE API_KEY_INVALID"
        assert ask(f"child {later_key}") == "accepted accepted"
        until(lambda: ask(f"parent {key}") == "API_KEY_INVALID", "the parent goes on")
        assert ask(f"parent {later_key}") == "accepted"
        postern.end(later_key)
        until(lambda: ask(f"child {later_key}") == "API_KEY_INVALID API_KEY_INVALID", "the child has a stream of its own")
        asked.close()
        assert process.wait(20) == 0


def test_keys_are_verified_while_others_are_revoked(postern: FakePostern, verifier: Verifier, until: Until) -> None:
    """Q41: no verdict of one key reaches another, and none is accepted again after it was refused."""
    keys = [postern.create(external_id=str(number)) for number in range(40)]
    refused: set[int] = set()
    stop = threading.Event()
    faults: list[str] = []

    def use(_: int) -> None:
        while not stop.is_set():
            for number, key in enumerate(keys):
                was_refused = number in refused
                found = answer(verifier, key)
                if isinstance(found, Caller):
                    if was_refused or found.external_id != str(number):
                        faults.append(f"{number}: {found.external_id}, refused before: {was_refused}")
                elif found == "API_KEY_INVALID":
                    refused.add(number)
                elif found != "TRUST_STALE":
                    faults.append(f"{number}: {found}")

    with ThreadPoolExecutor(4) as pool:
        uses = [pool.submit(use, number) for number in range(4)]
        for number in range(0, 40, 2):
            postern.end(keys[number])
        until(lambda: len(refused) == 20, "every revoked key is refused")
        stop.set()
        for each in uses:
            each.result(10)
    assert faults == []
    assert refused == set(range(0, 40, 2))
