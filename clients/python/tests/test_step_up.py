"""M51-M54: levels and ages that a program requires, at the verifier and at every guard."""

import base64
import hashlib
import json
import pickle
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from google.rpc import error_details_pb2, status_pb2
from jwt.algorithms import ECAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import postern_auth.fastapi
from corpus import answer
from fake import FakePostern
from postern_auth import PUBLIC, PolicyFile, Refused, Require, ServiceCredential, UpstreamError, Verifier, grpc_aio, grpc_sync
from postern_auth.authenticate import Refusal
from postern_auth.requirements import LEVELS, strictest
from postern_auth.starlette import RequireToken
from postern_auth.stream import StreamSource, WatchTrustCall
from postern_auth.wire import Heartbeat, Revocations, TrustedKeys, TrustUpdate

ISSUER = "https://auth.example"
METHOD = "/shop.Orders/Refund"
FRESH = Require(min_acr="aal2", max_auth_age=300)
BOTH = {"acr_values": "aal2", "max_age": "300"}
CHALLENGE = 'Bearer error="insufficient_user_authentication", acr_values="aal2", max_age="300"'

Issue = Callable[..., str]


@pytest.fixture
def verifier(monkeypatch: pytest.MonkeyPatch) -> Iterator[Verifier]:
    """Without a connection, with the key of `issue`."""
    monkeypatch.setattr(StreamSource, "start", lambda self: None)
    with Verifier("127.0.0.1:1") as v:
        v._start()
        yield v


