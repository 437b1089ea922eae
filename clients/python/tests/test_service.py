"""Verifiers on the streams of the real service."""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
import urllib.request
from typing import Any

import pytest

from conftest import Until
from corpus import answer
from postern_auth import Caller, NotReady, Refused, ServiceCredential, Verifier
from postern_auth.stream import StreamSource, WatchTrustCall
from service import Center, Instance


def verifier_of(center: Center, address: str, **options: Any) -> Verifier:
    account = center.account
    return Verifier(address, client_id=account.client_id, client_secret=account.client_secret, **options)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


def test_a_token_is_verified_and_refused_after_its_revocation(center: Center, verifier: Verifier, until: Until) -> None:
    token = center.first.login("orders").access_token
    caller = verifier.verify(token, roles=["editor"], audience="orders")
    assert (caller.subject_type, caller.roles, caller.issuer) == ("user", ("editor",), "https://auth.example")
    assert verifier.verify(token) is caller
    assert answer(verifier, token, roles=["admin"]) == "ROLE_MISSING"
    assert answer(verifier, token, audience="others") == "TOKEN_CLAIMS_INVALID"
    assert answer(verifier, token + "A") == "TOKEN_SIGNATURE_INVALID"
    center.first.revoke(token)
    until(lambda: answer(verifier, token) == "TOKEN_REVOKED", "the revocation arrives")
    state = verifier.state()
    assert (state.status, state.connected, state.failure) == ("ready", True, None)
    assert state.revocations >= 1
    # A token of a revoked session that this verifier has never seen.
    other = center.first.login()
    center.first.revoke(other.refresh_token)
    until(lambda: answer(verifier, other.access_token) == "TOKEN_REVOKED", "this revocation arrives, too")


def test_a_verifier_at_a_relay_gets_its_tokens_from_the_service(center: Center, until: Until) -> None:
    """R63."""
    relay = center.relay()
    with verifier_of(center, relay.grpc, token_address=center.first.grpc) as verifier:
        token = center.first.login().access_token
        until(lambda: isinstance(answer(verifier, token), Caller), "the list arrives")
        center.first.revoke(token)
        until(lambda: answer(verifier, token) == "TOKEN_REVOKED", "the revocation arrives")
    with verifier_of(center, relay.grpc) as lost:
        answer(lost, token)
        until(lambda: "UNIMPLEMENTED" in str(lost.state().failure), "the relay issues no token")


def test_levels_are_read_as_the_service_writes_them(center: Center, verifier: Verifier) -> None:
    """M51."""
    before = int(time.time())
    login = center.first.login().access_token
    caller = verifier.verify(login, min_acr="aal1", max_auth_age=300)
    assert (caller.acr, caller.amr) == ("aal1", ("pwd",))
    assert caller.authenticated_at is not None
    assert before <= caller.authenticated_at <= time.time()
    assert answer(verifier, login, min_acr="aal2") == "STEP_UP_REQUIRED"
    account = center.first.service_token(center.account)
    assert isinstance(answer(verifier, account), Caller)
    assert answer(verifier, account, min_acr="aal1") == "STEP_UP_REQUIRED"
    assert answer(verifier, account, max_auth_age=300) == "STEP_UP_REQUIRED"


def test_a_revocation_arrives_within_milliseconds_at_every_instance(center: Center, verifier: Verifier) -> None:
    second = center.instance()
    with verifier_of(center, second.grpc) as other:
        other.ready(10)
        here, there = [], []
        for _ in range(200):
            token = center.first.service_token(center.account)
            assert isinstance(answer(verifier, token), Caller)
            assert isinstance(answer(other, token), Caller)
            center.first.revoke(token)
            answered = time.perf_counter()
            here.append(delay(verifier, token, answered))
            there.append(delay(other, token, answered))
    second.stop()
    assert percentile(here, 0.99) <= 0.02, f"at the instance that answered, worst {max(here)}"
    assert percentile(there, 0.99) <= 0.1, f"at the other instance, worst {max(there)}"


def delay(verifier: Verifier, token: str, since: float) -> float:
    while answer(verifier, token) != "TOKEN_REVOKED":
        assert time.perf_counter() < since + 10, "the revocation did not arrive"
        # The thread of the stream needs the interpreter, too.
        time.sleep(0.0001)
    return time.perf_counter() - since


def test_a_killed_service_is_survived_until_its_news_are_too_old(center: Center, until: Until) -> None:
    killed = center.instance()
    with (
        verifier_of(center, killed.grpc, max_staleness=2) as strict,
        verifier_of(center, killed.grpc, max_staleness=2, when_stale="accept") as lenient,
    ):
        strict.ready(10)
        lenient.ready(10)
        known, missed = (center.first.login().access_token for _ in range(2))
        killed.kill()
        until(lambda: not strict.state().connected, "the loss is noticed")
        assert isinstance(answer(strict, known), Caller)
        center.first.revoke(missed)
        until(lambda: answer(strict, known) == "TRUST_STALE", "the news are too old")
        assert strict.state().status == "stale"
        assert "UNAVAILABLE" in (strict.state().failure or "")
        with pytest.raises(NotReady, match="too old: .*UNAVAILABLE"):
            strict.ready(0.1)
        assert isinstance(answer(lenient, known), Caller)
        # Another instance at the same address: the cursor is that of the first one.
        successor = center.instance(killed.grpc)
        until(lambda: strict.state().status == "ready", "the verifier resumes")
        assert isinstance(answer(strict, known), Caller)
        assert answer(strict, missed) == "TOKEN_REVOKED"
        until(lambda: answer(lenient, missed) == "TOKEN_REVOKED", "the lenient one resumes, too")
        successor.stop()


