"""Verifies, forks, and answers lines of standard input in the parent (`parent TOKEN`) and in the child (`child TOKEN`)."""

from __future__ import annotations

import os
import sys

from postern_auth import Refused, Verifier


def verdict(verifier: Verifier, token: str) -> str:
    try:
        verifier.verify(token)
    except Refused as refused:
        return refused.reason
    return "accepted"


def main() -> None:
    address, client_id, client_secret = sys.argv[1:]
    verifier = Verifier(address, client_id=client_id, client_secret=client_secret)
    verifier.ready(10)
    print("ready", flush=True)
    token = sys.stdin.readline().strip()
    print(verdict(verifier, token), flush=True)
    to_child, from_parent = os.pipe(), os.pipe()
    if os.fork() == 0:
        # The child has everything that the parent knew, and no thread that would hear of a revocation.
        with os.fdopen(to_child[0]) as commands, os.fdopen(from_parent[1], "w") as answers:
            os.close(to_child[1])
            for line in commands:
                first = verdict(verifier, line.strip())
                verifier.ready(10)
                print(first, verdict(verifier, line.strip()), file=answers, flush=True)
        sys.exit(0)
    os.close(to_child[0])
    with os.fdopen(to_child[1], "w") as commands, os.fdopen(from_parent[0]) as answers:
        for line in sys.stdin:
            who, token = line.split()
            if who == "parent":
                print(verdict(verifier, token), flush=True)
            else:
                print(token, file=commands, flush=True)
                print(answers.readline().strip(), flush=True)
    os.wait()


if __name__ == "__main__":
    main()