@pytest.fixture
def issue(verifier: Verifier) -> Issue:
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    # RFC 7638.
    members = json.dumps({name: jwk[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))
    kid = base64.urlsafe_b64encode(hashlib.sha256(members.encode()).digest()).decode().rstrip("=")
    jwk = {**jwk, "kid": kid, "alg": "ES256", "use": "sig"}
    source = verifier._source
    assert isinstance(source, StreamSource)
    keys = TrustedKeys(json.dumps({"keys": [jwk]}), ISSUER, ("orders",), 3_600, 5)
    for update in (keys, Revocations([], True), Heartbeat(0)):
        source.apply(TrustUpdate("c", update), time.monotonic())

    def sign(age: int | None = None, **claims: Any) -> str:
        now = int(time.time())
        if age is not None:
            claims["auth_time"] = now - age
        common = {"iss": ISSUER, "aud": "orders", "sub": "u", "client_id": "postern", "jti": "j", "sid": "s", "roles": []}
        payload = {**common, "iat": now, "exp": now + 600, **claims}
        return jwt.encode(payload, key, "ES256", {"typ": "at+jwt", "kid": kid})

    return sign


@pytest.fixture
def weak(issue: Issue) -> list[str]:
    """Tokens that FRESH refuses."""
    strong_long_ago, password, unknown = issue(acr="aal2", age=400), issue(acr="aal1", age=0), issue(acr="aal3", age=0)
    return [strong_long_ago, password, unknown, issue(), issue(acr="aal2")]


def test_a_verifier_names_all_that_is_required(verifier: Verifier, issue: Issue, weak: list[str]) -> None:
    assert verifier.verify(issue(acr="aal2", amr=["pwd", "otp"], age=10), **FRESH.requirements).amr == ("pwd", "otp")
    for token in weak:
        with pytest.raises(Refused) as refused:
            verifier.verify(token, **FRESH.requirements)
        # Also across processes.
        copy = pickle.loads(pickle.dumps(refused.value))  # noqa: S301
        for error in (refused.value, copy):
            assert (error.reason, error.code, error.http_status) == ("STEP_UP_REQUIRED", grpc.StatusCode.UNAUTHENTICATED, 401)
            assert error.step_up_parameters == BOTH
            assert error.http_headers == {"www-authenticate": CHALLENGE}
    with pytest.raises(Refused) as refused:
        verifier.verify(weak[1], min_acr="aal2")
    assert refused.value.http_headers["www-authenticate"].endswith('"insufficient_user_authentication", acr_values="aal2"')
    with pytest.raises(Refused) as refused:
        verifier.verify(weak[0], max_auth_age=60)
    assert refused.value.http_headers["www-authenticate"].endswith('"insufficient_user_authentication", max_age="60"')


def test_a_cached_token_is_judged_by_the_time_of_each_call(
    verifier: Verifier, issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, start = issue(acr="aal1", age=0), int(time.time())
    for later, expected in ((0.0, "u"), (30.9, "u"), (31.1, "STEP_UP_REQUIRED"), (0.0, "u")):
        # A second may have begun between the token and now.
        monkeypatch.setattr("postern_auth.requirements.time", lambda later=later: start + later)
        found = answer(verifier, token, max_auth_age=30)
        assert (found if isinstance(found, str) else found.subject) == expected


def test_an_api_key_has_no_level() -> None:
    postern = FakePostern()
    try:
        with postern.verifier() as verifier:
            key = postern.create(roles=["editor"])
            caller = verifier.verify(key)
            assert (caller.acr, caller.amr, caller.authenticated_at) == (None, (), None)
            assert answer(verifier, key, min_acr="aal1") == "STEP_UP_REQUIRED"
            assert answer(verifier, key, max_auth_age=2**32 - 1) == "STEP_UP_REQUIRED"
            # Before the role, which may need a second factor.
            assert answer(verifier, key, min_acr="aal2", roles=["admin"]) == "STEP_UP_REQUIRED"
            guard = grpc_sync.Authenticate(verifier, {METHOD: FRESH})
            presented: Any = guard.judge(details(f"Bearer {key}"))
            verdict = guard.judge_key(presented, SimpleNamespace(peer=lambda: "ipv4:192.0.2.1:4711"))
            assert info_of(verdict) == ("STEP_UP_REQUIRED", BOTH)
    finally:
        postern.stop()


def details(*values: str) -> Any:
    return SimpleNamespace(method=METHOD, invocation_metadata=[("authorization", value) for value in values])


def info_of(verdict: Any) -> tuple[str, dict[str, str]]:
    """The reason and the metadata of the ErrorInfo, read by the library of Google."""
    assert isinstance(verdict, Refusal)
    assert verdict.code is grpc.StatusCode.UNAUTHENTICATED
    return info_in(dict(verdict.trailers)["grpc-status-details-bin"])


def info_in(encoded: bytes) -> tuple[str, dict[str, str]]:
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(encoded).details[0].Unpack(info)
    assert info.domain == "postern"
    return info.reason, dict(info.metadata)


@pytest.mark.parametrize("module", [grpc_sync, grpc_aio], ids=["grpc", "grpc.aio"])
def test_interceptors(module: Any, verifier: Verifier, issue: Issue, weak: list[str], tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text('{"version": 1, "otherwise": {"min_acr": "aal2", "max_auth_age": 300}, "methods": {}}')
    strong = details(f"Bearer {issue(acr='aal2', age=10)}")
    for guard in (module.Authenticate(verifier, {METHOD: FRESH}), module.Authenticate(verifier, policy=PolicyFile(file))):
        assert guard.judge(strong).acr == "aal2"
        for token in weak:
            assert info_of(guard.judge(details(f"Bearer {token}"))) == ("STEP_UP_REQUIRED", BOTH)


def test_over_the_wire(verifier: Verifier, issue: Issue) -> None:
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: b"refunded")
    server = grpc.server(ThreadPoolExecutor(1), interceptors=[grpc_sync.Authenticate(verifier, {METHOD: FRESH})])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Orders", {"Refund": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            refund = channel.unary_unary(METHOD)
            strong = [("authorization", f"Bearer {issue(acr='aal2', age=0)}")]
            assert refund(b"a", metadata=strong, timeout=10) == b"refunded"
            with pytest.raises(grpc.RpcError) as refused:
                refund(b"a", metadata=[("authorization", f"Bearer {issue(acr='aal1', age=0)}")], timeout=10)
            error: Any = refused.value
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
            assert info_in(dict(error.trailing_metadata())["grpc-status-details-bin"]) == ("STEP_UP_REQUIRED", BOTH)
    finally:
        server.stop(None).wait()


def test_the_fastapi_dependency(verifier: Verifier, issue: Issue, weak: list[str]) -> None:
    app = FastAPI()
    recent = postern_auth.fastapi.caller(verifier, min_acr="aal2", max_auth_age=300)

    @app.post("/refund")
    def refund(caller: Annotated[Any, Depends(recent)]) -> str:
        return str(caller.acr)

    with TestClient(app) as client:
        strong = {"authorization": f"Bearer {issue(acr='aal2', age=10)}"}
        assert client.post("/refund", headers=strong).json() == "aal2"
        for token in weak:
            refused = client.post("/refund", headers={"authorization": f"Bearer {token}"})
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, CHALLENGE)
            assert refused.json()["detail"]["error"] == "STEP_UP_REQUIRED"


def test_the_middleware(verifier: Verifier, issue: Issue, weak: list[str]) -> None:
    def level(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.state.caller.acr)

    app = Starlette(routes=[Route("/refund", level)])
    with TestClient(RequireToken(app, verifier, min_acr="aal2", max_auth_age=300)) as client:
        assert client.get("/refund", headers={"authorization": f"Bearer {issue(acr='aal2', age=10)}"}).text == "aal2"
        for token in weak:
            refused = client.get("/refund", headers={"authorization": f"Bearer {token}"})
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, CHALLENGE)
            assert refused.json()["error"] == "STEP_UP_REQUIRED"


