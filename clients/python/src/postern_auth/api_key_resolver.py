"""Asks Postern what API keys may do, and remembers the answers until they are old or the stream revokes them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from enum import Enum
from math import inf
from time import monotonic, time
from typing import Final

import grpc

from . import wire
from .api_key import Grant, grant_of, invalid, is_well_formed
from .channel import upstream_error
from .refusal import Refused
from .trust import Trust

log = logging.getLogger("postern_auth")

#: How long a caller waits for the answer about a key that is not known yet.
RESOLVE_SECONDS: Final = 1.0
#: How long a key that Postern does not know is refused without another call.
UNKNOWN_SECONDS: Final = 10.0
#: How many keys of each kind are remembered: valid ones, and those that Postern does not know.
MAX_REMEMBERED: Final = 10_000
#: Anybody can make up a key with a right checksum: so many calls are under way at a time,
MAX_CALLS: Final = 16
#: so many more keys wait for their turn, and the callers of others are told to come back later.
MAX_WAITING: Final = 128


class _Unanswered(Enum):
    """Postern does not know the key, or has not said anything about it."""

    UNKNOWN = 1
    UNAVAILABLE = 2


Outcome = Grant | _Unanswered
Pending = concurrent.futures.Future[Outcome]
#: Starts ResolveApiKey for a SHA-256 digest; None while there is no connection.
StartCall = Callable[[bytes], "grpc.Future | None"]


def _unavailable() -> Refused:
    return Refused("TRUST_STALE", "Postern could not be asked about the API key; retry later")


class ApiKeyResolver:
    """Asks Postern about each key once, however many callers bring it at the same time.

    A key is remembered by its digest alone.
    """

    def __init__(self, start_call: StartCall, trust: Trust) -> None:
        self._start_call = start_call
        self._trust = trust
        self._lock = threading.Lock()
        #: The least recently used first.
        self._grants: OrderedDict[bytes, Grant] = OrderedDict()
        self._digests: dict[str, bytes] = {}
        #: Until when each is refused (monotonic), the first to end first.
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._pending: dict[bytes, Pending] = {}
        self._waiting: deque[bytes] = deque()
        #: Also keeps a fork from ending the calls of the parent process in the child.
        self._calls: dict[bytes, grpc.Future] = {}
        self._starting = 0
        self._failure: str | None = None

    def resolve(self, key: str) -> Grant:
        """What the key may do. Blocks up to a second the first time. Raises `Refused`."""
        found = self._find(key)
        if isinstance(found, concurrent.futures.Future):
            try:
                found = found.result(RESOLVE_SECONDS)
            except concurrent.futures.TimeoutError:
                raise _unavailable() from None
        return _granted(found)

    async def aresolve(self, key: str) -> Grant:
        """`resolve`, for coroutines."""
        found = self._find(key)
        if isinstance(found, concurrent.futures.Future):
            # Shielded: others may wait for the same answer.
            answer = asyncio.shield(asyncio.wrap_future(found))
            try:
                found = await asyncio.wait_for(answer, RESOLVE_SECONDS)
            except asyncio.TimeoutError:
                raise _unavailable() from None
        return _granted(found)

    def drop(self, token_ids: Iterable[str]) -> None:
        """Forgets what the stream has revoked. A key that has ended is refused from here on without a call."""
        with self._lock:
            for token_id in token_ids:
                digest = self._digests.get(token_id)
                if digest is not None:
                    grant = self._forget(digest)
                    if grant is not None and grant.caller.token_id == token_id:
                        self._refuse(digest)

    def cancel(self) -> None:
        """Ends the calls that are under way. Their callers are told to retry."""
        with self._lock:
            calls = list(self._calls.values())
            waiting = [self._pending.pop(digest) for digest in self._waiting]
            self._waiting.clear()
        for call in calls:
            call.cancel()
        for pending in waiting:
            pending.set_result(_Unanswered.UNAVAILABLE)

    def _find(self, key: str) -> Outcome | Pending:
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        with self._lock:
            grant = self._grants.get(digest)
            if grant is not None:
                if monotonic() < grant.known_until:
                    self._grants.move_to_end(digest)
                    return grant
                self._forget(digest)
            if monotonic() < self._unknown.get(digest, -inf) or not is_well_formed(key):
                return _Unanswered.UNKNOWN
            pending = self._pending.get(digest)
            if pending is not None:
                return pending
            if len(self._waiting) >= MAX_WAITING:
                return _Unanswered.UNAVAILABLE
            pending = self._pending[digest] = concurrent.futures.Future()
            self._waiting.append(digest)
        self._start_next()
        return pending

    def _start_next(self) -> None:
        """Starts calls for keys that wait, as many as there may be."""
        while True:
            with self._lock:
                if not self._waiting or len(self._calls) + self._starting >= MAX_CALLS:
                    return
                digest = self._waiting.popleft()
                self._starting += 1
            # Without the lock: the source has one of its own, under which it drops keys here.
            call = None
            try:
                call = self._start_call(digest)
            except Exception as error:
                # For example no thread can be started. Somebody waits for an answer.
                self._fail(f"the call cannot be made: {error!r}")
            with self._lock:
                self._starting -= 1
                if call is not None:
                    self._calls[digest] = call
            if call is None:
                self._settle(digest, _Unanswered.UNAVAILABLE)
            else:
                call.add_done_callback(lambda ended, digest=digest: self._on_end(digest, ended))

    def _on_end(self, digest: bytes, call: grpc.Future) -> None:
        """On a thread of grpc."""
        outcome: Outcome = _Unanswered.UNAVAILABLE
        try:
            outcome = self._remember(digest, wire.decode_api_key_grant(call.result()))
            self._failure = None
        except grpc.RpcError as error:
            end = upstream_error(error)
            if end.code is grpc.StatusCode.NOT_FOUND and end.reason == "RESOURCE_NOT_FOUND":
                outcome = self._remember_unknown(digest)
            elif end.code is not grpc.StatusCode.CANCELLED:
                self._fail(str(end))
        except grpc.FutureCancelledError:
            pass
        except Exception as error:
            self._fail(f"the answer cannot be read: {error}")
        finally:
            with self._lock:
                self._calls.pop(digest, None)
            self._settle(digest, outcome)
            self._start_next()

    def _settle(self, digest: bytes, outcome: Outcome) -> None:
        with self._lock:
            pending = self._pending.pop(digest, None)
        if pending is not None:
            pending.set_result(outcome)

    def _remember(self, digest: bytes, answer: wire.ApiKeyGrant) -> Outcome:
        policy = self._trust.policy
        grant = grant_of(answer, "" if policy is None else policy.issuer)
        with self._lock:
            self._forget(digest)
            while len(self._grants) >= MAX_REMEMBERED:
                self._forget(next(iter(self._grants)))
            self._grants[digest] = grant
            for token_id in grant.revoked_as:
                self._digests[token_id] = digest
        # After it is remembered: from here on a revocation that arrives drops it, and those before are known.
        revoked = [token_id for token_id in grant.revoked_as if self._trust.is_token_revoked(token_id)]
        if not revoked:
            return grant
        self.drop(revoked)
        return _Unanswered.UNKNOWN if answer.id in revoked else _Unanswered.UNAVAILABLE

    def _remember_unknown(self, digest: bytes) -> Outcome:
        with self._lock:
            self._refuse(digest)
        return _Unanswered.UNKNOWN

    def _refuse(self, digest: bytes) -> None:
        self._unknown.pop(digest, None)
        while len(self._unknown) >= MAX_REMEMBERED:
            self._unknown.popitem(last=False)
        self._unknown[digest] = monotonic() + UNKNOWN_SECONDS

    def _forget(self, digest: bytes) -> Grant | None:
        grant = self._grants.pop(digest, None)
        if grant is not None:
            for token_id in grant.revoked_as:
                self._digests.pop(token_id, None)
        return grant

    def _fail(self, failure: str) -> None:
        # During an outage most fail for the same cause, which is told once.
        log.log(logging.DEBUG if failure == self._failure else logging.WARNING, "an API key cannot be resolved: %s", failure)
        self._failure = failure


def _granted(outcome: Outcome) -> Grant:
    if outcome is _Unanswered.UNKNOWN:
        raise invalid()
    if not isinstance(outcome, Grant):
        raise _unavailable()
    if outcome.caller.expires_at is not None and time() >= outcome.caller.expires_at:
        raise invalid()
    return outcome
