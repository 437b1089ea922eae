"""Measures the verifier in CPU time, beside PyJWT in the same run: python bench/speed.py [seconds for each row]."""

from __future__ import annotations

import json
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from postern_auth import Verifier
from postern_auth.stream import StreamSource
from postern_auth.wire import Heartbeat, Revocation, Revocations, TrustedKeys, TrustUpdate

ISSUER, AUDIENCE = "https://auth.example", "orders"
PRIVATE_KEY = generate_private_key(SECP256R1())


def encoded(number: int) -> str:
    return urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()


def public_jwk() -> dict[str, str]:
    point = PRIVATE_KEY.public_key().public_numbers()
    members = {"crv": "P-256", "kty": "EC", "x": encoded(point.x), "y": encoded(point.y)}
    digest = sha256(json.dumps(members, separators=(",", ":")).encode()).digest()
    return {**members, "kid": urlsafe_b64encode(digest).rstrip(b"=").decode(), "alg": "ES256", "use": "sig"}


JWK = public_jwk()


def session_of(number: int) -> str:
    return f"00000000-0000-7000-8000-{number:012x}"


def new_token(number: int) -> str:
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "sub": f"01a21efa-8ee3-737b-ba50-{number:012x}",
        "aud": AUDIENCE,
        "exp": now + 3_000,
        "iat": now,
        "jti": f"DtVZOp7rdoGWT2vo{number:06d}",
        "sid": session_of(number),
        "client_id": "postern",
        "roles": ["editor", "reader"],
    }
    return jwt.encode(claims, PRIVATE_KEY, algorithm="ES256", headers={"kid": JWK["kid"], "typ": "at+jwt"})


def open_verifier(revocations: int = 0, cache_bytes: int = 1 << 30) -> Verifier:
    """One that is fed by hand, without a connection."""
    StreamSource.start = lambda self: None  # type: ignore[method-assign]
    verifier = Verifier("127.0.0.1:1", cache_bytes=cache_bytes)
    verifier._start()
    source = verifier._source
    assert isinstance(source, StreamSource)
    expires_at = int(time.time()) + 3_600
    revoked = [Revocation("sid", (10**9 + number).to_bytes(16, "big"), expires_at) for number in range(revocations)]
    keys = TrustedKeys(json.dumps({"keys": [JWK]}), ISSUER, (AUDIENCE,), 3_600, 5)
    for update in (keys, Revocations(revoked, True), Heartbeat(0)):
        source.apply(TrustUpdate("c", update), time.monotonic())
    return verifier


def rate(verify: Callable[[str], object], tokens: Sequence[str], seconds: float) -> float:
    """Verifications in a second of CPU time; the best of five, since other programs evict the processor's caches."""
    best = 0.0
    for _ in range(5):
        done, started = 0, time.process_time()
        while time.process_time() - started < seconds / 5:
            for token in tokens:
                verify(token)
            done += len(tokens)
        best = max(best, done / (time.process_time() - started))
    return best


def copies(tokens: Sequence[str]) -> list[str]:
    """New strings with the same text, as each request brings one: a string that was looked up before has its hash."""
    return [token.encode().decode() for token in tokens]


def rate_of_new_strings(verify: Callable[[str], object], tokens: Sequence[str], seconds: float) -> float:
    best = 0.0
    for _ in range(5):
        done, spent = 0, 0.0
        while spent < seconds / 5:
            batch = copies(tokens)
            started = time.process_time()
            for token in batch:
                verify(token)
            spent += time.process_time() - started
            done += len(batch)
        best = max(best, done / spent)
    return best


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    tokens = [new_token(number) for number in range(100_000 if seconds > 1 else 2_000)]
    few, fresh = tokens[:1_000], tokens[:200]
    rows: list[tuple[str, float]] = []

    uncached = open_verifier(cache_bytes=0)
    key = PRIVATE_KEY.public_key()
    required = ["exp", "iat", "sub", "jti"]

    def by_pyjwt(token: str) -> object:
        options: jwt.types.Options = {"require": required}
        return jwt.decode(token, key, algorithms=["ES256"], audience=AUDIENCE, issuer=ISSUER, options=options)

    # In turns, so that both meet the same machine.
    ours, theirs = 0.0, 0.0
    for _ in range(3):
        ours = max(ours, rate(uncached.verify, fresh, seconds / 3))
        theirs = max(theirs, rate(by_pyjwt, fresh, seconds / 3))
    rows += [("first sight, ES256", ours), ("PyJWT, ES256", theirs)]

    verifier = open_verifier()
    for token in few:
        verifier.verify(token)
    rows.append(("seen before, 1,000 tokens, a new string each time", rate_of_new_strings(verifier.verify, few, seconds)))
    rows.append(("seen before, 1,000 tokens, the same strings", rate(verifier.verify, few, seconds)))
    revoked = open_verifier(revocations=1_000_000)
    for token in few:
        revoked.verify(token)
    rows.append(("the same with 1,000,000 revocations", rate_of_new_strings(revoked.verify, few, seconds)))
    del revoked
    if seconds > 1:
        for token in tokens:
            verifier.verify(token)
        rows.append(("seen before, 100,000 tokens", rate_of_new_strings(verifier.verify, tokens, seconds)))
    for name, value in rows:
        print(f"{name:52} {value:12,.0f}/s")
    print(f"{'first sight against PyJWT':52} {ours / theirs:12.2f}")


if __name__ == "__main__":
    main()
