"""Q40, Q41 API keys of the real service."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial

import pytest

from conftest import Until
from corpus import answer
from fake import message, new_key
from postern_auth import Caller, Verifier
from service import EMAIL, Account, Center, Instance
from test_service import percentile, verifier_of


class Owner:
    """A user with API keys."""

    def __init__(self, center: Center) -> None:
        self._instance = center.first
        self._token = center.first.login().access_token
        self._created = 0

    def create(self, *roles: str, audience: str = "orders") -> tuple[str, str]:
        """The id and the key."""
        self._created += 1
        fields = ((1, f"key {time.monotonic()} {self._created}"), *((2, role) for role in roles), (3, audience))
        created = message("CreatedApiKey").FromString(self._instance.call("CreateApiKey", *fields, token=self._token))
        return created.api_key.id, created.secret

    def rotate(self, key_id: str, overlap: int) -> str:
        # An overlap of 0 is not the same as none.
        request = message("RotateApiKeyRequest")(id=key_id, overlap=overlap).SerializeToString()
        metadata = (("authorization", f"Bearer {self._token}"),)
        rotate = self._instance.channel.unary_unary("/postern.v1.AuthService/RotateApiKey")
        return str(message("CreatedApiKey").FromString(rotate(request, timeout=20, metadata=metadata)).secret)

    def revoke(self, key_id: str) -> None:
        self._instance.call("RevokeApiKey", (1, key_id), token=self._token)


@pytest.fixture(scope="module")
def second(center: Center) -> Iterator[Instance]:
    instance = center.instance()
    yield instance
    instance.stop()


def test_a_key_is_accepted_and_refused_after_its_revocation(center: Center, verifier: Verifier, second: Instance) -> None:
    owner = Owner(center)
    with verifier_of(center, second.grpc) as other:
        other.ready(10)
        token = verifier.verify(center.first.login().access_token)
        here: list[float] = []
        there: list[float] = []
        for _ in range(40):
            key_id, key = owner.create("editor")
            # The other instance has heard of it by then.
            for each in (verifier, other):
                caller = each.verify(key, roles=["editor"], audience="orders")
                assert (caller.token_id, caller.subject, caller.credential_kind) == (key_id, token.subject, "api_key")
                assert (caller.subject_type, caller.issuer, caller.session_id) == ("user", token.issuer, None)
            assert caller.expires_at is not None
            assert abs(caller.expires_at - time.time() - 90 * 86_400) < 60
            # By its owner, or by whoever holds it.
            center.first.revoke(key) if len(here) % 2 else owner.revoke(key_id)
            answered = time.perf_counter()
            here.append(delay(verifier, key, answered))
            there.append(delay(other, key, answered))
    assert percentile(here, 0.99) <= 0.02, f"at the instance that answered, worst {max(here)}"
    assert percentile(there, 0.99) <= 0.1, f"at the other instance, worst {max(there)}"
    assert answer(verifier, new_key()) == "API_KEY_INVALID"


def delay(verifier: Verifier, key: str, since: float) -> float:
    while answer(verifier, key) != "API_KEY_INVALID":
        assert time.perf_counter() < since + 10, "the revocation did not arrive"
        time.sleep(0.0001)
    return time.perf_counter() - since


def test_a_rotated_key_and_its_successor(center: Center, verifier: Verifier, until: Until) -> None:
    owner = Owner(center)
    key_id, first = owner.create("editor")
    assert isinstance(answer(verifier, first), Caller)
    second = owner.rotate(key_id, 2)
    assert verifier.verify(second).roles == ("editor",)
    assert isinstance(answer(verifier, first), Caller)
    until(lambda: answer(verifier, first) == "API_KEY_INVALID", "the overlap ends")
    third = owner.rotate(verifier.verify(second).token_id, 0)
    until(lambda: answer(verifier, second) == "API_KEY_INVALID", "the leaked one ends at once")
    assert isinstance(answer(verifier, third), Caller)


def test_a_key_has_no_role_that_its_owner_has_lost(center: Center, verifier: Verifier, until: Until) -> None:
    _, key = Owner(center).create("editor")
    assert verifier.verify(key).roles == ("editor",)
    found: set[object] = set()

    def roles() -> object:
        caller = answer(verifier, key)
        found.add(caller.roles if isinstance(caller, Caller) else caller)
        return caller.roles if isinstance(caller, Caller) else caller

    try:
        center.first.command("user", "set-role", "--email", EMAIL, "--role", "reader")
        until(lambda: roles() == (), "the change arrives")
    finally:
        center.first.command("user", "set-role", "--email", EMAIL, "--role", "editor")
    until(lambda: roles() == ("editor",), "and so does its return")
    # Never refused meanwhile.
    assert found == {(), ("editor",)}


def test_a_key_of_a_service_account_ends_with_it(center: Center, verifier: Verifier, until: Until) -> None:
    name = f"exporter-{time.monotonic_ns()}"
    account = Account(
        **{
            k: v
            for k, v in json.loads(center.first.command("service", "create", name, "--json")).items()
            if k in Account._fields
        }
    )
    created = json.loads(center.first.command("api-key", "create", "export", "--service", name, "--never", "--json"))
    caller = verifier.verify(created["secret"])
    assert (caller.subject, caller.client_id, caller.subject_type) == (account.client_id, account.client_id, "service")
    assert (caller.subject_name, caller.expires_at, caller.roles) == (name, None, ())
    center.first.command("service", "delete", name)
    until(partial(is_invalid, verifier, created["secret"]), "the key ends with its owner")


def is_invalid(verifier: Verifier, key: str) -> bool:
    return answer(verifier, key) == "API_KEY_INVALID"


def test_a_verifier_at_a_unix_socket_and_a_killed_instance(center: Center, until: Until) -> None:
    owner = Owner(center)
    (_, known), (later_id, later) = owner.create(), owner.create()
    path = f"unix:{center.folder}/keys.sock"
    instance = center.instance(path)
    with Verifier(path) as verifier:
        verifier.ready(10)
        assert isinstance(answer(verifier, known), Caller)
        instance.kill()
        until(lambda: not verifier.state().connected, "the loss is noticed")
        assert isinstance(answer(verifier, known), Caller)
        assert answer(verifier, later) == "TRUST_STALE"
        center.first.revoke(known)
        instance = center.instance(path)
        until(lambda: answer(verifier, known) == "API_KEY_INVALID", "the revocation is not missed")
        assert isinstance(answer(verifier, later), Caller)
        owner.revoke(later_id)
        until(lambda: answer(verifier, later) == "API_KEY_INVALID", "it streams again")
    instance.stop()
