"""Access tokens of service accounts, fetched and renewed for the program."""

from __future__ import annotations

import logging
import os
import random
import threading
import weakref
from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple

import grpc

from . import wire
from .channel import Upstream, upstream_error
from .refusal import UpstreamError

DEADLINE_SECONDS = 5.0
#: The pause between a failed renewal and the next attempt; the previous token is used meanwhile.
PAUSE_AFTER_FAILURE = 2.0
#: A refused token younger than this is kept: a new one would be refused as well, in an endless loop.
MIN_LIFE = 1.0

#: CANCELLED is the end of a call when the connection is closed, by `close` or for a fork.
_UNANSWERED: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)

log = logging.getLogger("postern_auth")


class _Token(NamedTuple):
    value: str
    issued_at: float
    renew_at: float
    expires_at: float


class Credential(grpc.AuthMetadataPlugin):  # type: ignore[misc]
    """An access token: fetched on first use, renewed before it expires, shared by all threads.

    While a token is renewed, and while Postern does not answer, the previous one is used until it expires: a Postern that
    hangs delays no call. It is also a plugin for `grpc.metadata_call_credentials`.
    """

    #: The full name of the method that issues the token.
    _method: str

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._reset()
        _credentials.add(self)

    def _request(self) -> bytes:
        """The message to ask for a token with, made anew for each renewal. Raises `UpstreamError`."""
        raise NotImplementedError

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._token: _Token | None = None
        self._paused_until = 0.0
        #: Whether Postern refused the last renewal: callers must learn of it.
        self._refused = False
        #: Held while a token is renewed in the background.
        self._background = threading.Lock()
        self._thread: threading.Thread | None = None

    def access_token(self) -> str:
        """A token that has not expired. One that is due for renewal is returned at once, and renewed in the background.

        Blocks while there is no such token. Raises `UpstreamError`.
        """
        token, now = self._token, monotonic()
        if token is None or now >= token.expires_at or self._refused:
            return self.renewed()[0]
        if now >= token.renew_at and now >= self._paused_until:
            self._renew_in_background()
        return token.value

    def renewed(self) -> tuple[str, float]:
        """A token that is not due for renewal, and when it will be (monotonic). Raises `UpstreamError`."""
        with self._lock:
            if self._token is None or monotonic() >= self._token.renew_at:
                try:
                    self._token = self._issue()
                except UpstreamError as error:
                    self._refused = error.code not in _UNANSWERED
                    self._paused_until = monotonic() + PAUSE_AFTER_FAILURE
                    raise
                self._refused = False
            return self._token.value, self._token.renew_at

    def current(self) -> str | None:
        """The token that is known now, without a call. None without one, or when it has expired."""
        token = self._token
        return None if token is None or monotonic() >= token.expires_at else token.value

    def _renew_in_background(self) -> None:
        background = self._background
        if not background.acquire(blocking=False):
            return

        def renew() -> None:
            try:
                self.renewed()
            except UpstreamError as error:
                log.warning("the access token of the service account was not renewed: %s", error)
            finally:
                background.release()

        # Not a daemon: it must not be inside grpc when the interpreter is torn down. It ends within `DEADLINE_SECONDS`.
        thread = threading.Thread(target=renew, name="postern-credential")
        try:
            thread.start()
        except RuntimeError:
            # The interpreter ends, or the system has no more threads: the token is used as it is.
            background.release()
            return
        self._thread = thread

    def leave(self) -> None:
        """Ends a renewal in the background, before a fork: the child of a process inside grpc could never connect."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            self.close()
            thread.join(DEADLINE_SECONDS)

    def forget(self) -> None:
        """Drops a token that Postern refused, for example because its key was revoked."""
        with self._lock:
            if self._token is not None and monotonic() - self._token.issued_at >= MIN_LIFE:
                self._token = None

    def close(self) -> None:
        # Without the lock: another thread may hold it for the length of a call, which this ends.
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def __call__(
        self,
        context: grpc.AuthMetadataContext,
        callback: Callable[[tuple[tuple[str, str], ...], Exception | None], None],
    ) -> None:
        """Called by grpc for each call, on a thread of its own."""
        try:
            callback((("authorization", f"Bearer {self.access_token()}"),), None)
        except UpstreamError as error:
            callback((), error)

    def _issue(self) -> _Token:
        request = self._request()
        channel = self._channel = self._channel or self._upstream.connect()
        requested_at = monotonic()
        try:
            answer = channel.unary_unary(self._method)(request, timeout=DEADLINE_SECONDS)
            value, lifetime = wire.decode_token_set(answer)
        except grpc.RpcError as error:
            raise upstream_error(error) from None
        except wire.WireError as error:
            raise UpstreamError(grpc.StatusCode.INTERNAL, None, str(error)) from None
        except ValueError as error:
            # grpc raises it for a channel that `close` has just closed.
            raise UpstreamError(grpc.StatusCode.CANCELLED, None, str(error)) from None
        # Jitter spreads the renewals of many processes.
        renew_at = requested_at + lifetime * random.uniform(0.75, 0.85)
        return _Token(value, requested_at, renew_at, requested_at + lifetime)


def _before_fork() -> None:
    for credential in list(_credentials):
        credential.leave()


class ServiceCredential(Credential):
    """The access token of a service account that has a secret."""

    _method = "/postern.v1.AuthService/IssueServiceToken"

    def __init__(
        self,
        address: str | Upstream,
        client_id: str,
        client_secret: str,
        *,
        audience: str = "",
        credentials: grpc.ChannelCredentials | None = None,
        insecure: bool = False,
    ) -> None:
        if not isinstance(client_id, str) or not isinstance(client_secret, str):
            raise TypeError("client_id and client_secret must be strings")
        if not client_id or not client_secret:
            raise ValueError("client_id and client_secret must not be empty")
        self._encoded = wire.encode_service_token_request(client_id, client_secret, audience)
        super().__init__(address if isinstance(address, Upstream) else Upstream(address, credentials, insecure))

    def _request(self) -> bytes:
        return self._encoded


_credentials: weakref.WeakSet[Credential] = weakref.WeakSet()
#: Connections of the parent process. Closing one in the child could wait for threads that only the parent has.
_abandoned: list[object] = []


def _after_fork() -> None:
    for credential in list(_credentials):
        _abandoned.append(credential._channel)
        credential._reset()


os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
