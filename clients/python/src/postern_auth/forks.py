"""What happens to verifiers when their process forks."""

from __future__ import annotations

import os
import weakref
from typing import Any, Final, Protocol


class Source(Protocol):
    """Feeds the trust of a verifier."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def handles(self) -> tuple[object, ...]: ...


class Forking(Protocol):
    """The part of a verifier that a fork touches."""

    _source: Source | None
    _finalizer: weakref.finalize[[], Any] | None

    def _reset(self) -> None: ...


_verifiers: Final[weakref.WeakSet[Forking]] = weakref.WeakSet()
#: Streams of the parent process. Closing one in the child could wait for threads that only the parent has.
_abandoned: Final[list[object]] = []


def follow_forks(verifier: Forking) -> None:
    _verifiers.add(verifier)


def _before_fork() -> None:
    for verifier in list(_verifiers):
        if verifier._source is not None:
            verifier._source.pause()


def _after_fork_in_parent() -> None:
    for verifier in list(_verifiers):
        if verifier._source is not None:
            verifier._source.resume()


def _after_fork_in_child() -> None:
    """The threads of a parent do not exist in its child, which would go on accepting tokens that are revoked later."""
    for verifier in list(_verifiers):
        if verifier._source is not None:
            _abandoned.append((verifier._source, verifier._source.handles()))
        if verifier._finalizer is not None:
            verifier._finalizer.detach()
        verifier._reset()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
