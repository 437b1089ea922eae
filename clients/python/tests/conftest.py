from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest

from postern_auth import Verifier
from service import ROOT, Center


@pytest.fixture(scope="session")
def center() -> Iterator[Center]:
    """One for the whole run. Skipped where the service is not built, so that the package can be tested without Node."""
    if not (ROOT / "dist/command/postern.js").exists():
        if os.environ.get("CI"):
            pytest.fail("the service is not built: npm ci && npm run build")
        pytest.skip("the service is not built")
    running = Center()
    yield running
    running.close()


@pytest.fixture
def verifier(center: Center) -> Iterator[Verifier]:
    """Watches the first instance, and is ready."""
    with Verifier(center.first.grpc, client_id=center.account.client_id, client_secret=center.account.client_secret) as v:
        v.ready(10)
        yield v


Until = Callable[[Callable[[], bool], str], None]


@pytest.fixture
def until() -> Until:
    """Waits for a condition, up to 20 seconds."""

    def wait(condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, f"this did not happen within 20 seconds: {what}"
            time.sleep(0.001)

    return wait
