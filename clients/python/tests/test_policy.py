"""G23 Every policy file of the corpus, and G25 what a changed file does."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from corpus import corpus
from postern_auth import PUBLIC, Actor, Caller, InvalidPolicy, PolicyFile, Refused, Require, Verifier, grpc_sync
from postern_auth.authenticate import Refusal
from postern_auth.policy import Policy, combined, read_policy
from service import Center

VECTORS: dict[str, Any] = corpus("policies.json")


def caller_of(vector: dict[str, Any]) -> Caller:
    actor = None
    for name in reversed(vector["actors"]):
        actor = Actor("service", name, actor)
    audience, roles = tuple(vector["audience"]), tuple(vector["roles"])
    caller = Caller("user", "user", "sid", "jti", "client", None, None, actor, "issuer", audience, roles, 0, 1, "kid")
    return replace(caller, acr=vector["acr"], authenticated_at=vector["authenticated_at"])


def verdict(policy: Policy, method: str, caller: dict[str, Any] | None) -> str:
    try:
        if not policy.needs_token(method):
            return "public"
        if caller is None:
            return "CREDENTIALS_MISSING"
        policy.check(method, caller_of(caller))
    except Refused as refused:
        return refused.reason
    return "allowed"


@pytest.mark.parametrize("vector", VECTORS["files"], ids=lambda vector: vector["name"])
def test_policies_of_the_corpus(vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postern_auth.requirements.time", lambda: VECTORS["now"] + 0.9)
    text = vector["text"]
    if isinstance(text, dict):
        text = text["head"] + text["fill"] * text["count"] + text["tail"]
    if vector["verdicts"] is None:
        with pytest.raises(InvalidPolicy):
            read_policy(text, is_json=vector["format"] == "json")
        return
    policy = read_policy(text, is_json=vector["format"] == "json")
    for method, expected in vector["verdicts"].items():
        assert [verdict(policy, method, caller) for caller in VECTORS["callers"]] == expected, method


def test_a_bad_file_never_replaces_a_good_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, now = tmp_path / "policy.yaml", [0.0]
    with pytest.raises(FileNotFoundError):
        PolicyFile(path)
    path.write_text("version: 1\nmethods: {/a.B/C: {rols: [admin]}}\n")
    with pytest.raises(InvalidPolicy, match="unknown member 'rols'"):
        PolicyFile(path)
    path.write_text("version: 1\nmethods: {/a.B/C: public}\n")
    file = PolicyFile(path, clock=lambda: now[0])
    path.write_text("version: 1\nmethods: {/a.B/C: {}}\n")
    assert not file.policy.needs_token("/a.B/C")
    now[0] = 10
    assert file.policy.needs_token("/a.B/C")
    path.write_text("version: 1\nmethods: {/a.B/C: nobody}\n")
    for seconds in (20, 30, 40):
        now[0] = seconds
        assert file.policy.needs_token("/a.B/C")
    assert len(caplog.records) == 1
    path.unlink()
    with pytest.raises(FileNotFoundError):
        file.reload()
    # What has no end, or waits for a writer.
    path.symlink_to("/dev/zero")
    with pytest.raises(OSError, match="not a regular file"):
        file.reload()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a regular file"):
        file.reload()
    path.unlink()
    path.write_text("version: 1\nmethods: {}\n#" + " " * 262_144)
    with pytest.raises(InvalidPolicy, match="256 KiB"):
        file.reload()
    assert file.policy.needs_token("/a.B/C")


@pytest.fixture
def policy_of(tmp_path: Path) -> Callable[[str], PolicyFile]:
    def write(methods: str) -> PolicyFile:
        path = tmp_path / "policy.json"
        path.write_text(f'{{"version": 1, "methods": {{{methods}}}}}')
        return PolicyFile(path)

    return write


def test_both_must_allow(policy_of: Callable[[str], PolicyFile]) -> None:
    open_file, closed = policy_of('"/a.B/C": "public"'), policy_of('"/a.B/C": {}')
    strict = Require(roles=["admin"])
    assert combined(open_file, {}, "/a.B/C")[0] is None
    assert combined(open_file, {"/a.B/C": strict}, "/a.B/C")[0] == strict
    acting = Require(audience="orders", actors=["shop"])
    assert combined(closed, {"/a.B/C": acting}, "/a.B/C")[0] == acting
    assert combined(closed, {"/a.B/C": PUBLIC}, "/a.B/C")[0] == Require()
    assert combined(closed, {"/a.B/C": Require(optional=True)}, "/a.B/C")[0] == Require()
    with pytest.raises(Refused) as refused:
        combined(closed, {"/a.B/D": PUBLIC}, "/a.B/D")
    assert (refused.value.reason, refused.value.code) == ("METHOD_NOT_LISTED", grpc.StatusCode.PERMISSION_DENIED)


def test_the_interceptor(policy_of: Callable[[str], PolicyFile], verifier: Verifier, center: Center) -> None:
    """G27."""
    token = ("authorization", f"Bearer {center.first.login().access_token}")

    def judge(methods: str, *metadata: tuple[str, str], **rules: Any) -> str:
        guard = grpc_sync.Authenticate(verifier, policy=policy_of(methods), **rules)
        verdict = guard.judge(SimpleNamespace(method="/a.B/C", invocation_metadata=metadata))
        if isinstance(verdict, Refusal):
            return str(verdict.trailers)
        return "public" if verdict is None else "allowed"

    assert judge('"/a.B/C": "public"') == "public"
    assert judge('"/a.B/C": {}', token) == "allowed"
    assert "METHOD_NOT_LISTED" in judge("", token)
    assert "CREDENTIALS_MISSING" in judge('"/a.B/C": {}')
    assert "ROLE_MISSING" in judge('"/a.B/C": {"roles": ["nobody has this"]}', token)
    assert "ACTOR_NOT_ALLOWED" in judge('"/a.B/C": {"actors": ["shop"]}', token)
    assert "ACTOR_NOT_ALLOWED" in judge('"/a.B/C": {}', token, rules={"/a.B/C": Require(actors=["shop"])})
    assert "CREDENTIALS_MISSING" in judge('"/a.B/C": "public"', rules={"/a.B/C": Require()})
    with pytest.raises(ValueError, match="otherwise"):
        judge("", otherwise=PUBLIC)