WRONG: tuple[dict[str, Any], ...] = (
    *({"min_acr": level} for level in ("aal3", "AAL2", "", 2, True, ["aal2"])),
    *({"max_auth_age": age} for age in (0, -1, 1.5, 300.0, 2**32, "300", True, float("inf"))),
)


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_what_is_no_level_or_age_stops_the_start(wrong: dict[str, Any], verifier: Verifier, issue: Issue) -> None:
    with pytest.raises(ValueError, match="must be"):
        Require(**wrong)
    with pytest.raises(ValueError, match="must be"):
        postern_auth.fastapi.caller(verifier, **wrong)
    with pytest.raises(ValueError, match="must be"):
        RequireToken(Starlette(), verifier, **wrong)
    with pytest.raises(ValueError, match="must be"):
        verifier.verify(issue(acr="aal2", age=0), **wrong)


@pytest.mark.parametrize("requirement", [{"min_acr": "aal1"}, {"max_auth_age": 1}], ids=str)
def test_a_token_that_may_be_absent_has_no_level(requirement: dict[str, Any], verifier: Verifier) -> None:
    with pytest.raises(ValueError, match="has proved nothing"):
        Require(optional=True, **requirement)
    with pytest.raises(ValueError, match="has proved nothing"):
        postern_auth.fastapi.caller(verifier, optional=True, **requirement)
    with pytest.raises(TypeError, match="acr"):
        Require(acr="aal2")  # type: ignore[call-arg]


def test_the_highest_level_and_the_shortest_time_count() -> None:
    levels, ages = (None, *LEVELS), (None, 1, 60)
    for one, level in enumerate(levels):
        for other, other_level in enumerate(levels):
            for first, age in enumerate(ages):
                for second, other_age in enumerate(ages):
                    shortest = ages[min(first, second) or max(first, second)]
                    assert strictest((level, age), (other_level, other_age)) == (levels[max(one, other)], shortest)