def test_revocations_while_a_verifier_reconnects_are_not_missed(center: Center, until: Until) -> None:
    instance = center.instance()
    with verifier_of(center, instance.grpc) as verifier:
        verifier.ready(10)
        for _ in range(3):
            tokens = [center.first.service_token(center.account) for _ in range(20)]
            assert all(isinstance(answer(verifier, token), Caller) for token in tokens)
            instance.kill()
            for token in tokens:
                center.first.revoke(token)
            instance = center.instance(instance.grpc)
            pending = set(tokens)

            def all_refused(pending: set[str] = pending) -> bool:
                pending -= {token for token in pending if answer(verifier, token) == "TOKEN_REVOKED"}
                return not pending

            until(all_refused, "every token is refused")
    instance.stop()


def test_a_service_that_is_cut_off_from_its_database_makes_its_verifiers_stale(center: Center, until: Until) -> None:
    with verifier_of(center, center.first.grpc, max_staleness=4) as verifier:
        verifier.ready(10)
        token = center.first.login().access_token
        assert isinstance(answer(verifier, token), Caller)
        center.signal_database(signal.SIGSTOP)
        try:
            until(lambda: answer(verifier, token) == "TRUST_STALE", "the news of the service are too old")
            # The stream is alive all the time.
            assert verifier.state().connected
        finally:
            center.signal_database(signal.SIGCONT)
        until(lambda: isinstance(answer(verifier, token), Caller), "the verifier recovers")


def kid_in_use(instance: Instance) -> str:
    keys = json.loads(instance.command("key", "list", "--json"))
    rows = keys if isinstance(keys, list) else keys["keys"]
    return str(next(row["kid"] for row in rows if row["state"] == "active"))


def test_rotated_and_revoked_keys(center: Center, verifier: Verifier, until: Until) -> None:
    before = center.first.login().access_token
    first_kid = verifier.verify(before).key_id
    assert first_kid == kid_in_use(center.first)
    center.first.command("key", "rotate")

    def has_rotated() -> bool:
        token = center.first.service_token(center.account)
        # Never unknown: the verifier has the new key before the first token that it signs.
        return verifier.verify(token).key_id != first_kid

    until(has_rotated, "the new key signs")
    assert isinstance(answer(verifier, before), Caller)
    # The stream of the verifier was opened with a token that the revoked key signed.
    center.first.command("key", "revoke", first_kid)
    until(lambda: answer(verifier, before) in ("TOKEN_KEY_UNKNOWN", "TOKEN_REVOKED"), "the key is refused")
    assert isinstance(answer(verifier, center.first.login().access_token), Caller)
    active = kid_in_use(center.first)
    last = center.first.service_token(center.account)
    center.first.command("key", "revoke", active)
    until(lambda: answer(verifier, last) in ("TOKEN_KEY_UNKNOWN", "TOKEN_REVOKED"), "the active key is refused")
    until(lambda: new_token_is_accepted(center, verifier), "tokens of its successor are accepted")


def new_token_is_accepted(center: Center, verifier: Verifier) -> bool:
    return isinstance(answer(verifier, center.first.service_token(center.account)), Caller)


