"""Measures the time from the answer of RevokeToken to the refusal: python bench/delay.py [revokes].

Two instances of the built service on one database, a verifier at each. The second instance is killed on the way and comes
back at the same address; what is revoked while its verifier reconnects is counted apart.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from postern_auth import Refused, Verifier
from service import Center

LIMIT = 30.0


def refused_after(verifier: Verifier, token: str, since: float) -> float:
    while True:
        try:
            verifier.verify(token)
        except Refused as refused:
            if refused.reason == "TOKEN_REVOKED":
                return time.perf_counter() - since
        if time.perf_counter() - since > LIMIT:
            return float("inf")
        # The thread of the stream needs the interpreter, too.
        time.sleep(0.0001)


def row(name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    median, p99 = ordered[len(ordered) // 2], ordered[int(0.99 * (len(ordered) - 1))]
    missed = ordered.count(float("inf"))
    times = f"median {median * 1e3:8.2f} ms  p99 {p99 * 1e3:8.2f} ms  worst {ordered[-1] * 1e3:8.2f} ms"
    print(f"{name:36} {len(ordered):5} revokes  {times}  missed {missed}")


def main() -> None:
    revokes = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    center = Center()
    second = center.instance()
    account = center.account
    here = Verifier(center.first.grpc, client_id=account.client_id, client_secret=account.client_secret)
    there = Verifier(second.grpc, client_id=account.client_id, client_secret=account.client_secret)
    at_first: list[float] = []
    at_second: list[float] = []
    reconnecting: list[float] = []
    try:
        here.ready(10)
        there.ready(10)
        for number in range(revokes):
            token = center.first.service_token(account)
            here.verify(token)
            there.verify(token)
            if number == revokes // 2:
                tokens = [center.first.service_token(account) for _ in range(50)]
                for other in tokens:
                    there.verify(other)
                second.kill()
                revoked_at = {}
                for other in tokens:
                    center.first.revoke(other)
                    revoked_at[other] = time.perf_counter()
                second = center.instance(second.grpc)
                reconnecting += [refused_after(there, other, at) for other, at in revoked_at.items()]
            center.first.revoke(token)
            answered = time.perf_counter()
            is_connected = there.state().connected
            at_first.append(refused_after(here, token, answered))
            (at_second if is_connected else reconnecting).append(refused_after(there, token, answered))
        row("at the instance that answered", at_first)
        row("at the other instance", at_second)
        row("while the verifier reconnects", reconnecting)
    finally:
        here.close()
        there.close()
        center.close()


if __name__ == "__main__":
    main()
