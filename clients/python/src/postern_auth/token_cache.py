"""The tokens that were verified before."""

from __future__ import annotations

import threading
from typing import Final

from .claims import Caller, Policy
from .trust import session_key

#: An entry besides the characters of the token and of its claims: measured with 10,000 tokens.
_ENTRY_BYTES: Final = 1_000


class Entry:
    """A token whose signature and claims were valid when it was first verified, under `policy`."""

    __slots__ = ("bytes", "caller", "policy", "refused_from", "revision", "session")

    def __init__(self, caller: Caller, policy: Policy, size: int) -> None:
        self.caller = caller
        self.policy = policy
        assert caller.expires_at is not None
        self.refused_from = caller.expires_at + policy.skew
        #: The revision of keys and revocations under which the token was last accepted.
        self.revision = -1
        self.session = None if caller.session_id is None else session_key(caller.session_id)
        self.bytes = size


class TokenCache:
    """Only valid tokens are in it, so others cannot evict them. `entries` is read without a lock."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._lock = threading.Lock()
        #: By the whole token: one made of a part would accept a forged signature beside claims that were verified before.
        self.entries: dict[str, Entry] = {}

    def add(self, token: str, caller: Caller, policy: Policy) -> Entry:
        entry = Entry(caller, policy, _ENTRY_BYTES + 2 * len(token))
        if entry.bytes > self._max_bytes:
            return entry
        with self._lock:
            known = self.entries.pop(token, None)
            if known is not None:
                self._bytes -= known.bytes
            while self._bytes + entry.bytes > self._max_bytes:
                oldest = next(iter(self.entries))
                self._bytes -= self.entries.pop(oldest).bytes
            self.entries[token] = entry
            self._bytes += entry.bytes
        return entry
