"""Feeds the trust of a verifier with the keys of a JWKS URL."""

from __future__ import annotations

import contextlib
import logging
import random
import re
import socket
import ssl
import threading
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from math import inf
from time import monotonic
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from .channel import is_local_host
from .claims import Policy
from .keys import UnusableKeys, read_key_set
from .trust import Trust

log = logging.getLogger("postern_auth")

FETCH_LIMIT: Final = 5.0
MAX_BYTES: Final = 256 * 1024
DEFAULT_MAX_AGE: Final = 300.0
MIN_PAUSE: Final = 1.0
MAX_PAUSE: Final = 3_600.0
MAX_RETRY: Final = 60.0
#: `Age` counts whole seconds.
AGE_RESOLUTION: Final = 1.0
#: Tokens with invented key ids must not make a verifier fetch the key set all the time.
REFETCH_INTERVAL: Final = 30.0
#: The longest lifetime that Postern allows for an access token, and the clock difference that it allows by default.
MAX_LIFETIME: Final = 86_400
SKEW: Final = 5


class KeySetUrl(NamedTuple):
    is_tls: bool
    host: str
    port: int | None
    path: str


class CacheTimes(NamedTuple):
    """For how long a response is fresh from when it was made, and how long ago that was (RFC 9111 section 4.2), in seconds.

    Without the second, a revoked key would live on for as long again in the caches on the way.
    """

    max_age: float
    age: float


class FetchError(Exception):
    """The key set could not be fetched. The text names the cause."""


class JwksSource:
    """Fetches the key set, and again when its `max-age` is over, which counts from when the service made it.

    A key set has no revocations: a revoked token is accepted until it expires.
    """

    def __init__(self, url: str, issuer: str, audiences: tuple[str, ...], insecure: bool, trust: Trust) -> None:
        self._text = url
        self._url = parse_url(url, insecure)
        self._policy = Policy(issuer, audiences, MAX_LIFETIME, SKEW)
        self._trust = trust
        self._wake = threading.Condition()
        self._stopped = False
        self._fetch_at = -inf
        self._refetched_at = -inf
        self._pause = MIN_PAUSE
        #: When the applied key set was made (monotonic).
        self._made_at = -inf

    def start(self) -> None:
        threading.Thread(target=self._run, name="postern-auth", daemon=True).start()

    def stop(self) -> None:
        with self._wake:
            self._stopped = True
            self._wake.notify_all()

    def pause(self) -> None:
        """Nothing to leave: the thread uses sockets of its own."""

    def resume(self) -> None:
        """It was not paused."""

    def handles(self) -> tuple[object, ...]:
        return ()

    def on_unknown_key(self) -> None:
        """A polled key set may lack a new key: it is fetched ahead of schedule, in the background."""
        with self._wake:
            now = monotonic()
            if now - self._refetched_at >= REFETCH_INTERVAL:
                self._refetched_at = now
                self._fetch_at = -inf
                self._wake.notify_all()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._stopped or monotonic() >= self._fetch_at, self._wait_seconds())
                if self._stopped:
                    return
                if monotonic() < self._fetch_at:
                    continue
                self._fetch_at = inf
            try:
                pause = self._fetch()
            except Exception as error:
                # For example no thread can be started. This thread must not end: the keys would never be fetched again.
                self._trust.connected = False
                self._trust.failure = f"the key set of {self._text} could not be fetched: {error!r}"
                log.warning("%s", self._trust.failure)
                pause = self._next_pause()
            with self._wake:
                # `on_unknown_key` may have asked for the next one meanwhile.
                self._fetch_at = min(self._fetch_at, monotonic() + pause)

    def _wait_seconds(self) -> float:
        return max(0.0, min(self._fetch_at - monotonic(), MAX_PAUSE))

    def _fetch(self) -> float:
        """Fetches once. Returns the seconds until the next time."""
        read_at = monotonic()
        try:
            text, times = fetch_key_set(self._url)
            keys = read_key_set(text)
        except (FetchError, UnusableKeys) as error:
            self._trust.connected = False
            kind = "cannot be used" if isinstance(error, UnusableKeys) else "could not be fetched"
            self._trust.failure = f"the key set of {self._text} {kind}: {error}"
            log.warning("%s", self._trust.failure)
            return self._next_pause()
        with self._wake:
            if self._stopped:
                return inf
        self._trust.failure = None
        self._trust.connected = True
        made_at, fresh_until = read_at - times.age, read_at - times.age + times.max_age
        # Another cache may still have a copy from before a key was revoked: it does not bring the key back.
        if made_at >= self._made_at - AGE_RESOLUTION:
            self._made_at = made_at
            self._trust.replace_keys(keys, self._policy)
            # The staleness counts from the moment at which the set is no longer fresh.
            self._trust.confirm(fresh_until)
            if times.max_age > times.age:
                self._pause = MIN_PAUSE
                return max(0.0, fresh_until - monotonic())
        # From a cache that keeps responses for too long: asking it without pauses would not make it forget.
        return self._next_pause()

    def _next_pause(self) -> float:
        """Half a second to a second at first, 30 to 60 seconds in the end."""
        pause = self._pause * random.uniform(0.5, 1)
        self._pause = min(self._pause * 2, MAX_RETRY)
        return pause


