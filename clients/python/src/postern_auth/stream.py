"""Feeds the trust of a verifier from WatchTrust."""

from __future__ import annotations

import logging
import random
import threading
from math import inf
from time import monotonic, sleep, time
from typing import Final

import grpc

from . import wire
from .api_key_resolver import RESOLVE_SECONDS, ApiKeyResolver
from .channel import Upstream, upstream_error
from .claims import Policy
from .credential import Credential
from .keys import UnusableKeys, read_key_set
from .refusal import UpstreamError
from .trust import Trust

log = logging.getLogger("postern_auth")

WATCH_METHOD: Final = "/postern.v1.TrustService/WatchTrust"
RESOLVE_METHOD: Final = "/postern.v1.TrustService/ResolveApiKey"
#: Heartbeats arrive every two seconds; after five missing ones the connection counts as dead.
SILENCE_LIMIT: Final = 10.0
MIN_RETRY: Final = 0.05
MAX_RETRY: Final = 2.0
PURGE_EVERY: Final = 1.0
#: How long a fork waits for the threads of a stream to leave grpc.
LEAVE_SECONDS: Final = 1.0
#: And then for the threads of grpc itself to close the connection.
SETTLE_SECONDS: Final = 0.05
#: A jump of the clock that is not one: the clock is being slewed.
CLOCK_TOLERANCE: Final = 5.0


class WatchTrustCall:
    """One WatchTrust call, read by a thread of its own. The attributes are guarded by the lock of the source."""

    def __init__(self, renew_at: float) -> None:
        self.renew_at = renew_at
        self.heard_at = monotonic()
        self.has_opened = False
        self.ended = False
        self._rpc: grpc.Call | None = None
        self._thread: threading.Thread | None = None

    def start(self, channel: grpc.Channel, cursor: str, token: str | None, source: StreamSource) -> None:
        metadata = () if token is None else (("authorization", f"Bearer {token}"),)
        # No serialisers: requests and responses are bytes of the wire format.
        rpc = channel.unary_stream(WATCH_METHOD)(wire.encode_watch_request(cursor), metadata=metadata)
        self._rpc = rpc

        def read() -> None:
            try:
                for data in rpc:
                    source.on_update(self, data)
                end = UpstreamError(grpc.StatusCode.UNAVAILABLE, None, "the server ended the stream")
            except grpc.RpcError as error:
                end = upstream_error(error)
            except Exception as error:
                # Not a WireError alone: without this thread nobody would read the stream until its silence is noticed.
                rpc.cancel()
                end = UpstreamError(grpc.StatusCode.INTERNAL, None, f"an update cannot be read: {error}")
            source.on_end(self, end)

        self._thread = threading.Thread(target=read, name="postern-auth-stream", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        self.ended = True
        if self._rpc is not None:
            self._rpc.cancel()

    def join(self, seconds: float) -> None:
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)


