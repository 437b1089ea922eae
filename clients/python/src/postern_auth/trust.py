"""The keys and revocations that this process trusts now."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from math import inf
from time import monotonic

from .claims import Caller, Policy
from .keys import VerificationKey
from .wire import Revocation

#: How many revocations of a kind one purge visits.
PURGE_STEP = 2_000


class Trust:
    """A source writes it from its threads; `verify` reads single attributes of it without a lock."""

    def __init__(self, max_staleness: float, refuse_when_stale: bool) -> None:
        self._max_staleness = max_staleness
        self._accepted_staleness = max_staleness if refuse_when_stale else inf
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._read_at = -inf
        self._revocations = RevocationSet()
        self.keys: Mapping[str, VerificationKey] = {}
        #: None until the first keys are here. The same object while the rules are the same.
        self.policy: Policy | None = None
        #: Grows after every change of keys and revocations: a verdict holds while it is the same.
        self.revision = 0
        #: Monotonic time from which on no token is judged; -inf until keys and revocations are loaded.
        self.stale_at = -inf
        #: The last failure of the source; None while it works.
        self.failure: str | None = "the first keys and revocations have not arrived yet"
        self.connected = False
        #: Is told the ids of revoked tokens, and may drop what it knows of them.
        self.on_tokens_revoked: Callable[[Iterable[str]], None] | None = None

    @property
    def loaded(self) -> bool:
        return self.stale_at > -inf

    @property
    def age(self) -> float:
        """Seconds since everything that the source had was known here."""
        return monotonic() - self._read_at

    @property
    def is_stale(self) -> bool:
        return self.age > self._max_staleness

    @property
    def revocation_count(self) -> int:
        return len(self._revocations)

    def replace_keys(self, keys: Mapping[str, VerificationKey], policy: Policy) -> None:
        with self._lock:
            self.keys = keys
            if policy != self.policy:
                self.policy = policy
            self.revision += 1
            self._confirm(self._read_at)

    def revoke(self, revocations: Collection[Revocation]) -> None:
        with self._lock:
            if self._revocations.add(revocations):
                # Only now: a verdict under the new revision has seen the new revocations.
                self.revision += 1
        if self.on_tokens_revoked is not None:
            self.on_tokens_revoked(str(revoked.id) for revoked in revocations if revoked.kind == "jti")

    def confirm(self, read_at: float) -> None:
        """Records that everything revoked before `read_at` (monotonic) is known here."""
        with self._lock:
            self._confirm(read_at)

    def unconfirm(self) -> None:
        """Back to the state before the first full list: what is known may lack revocations, until `confirm`."""
        with self._lock:
            self._read_at = self.stale_at = -inf
            self.revision += 1

    def _confirm(self, read_at: float) -> None:
        self._read_at = max(self._read_at, read_at)
        if self.policy is not None and self._read_at > -inf:
            self.stale_at = self._read_at + self._accepted_staleness
            self._changed.notify_all()

    def is_revoked(self, caller: Caller, session: bytes | str | None) -> bool:
        return self._revocations.covers(caller, session)

    def is_token_revoked(self, token_id: str) -> bool:
        return self._revocations.has_token(token_id)

    def purge(self, now: float) -> None:
        with self._lock:
            self._revocations.purge(now)

    def wait_until_loaded(self, seconds: float) -> bool:
        with self._lock:
            return self._changed.wait_for(lambda: self.loaded, seconds)


class RevocationSet:
    """All revocations in force. Read without a lock, changed under that of `Trust`."""

    def __init__(self) -> None:
        self._sessions: dict[bytes | str, int] = {}
        self._tokens: dict[bytes | str, int] = {}
        self._keys: dict[bytes | str, int] = {}
        self._by_kind = {"sid": self._sessions, "jti": self._tokens, "kid": self._keys}
        self._unvisited: dict[str, list[bytes | str]] = {kind: [] for kind in self._by_kind}

    def __len__(self) -> int:
        return len(self._sessions) + len(self._tokens) + len(self._keys)

    def add(self, revocations: Iterable[Revocation]) -> bool:
        """Adds them, or extends their expiry. Returns whether anything changed."""
        changed = False
        for kind, subject, expires_at in revocations:
            known = self._by_kind[kind]
            key = session_key(subject) if kind == "sid" and isinstance(subject, str) else subject
            if known.get(key, -1) < expires_at:
                known[key] = expires_at
                changed = True
        return changed

    def covers(self, caller: Caller, session: bytes | str | None) -> bool:
        """Also true after the expiry, until `purge`: the tokens that it covers have expired by then."""
        return (
            (session is not None and session in self._sessions)
            or caller.token_id in self._tokens
            or caller.key_id in self._keys
        )

    def has_token(self, token_id: str) -> bool:
        return token_id in self._tokens

    def purge(self, now: float) -> None:
        """Removes expired ones. Visits some of each kind and goes on from there the next time."""
        for kind, known in self._by_kind.items():
            unvisited = self._unvisited[kind]
            if not unvisited:
                unvisited.extend(known)
            for _ in range(min(PURGE_STEP, len(unvisited))):
                key = unvisited.pop()
                if known.get(key, now + 1) <= now:
                    del known[key]


def session_key(session_id: str) -> bytes | str:
    """The 16 bytes of a lower-case UUID, which take half the memory; any other id as it is."""
    if len(session_id) == 36 and session_id[8] == session_id[13] == session_id[18] == session_id[23] == "-":
        digits = session_id.replace("-", "")
        if len(digits) == 32 and digits.isascii() and digits.isalnum() and digits.islower() | digits.isdigit():
            try:
                return bytes.fromhex(digits)
            except ValueError:
                return session_id
    return session_id