@pytest.mark.parametrize(
    ("file_rule", "code", "expected"),
    [
        ('{"min_acr": "aal2"}', Require(), {"acr_values": "aal2"}),
        ('{"max_auth_age": 60}', FRESH, {"acr_values": "aal2", "max_age": "60"}),
        ('{"min_acr": "aal2", "max_auth_age": 300}', Require(min_acr="aal1", max_auth_age=60), {**BOTH, "max_age": "60"}),
        ("{}", FRESH, BOTH),
        ('"public"', FRESH, BOTH),
        ('{"min_acr": "aal2"}', PUBLIC, {"acr_values": "aal2"}),
        ('{"min_acr": "aal2"}', Require(optional=True), {"acr_values": "aal2"}),
        ('{"min_acr": "aal2"}', None, {"acr_values": "aal2"}),
    ],
)
def test_file_and_code_each_raise_the_requirement(
    file_rule: str, code: Any, expected: dict[str, str], verifier: Verifier, issue: Issue, tmp_path: Path
) -> None:
    file = tmp_path / "policy.json"
    file.write_text(f'{{"version": 1, "methods": {{"{METHOD}": {file_rule}}}}}')
    guard = grpc_sync.Authenticate(verifier, {} if code is None else {METHOD: code}, policy=PolicyFile(file))
    verdict = guard.judge(details(f"Bearer {issue(acr='aal1', age=400)}"))
    assert info_of(verdict) == ("STEP_UP_REQUIRED", expected)


@pytest.mark.parametrize(
    ("file_rule", "code"),
    [
        ('{"audience": "reports", "min_acr": "aal2"}', None),
        ('{"audience": "reports"}', FRESH),
        ('{"min_acr": "aal2"}', Require(audience="reports")),
        ('{"audience": "reports", "min_acr": "aal2"}', Require(audience="orders")),
    ],
)
def test_nobody_steps_up_for_a_token_of_another_audience(
    file_rule: str, code: Any, verifier: Verifier, issue: Issue, tmp_path: Path
) -> None:
    file = tmp_path / "policy.json"
    file.write_text(f'{{"version": 1, "methods": {{"{METHOD}": {file_rule}}}}}')
    guard = grpc_sync.Authenticate(verifier, {} if code is None else {METHOD: code}, policy=PolicyFile(file))
    verdict = guard.judge(details(f"Bearer {issue(acr='aal1', age=0)}"))
    assert info_of(verdict) == ("TOKEN_CLAIMS_INVALID", {})


@pytest.mark.parametrize("code", [Require(roles=["admin"]), Require(actors=["shop"])], ids=["roles", "actors"])
def test_the_code_requires_its_roles_and_actors_beside_a_file(
    code: Require, verifier: Verifier, issue: Issue, tmp_path: Path
) -> None:
    file = tmp_path / "policy.json"
    file.write_text(f'{{"version": 1, "methods": {{"{METHOD}": {{"min_acr": "aal2"}}}}}}')
    guard = grpc_sync.Authenticate(verifier, {METHOD: code}, policy=PolicyFile(file))
    assert info_of(guard.judge(details(f"Bearer {issue(acr='aal1', age=0)}")))[0] == "STEP_UP_REQUIRED"
    verdict = guard.judge(details(f"Bearer {issue(acr='aal2', age=0)}"))
    assert isinstance(verdict, Refusal)
    assert verdict.code is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(("reason", "forgets"), [("TOKEN_REVOKED", 1), (None, 1), ("STEP_UP_REQUIRED", 0)])
def test_no_renewal_answers_a_demand_to_step_up(reason: str | None, forgets: int, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[object] = []
    monkeypatch.setattr(StreamSource, "start", lambda self: None)
    monkeypatch.setattr(WatchTrustCall, "start", lambda *arguments: None)
    monkeypatch.setattr(ServiceCredential, "renewed", lambda credential: ("a", float("inf")))
    monkeypatch.setattr(ServiceCredential, "forget", lambda credential: forgotten.append(credential))
    with Verifier("127.0.0.1:1", client_id="orders", client_secret="secret") as verifier:
        verifier._start()
        source = verifier._source
        assert isinstance(source, StreamSource)
        source.tick()
        source.open()
        assert source._call is not None
        source.on_end(source._call, UpstreamError(grpc.StatusCode.UNAUTHENTICATED, reason, "the end"))
    assert len(forgotten) == forgets