def parse_url(url: str, insecure: bool) -> KeySetUrl:
    """Raises ValueError, also for plaintext from another machine: anybody on the path could add keys of their own."""
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise ValueError("jwks_url must be an http or https URL without a user")
    if parts.scheme == "http" and not insecure and not is_local_host(host):
        raise ValueError(
            f"the keys would be fetched from {host} in plaintext; set an https URL, or insecure=True if a proxy in between "
            "encrypts the connection"
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return KeySetUrl(parts.scheme == "https", host, parts.port, path)


def fetch_key_set(url: KeySetUrl) -> tuple[str, CacheTimes]:
    """The text of the key set, and its times. Redirects are refused, size and time are bounded."""
    connection: HTTPConnection
    if url.is_tls:
        connection = HTTPSConnection(url.host, url.port, timeout=FETCH_LIMIT, context=ssl.create_default_context())
    else:
        connection = HTTPConnection(url.host, url.port, timeout=FETCH_LIMIT)
    is_late = threading.Event()
    timer: threading.Timer | None = None
    try:
        connection.connect()
        sock = connection.sock

        def cut_off() -> None:
            # The timeout of a socket bounds each read, not the whole answer, which may come byte by byte.
            is_late.set()
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(FETCH_LIMIT, cut_off)
        timer.daemon = True
        timer.start()
        answer = _get(connection, url.path)
    except (OSError, HTTPException, ValueError) as error:
        if is_late.is_set() or isinstance(error, TimeoutError):
            raise _too_late() from None
        raise FetchError(str(error) or type(error).__name__) from None
    finally:
        if timer is not None:
            timer.cancel()
        connection.close()
    # A body without a length that was cut off looks complete.
    if is_late.is_set():
        raise _too_late()
    return answer


def _too_late() -> FetchError:
    return FetchError(f"no answer within {FETCH_LIMIT:g} seconds")


def _get(connection: HTTPConnection, path: str) -> tuple[str, CacheTimes]:
    connection.request("GET", path, headers={"accept": "application/json"})
    response = connection.getresponse()
    if 300 <= response.status < 400:
        raise FetchError(f"the server answered with status {response.status}, and redirects are not followed")
    if not 200 <= response.status < 300:
        raise FetchError(f"the server answered with status {response.status}")
    body = response.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise FetchError(f"the response is longer than {MAX_BYTES // 1024} KiB")
    times = cache_times(response.headers.get_all("cache-control", []), response.headers.get_all("age", []))
    # With a byte order mark or without: some web servers write one.
    return body.decode("utf-8-sig"), times


def cache_times(cache_control: list[str], ages: list[str]) -> CacheTimes:
    """Several caches on the way may each have added a header: the shortest time and the greatest age count."""
    max_ages = []
    for directive in ",".join(cache_control).lower().split(","):
        match = re.fullmatch(r'max-age="?([0-9]+)"?', directive.strip())
        if match is not None:
            max_ages.append(_seconds(match[1]))
        elif directive.strip().partition("=")[0] in ("no-store", "no-cache"):
            max_ages.append(0.0)
    max_age = min(max_ages, default=DEFAULT_MAX_AGE)
    age = max(_seconds(text.strip()) for text in ",".join(ages).split(","))
    return CacheTimes(min(max(max_age, MIN_PAUSE), MAX_PAUSE), age)


def _seconds(text: str) -> float:
    """Digits; another text is no time at all."""
    return float(text[:12]) if text.isascii() and text.isdigit() else 0.0
