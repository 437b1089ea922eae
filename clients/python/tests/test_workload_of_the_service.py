"""W37, W39 A workload without a secret at the real service: its own issuer, a binding, and a file."""

from __future__ import annotations

import json
import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key

from conftest import Until
from corpus import answer
from fake import message
from postern_auth import Caller, UpstreamError, Verifier, WorkloadCredential
from service import Center

ISSUER = "https://kubernetes.example"


def outside_token(key: EllipticCurvePrivateKey, subject: str, lifetime: int = 600) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": subject, "aud": "https://auth.example", "iat": now, "exp": now + lifetime}
    return jwt.encode(claims, key, algorithm="ES256", headers={"kid": "cluster", "typ": "JWT"})


def test_a_pod_without_a_secret(center: Center, tmp_path: Path, until: Until) -> None:
    key = generate_private_key(SECP256R1())
    jwk = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())), "kid": "cluster", "alg": "ES256", "use": "sig"}
    keys, file = tmp_path / "keys.json", tmp_path / "token"
    keys.write_text(json.dumps({"keys": [jwk]}))
    center.first.command("service", "create", "billing")
    center.first.command("issuer", "add", ISSUER, "--kind", "kubernetes", "--jwks", str(keys))
    subject = "system:serviceaccount:shop:billing"
    center.first.command("service", "bind", "billing", "--issuer", ISSUER, "--claim", f"sub={subject}")

    file.write_text(outside_token(key, subject))
    workload = WorkloadCredential(center.first.grpc, file)
    with Verifier(center.first.grpc, token_file=file) as verifier:
        verifier.ready(10)
        caller = verifier.verify(workload.access_token())
        assert (caller.subject_type, caller.subject_name, caller.session_id) == ("service", "billing", None)
        assert isinstance(answer(verifier, center.first.login().access_token), Caller)
        token = center.first.login().access_token
        fields = ((1, f"key {time.monotonic()}"), (3, "orders"))
        created = message("CreatedApiKey").FromString(center.first.call("CreateApiKey", *fields, token=token))
        assert isinstance(answer(verifier, created.secret), Caller)
        center.first.revoke(created.secret)
        until(lambda: answer(verifier, created.secret) == "API_KEY_INVALID", "the revocation arrives")
    workload.close()

    for outside, reason in (
        (outside_token(key, "system:serviceaccount:shop:other"), "IDENTITY_NOT_BOUND"),
        (outside_token(generate_private_key(SECP256R1()), subject), "TOKEN_SIGNATURE_INVALID"),
    ):
        file.write_text(outside)
        other = WorkloadCredential(center.first.grpc, file)
        with pytest.raises(UpstreamError) as error:
            other.access_token()
        assert error.value.reason == reason
        assert outside.split(".")[1] not in str(error.value)
        other.close()