@pytest.mark.parametrize(("seconds", "verdict"), [(-90, "TOKEN_NOT_YET_VALID"), (90, "accepted"), (700, "TOKEN_EXPIRED")])
def test_a_clock_that_is_wrong(seconds: int, verdict: str, center: Center, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("stream", "verifier"):
        monkeypatch.setattr(f"postern_auth.{module}.time", lambda: time.time() + seconds)
    with verifier_of(center, center.first.grpc) as verifier:
        verifier.ready(10)
        found = answer(verifier, center.first.login().access_token)
        assert (found if isinstance(found, str) else "accepted") == verdict


def test_a_clock_that_is_set_back_brings_purged_revocations_back(
    center: Center, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    ahead = 0.0
    for module in ("stream", "verifier"):
        monkeypatch.setattr(f"postern_auth.{module}.time", lambda: time.time() + ahead)
    with verifier_of(center, center.first.grpc) as verifier:
        verifier.ready(10)
        token = center.first.login().access_token
        center.first.revoke(token)
        until(lambda: answer(verifier, token) == "TOKEN_REVOKED", "it is revoked")
        ahead = 5_000
        until(lambda: verifier.state().revocations == 0, "expired revocations are purged")
        ahead = 0.0
        until(lambda: answer(verifier, token) == "TOKEN_REVOKED", "it is revoked again")


def test_a_stream_whose_credential_expires_is_replaced_without_a_gap(
    center: Center, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, until: Until
) -> None:
    opened: list[str] = []
    renewed, start = ServiceCredential.renewed, WatchTrustCall.start

    def soon_due(credential: ServiceCredential) -> tuple[str, float]:
        return renewed(credential)[0], time.monotonic() + 0.1

    def counted(call: WatchTrustCall, *arguments: Any) -> None:
        opened.append(arguments[1])
        start(call, *arguments)

    monkeypatch.setattr(ServiceCredential, "renewed", soon_due)
    monkeypatch.setattr(WatchTrustCall, "start", counted)
    with verifier_of(center, center.first.grpc) as verifier:
        verifier.ready(10)
        threads = threading.active_count()
        tokens = []

        def has_replaced_ten() -> bool:
            tokens.append(center.first.service_token(center.account))
            verifier.verify(tokens[-1])
            center.first.revoke(tokens[-1])
            return len(opened) >= 10

        until(has_replaced_ten, "the stream was replaced")
        until(lambda: {answer(verifier, token) for token in tokens} == {"TOKEN_REVOKED"}, "none was missed")
        # No stream was lost, for however short a time.
        assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
        # Each continues from the cursor of the one before, and the replaced ones are gone.
        assert "" not in opened[2:]
        until(lambda: threading.active_count() <= threads + 2, "the threads of replaced streams have ended")


def test_an_outage_is_logged_once_for_each_cause(caplog: pytest.LogCaptureFixture, until: Until) -> None:
    caplog.set_level(logging.DEBUG, "postern_auth")
    with Verifier("127.0.0.1:1") as verifier:
        with pytest.raises(NotReady, match="UNAVAILABLE"):
            verifier.ready(0.1)
        until(lambda: len(caplog.records) >= 5, "it goes on trying")
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == len(set(warnings)) < len(caplog.records)


def test_an_unexpected_fault_does_not_end_a_verifier(center: Center, monkeypatch: pytest.MonkeyPatch, until: Until) -> None:
    start, apply = WatchTrustCall.start, StreamSource.apply
    faults: list[Exception] = [RuntimeError("can't start new thread"), KeyError("an update with a surprise")]

    def failing_start(*arguments: Any) -> None:
        if len(faults) == 2:
            raise faults.pop(0)
        start(*arguments)

    def failing_apply(*arguments: Any) -> None:
        if faults:
            raise faults.pop(0)
        apply(*arguments)

    monkeypatch.setattr(WatchTrustCall, "start", failing_start)
    monkeypatch.setattr(StreamSource, "apply", failing_apply)
    with verifier_of(center, center.first.grpc) as verifier:
        # Sooner than the silence of a stream that nobody reads is noticed.
        verifier.ready(5)
        assert faults == []
        assert isinstance(answer(verifier, center.first.login().access_token), Caller)


def test_the_credential_of_a_service(center: Center) -> None:
    credential = ServiceCredential(center.first.grpc, *center.account)
    token = credential.access_token()
    assert credential.access_token() == token
    called: list[object] = []
    credential(None, lambda metadata, error: called.append((metadata, error)))
    assert called == [((("authorization", f"Bearer {token}"),), None)]
    credential.close()


def test_a_verifier_that_cannot_get_ready_names_the_cause(center: Center) -> None:
    with Verifier(center.first.grpc, client_id=center.account.client_id, client_secret="psk_" + "0" * 49) as verifier:
        with pytest.raises(NotReady, match="no access token for the stream: UNAUTHENTICATED INVALID_CREDENTIALS"):
            verifier.ready(1)
        with pytest.raises(Refused) as refused:
            verifier.verify("a.b.c")
        assert (refused.value.reason, refused.value.http_status, refused.value.retry_after) == ("TRUST_STALE", 503, 1)
    with Verifier(center.first.grpc) as verifier, pytest.raises(NotReady, match="UNAUTHENTICATED CREDENTIALS_MISSING"):
        verifier.ready(1)
    with Verifier("127.0.0.1:1") as verifier, pytest.raises(NotReady, match="UNAVAILABLE"):
        verifier.ready(1)


def test_the_key_set_alone(center: Center, until: Until) -> None:
    with Verifier(
        jwks_url=f"{center.first.http}/.well-known/jwks.json", issuer="https://auth.example", audiences=["postern"]
    ) as verifier:
        verifier.ready(10)
        token = center.first.login().access_token
        assert isinstance(answer(verifier, token), Caller)
        with urllib.request.urlopen(f"{center.first.http}/.well-known/jwks.json") as response:  # noqa: S310
            assert "max-age=1" in response.headers["cache-control"]
        center.first.command("key", "revoke", kid_in_use(center.first))
        until(lambda: answer(verifier, token) == "TOKEN_KEY_UNKNOWN", "the set is fetched again")
        until(lambda: new_token_is_accepted(center, verifier), "the new key is found")
        assert verifier.state().age is None