class StreamSource:
    """Feeds a trust from WatchTrust and never gives up.

    A lost stream is reopened from its cursor, first at once, then with backoff and jitter. A stream whose credential expires
    soon is replaced: the second stream opens before the first is cancelled, so that no update is missed.
    """

    def __init__(
        self,
        upstream: Upstream,
        credential: Credential | None,
        trust: Trust,
    ) -> None:
        self._upstream = upstream
        self._credential = credential
        self._trust = trust
        self._wake = threading.Condition()
        self._stopped = False
        #: How many forks are under way. More than one thread may fork.
        self._pauses = 0
        self._opening = False
        self._channel: grpc.Channel | None = None
        self._call: WatchTrustCall | None = None
        #: The call that `_call` is to replace, until that one has opened.
        self._previous: WatchTrustCall | None = None
        self._cursor = ""
        self._complete = False
        self._open_at = -inf
        self._pause = 0.0
        self._purge_at = -inf
        self._clock_offset = inf
        self.api_keys = ApiKeyResolver(self._ask_about_key, trust)
        trust.on_tokens_revoked = self.api_keys.drop

    def start(self) -> None:
        threading.Thread(target=self._run, name="postern-auth", daemon=True).start()

    def stop(self) -> None:
        with self._wake:
            self._stopped = True
            self._trust.connected = False
            for call in (self._call, self._previous):
                if call is not None:
                    call.cancel()
            channel, self._channel = self._channel, None
            self._wake.notify_all()
        self.api_keys.cancel()
        if channel is not None:
            channel.close()
        if self._credential is not None:
            self._credential.close()

    def pause(self) -> None:
        """Leaves grpc, before a fork: a child of a process that is inside grpc at that moment could never connect."""
        with self._wake:
            self._pauses += 1
            calls = [call for call in (self._call, self._previous) if call is not None]
            for call in calls:
                call.cancel()
            self._call = self._previous = None
            channel, self._channel = self._channel, None
        self.api_keys.cancel()
        if channel is not None:
            channel.close()
        if self._credential is not None:
            self._credential.close()
        for call in calls:
            call.join(LEAVE_SECONDS)
        with self._wake:
            self._wake.wait_for(lambda: not self._opening, LEAVE_SECONDS)
        if channel is not None:
            # The threads of grpc itself close the connection after `close` has returned, and cannot be waited for.
            sleep(SETTLE_SECONDS)

    def resume(self) -> None:
        """Goes on from the cursor."""
        with self._wake:
            # A source that was started after `pause` has nothing to resume.
            self._pauses = max(0, self._pauses - 1)
            self._open_at = -inf
            self._wake.notify_all()

    def _ask_about_key(self, key_sha256: bytes) -> grpc.Future | None:
        """Starts a call, and never waits: the token of the stream is used, which is renewed with it."""
        with self._wake:
            token = None if self._credential is None else self._credential.current()
            if self._channel is None or (token is None and self._credential is not None):
                return None
            metadata = () if token is None else (("authorization", f"Bearer {token}"),)
            request = wire.encode_resolve_request(key_sha256)
            return self._channel.unary_unary(RESOLVE_METHOD).future(request, timeout=RESOLVE_SECONDS, metadata=metadata)

    def handles(self) -> tuple[object, ...]:
        """What must not be closed in a forked child."""
        return (self._channel, self._call, self._previous)

    def _run(self) -> None:
        while not self._stopped:
            with self._wake:
                pause = self.tick()
                if pause > 0 and not self._stopped:
                    self._wake.wait(pause)
                self._opening = pause <= 0
            if pause <= 0:
                try:
                    self.open()
                except Exception as error:
                    # For example no thread can be started. This thread must not end: the verifier would never recover.
                    with self._wake:
                        self._lose(UpstreamError(grpc.StatusCode.INTERNAL, None, f"the stream cannot be opened: {error!r}"))
                with self._wake:
                    self._opening = False
                    self._wake.notify_all()

    def tick(self) -> float:
        """What is to be done now and then. Returns the seconds until the next time; 0 when a stream is to be opened."""
        with self._wake:
            now = monotonic()
            self._check_silence(now)
            self._purge(now)
            return max(0.0, (self._purge_at if self._pauses else min(self._open_at, self._purge_at)) - now)

    def _check_silence(self, now: float) -> None:
        for call in (self._previous, self._call):
            if call is not None and not call.ended and now - call.heard_at >= SILENCE_LIMIT:
                call.cancel()
                detail = f"nothing was received for {SILENCE_LIMIT:g} s"
                self._on_end(call, UpstreamError(grpc.StatusCode.UNAVAILABLE, None, detail))

    def _purge(self, now: float) -> None:
        """Purges by the clock that judges tokens: by that clock the tokens of a purged revocation have expired."""
        if now < self._purge_at:
            return
        self._purge_at = now + PURGE_EVERY
        offset = time() - now
        if offset < self._clock_offset - CLOCK_TOLERANCE and self._clock_offset < inf:
            # Expired tokens are valid again, so the purged revocations are read once more. No token is accepted before.
            self._trust.unconfirm()
            self._cursor = ""
            self._complete = False
            if self._call is not None:
                self._lose(UpstreamError(grpc.StatusCode.CANCELLED, None, "the clock of this machine was set back"))
        self._clock_offset = offset
        self._trust.purge(time())

    def open(self) -> None:
        """Opens a stream: the first, one after a lost one, or one to replace the present one."""
        token, renew_at = None, inf
        if self._pauses:
            return
        try:
            if self._credential is not None:
                token, renew_at = self._credential.renewed()
        except UpstreamError as error:
            with self._wake:
                self._fail(error, "no access token for the stream: ")
            return
        with self._wake:
            if self._stopped or self._pauses:
                return
            self._channel = self._channel or self._upstream.connect()
            self._previous = self._call
            self._call = WatchTrustCall(renew_at)
            # A stream that does not open is found by its silence.
            self._open_at = inf
            self._call.start(self._channel, self._cursor, token, self)

    def on_update(self, call: WatchTrustCall, data: bytes) -> None:
        received_at = monotonic()
        update = wire.decode_trust_update(data)
        with self._wake:
            if self._stopped or call.ended:
                return
            call.heard_at = received_at
            if not call.has_opened:
                call.has_opened = True
                self._on_opened(call)
            self.apply(update, received_at)

    def _on_opened(self, call: WatchTrustCall) -> None:
        if self._previous is not None:
            self._previous.cancel()
            self._previous = None
        self._pause = 0.0
        self._open_at = call.renew_at
        self._wake.notify_all()
        self._trust.failure = None
        if not self._trust.connected:
            self._trust.connected = True
            log.info("connected to %s", self._upstream.address)

    def on_end(self, call: WatchTrustCall, end: UpstreamError) -> None:
        with self._wake:
            if not self._stopped and not call.ended:
                call.ended = True
                self._on_end(call, end)

    def _on_end(self, call: WatchTrustCall, end: UpstreamError) -> None:
        if call is self._previous:
            self._previous = None
        elif call is self._call:
            self._call = None
            self._fail(end)

    def _fail(self, end: UpstreamError, prefix: str = "") -> None:
        """A stream did not open, or ended. If the one that it should replace is still open, that one stays in use."""
        # The key of the token may have been revoked, long before the token was due for renewal. A renewal proves no more about
        # a user, so it is no answer to a demand to step up.
        is_refused = end.code is grpc.StatusCode.UNAUTHENTICATED and end.reason != "STEP_UP_REQUIRED"
        if is_refused and self._credential is not None:
            self._credential.forget()
        kept = self._call or self._previous
        if kept is None:
            self._lose(end, prefix)
            return
        self._call, self._previous = kept, None
        self._open_at = monotonic() + MAX_RETRY
        self._wake.notify_all()

    def _lose(self, end: UpstreamError, prefix: str = "") -> None:
        for call in (self._call, self._previous):
            if call is not None:
                call.cancel()
        self._call = self._previous = None
        failure = f"{prefix}{end}"
        # Every attempt of an outage fails, most of them for the same cause, which is told once.
        level = logging.WARNING if self._trust.connected or failure != self._trust.failure else logging.DEBUG
        log.log(level, "not connected to %s: %s", self._upstream.address, failure)
        self._trust.connected = False
        self._trust.failure = failure
        # Half of the delay is random, so that a thousand verifiers of one server do not reconnect at once.
        self._open_at = monotonic() + self._pause * random.uniform(0.5, 1)
        self._pause = min(max(self._pause * 2, MIN_RETRY), MAX_RETRY)
        self._wake.notify_all()

    def apply(self, update: wire.TrustUpdate, received_at: float) -> None:
        change = update.update
        if isinstance(change, wire.TrustedKeys):
            self._apply_keys(change)
        elif isinstance(change, wire.Revocations):
            # They count at once, also before the list is complete.
            self._trust.revoke(change.revocations)
            self._complete = self._complete or change.complete
        elif isinstance(change, wire.Heartbeat) and self._complete and self._trust.policy is not None:
            # The staleness of the server adds to ours: it may be cut off from its database.
            self._trust.confirm(received_at - change.news_age_ms / 1000)
        if self._complete and update.cursor:
            self._cursor = update.cursor

    def _apply_keys(self, keys: wire.TrustedKeys) -> None:
        try:
            usable = read_key_set(keys.jwks)
        except UnusableKeys as error:
            self._trust.failure = f"the keys cannot be used: {error}"
            log.error("the keys of %s cannot be used, and the previous ones stay: %s", self._upstream.address, error)
            return
        self._trust.failure = None
        self._trust.replace_keys(usable, Policy(keys.issuer, keys.audiences, keys.max_lifetime, keys.clock_skew))
