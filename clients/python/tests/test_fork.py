"""V22 A process that forks after its verifier has started: gunicorn --preload, Celery, multiprocessing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from conftest import Until
from service import Center

PROGRAM = Path(__file__).parent / "programs/fork.py"


def test_a_forked_child_refuses_what_was_revoked_after_the_fork(center: Center, until: Until) -> None:
    seen, later = center.first.login().access_token, center.first.login().access_token
    command = (sys.executable, str(PROGRAM), center.first.grpc, *center.account)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answers = process.stdin, process.stdout

        def ask(question: str) -> str:
            asked.write(f"{question}\n")
            return answers.readline().strip()

        assert answers.readline().strip() == "ready"
        assert ask(seen) == "accepted"
        center.first.revoke(seen)
        # Not accepted for a moment: the child answers TRUST_STALE until its own stream has everything.
        assert ask(f"child {seen}") == "TRUST_STALE TOKEN_REVOKED"
        assert ask(f"child {later}") == "accepted accepted"
        until(lambda: ask(f"parent {seen}") == "TOKEN_REVOKED", "the parent goes on")
        center.first.revoke(later)
        until(lambda: ask(f"child {later}") == "TOKEN_REVOKED TOKEN_REVOKED", "the child has a stream of its own")
        asked.close()
        assert process.wait(20) == 0
