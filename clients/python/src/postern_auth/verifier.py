"""Verifies access tokens inside this process."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from time import monotonic, time
from typing import Any, Final, Literal

import grpc

from .api_key import Grant, caller_address, invalid, looks_like_api_key
from .api_key_resolver import ApiKeyResolver
from .channel import Upstream
from .claims import Caller, check_claims, expired, wrong_audience
from .credential import Credential, ServiceCredential
from .forks import Source, follow_forks
from .jwks import JwksSource
from .keys import check_signature, select_key, unknown_key
from .refusal import NotReady, Refused
from .requirements import Level, check_requirements, is_name, require_actor, require_authentication, require_roles
from .stream import StreamSource
from .token_cache import Entry, TokenCache
from .token_format import MAX_TOKEN_BYTES, parse_token, too_large
from .trust import Trust
from .workload import WorkloadCredential

CACHE_BYTES: Final = 64 * 1024 * 1024
MAX_STALENESS: Final = 300.0


@dataclass(frozen=True, slots=True)
class State:
    """`ready`: can verify. `waiting`: keys and revocations are not loaded yet. `stale`: they are too old."""

    status: Literal["ready", "waiting", "stale"]
    connected: bool
    #: Seconds since all revocations were known here. None with a JWKS URL, and until the first ones are loaded.
    age: float | None
    revocations: int
    #: The last failure of the source. None while it works.
    failure: str | None


class Verifier:
    """Verifies access tokens and API keys. No call is made for a token, and one for an API key, every ten minutes at most.

    With an address of Postern, keys, revocations, issuer and audiences come over one WatchTrust stream, for which a service
    account is needed (not through a unix socket, or with a listed client certificate): with its secret, or with the token
    of the platform in `token_file`. With `jwks_url` only keys are fetched: a revoked token is then accepted until it
    expires, and API keys are refused.

    The connection opens at the first use, in a thread, and anew in a forked child.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        service_account: str = "",
        api_audience: str = "",
        token_address: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        insecure: bool = False,
        jwks_url: str | None = None,
        issuer: str | None = None,
        audiences: Sequence[str] = (),
        audience: str | None = None,
        max_staleness: float = MAX_STALENESS,
        when_stale: Literal["refuse", "accept"] = "refuse",
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        """
        :param token_file: the file of a `WorkloadCredential`, in place of a client_id and its secret
        :param service_account: the account to be, if the workload is bound to several
        :param api_audience: Postern's own audience, if it is not the first of its audiences
        :param token_address: where the account gets its tokens, if `address` is a relay, which issues none
        :param audience: an audience that every token must name, unless `verify` is called with another
        :param max_staleness: how old the known revocations may be, in seconds
        :param when_stale: what happens beyond that: `refuse` with TRUST_STALE, or `accept` by what is known
        :param cache_bytes: memory for tokens that were verified before; 0 for none
        """
        if (address is None) == (jwks_url is None):
            raise ValueError("a verifier needs either the address of Postern or a jwks_url")
        if not max_staleness > 0 or cache_bytes < 0:
            raise ValueError("max_staleness must be greater than 0, and cache_bytes not negative")
        if when_stale not in ("refuse", "accept"):
            raise ValueError("when_stale must be 'refuse' or 'accept'")
        check_requirements((), audience)
        self._audience = audience
        self._max_cache_bytes = cache_bytes
        self._has_revocations = address is not None
        self._new_trust: Callable[[], Trust] = lambda: Trust(max_staleness, when_stale == "refuse")
        self._new_source: Callable[[Trust], Source]
        if address is not None:
            if issuer is not None or audiences:
                raise ValueError("issuer and audiences come from Postern; they are needed with jwks_url only")
            upstream = Upstream(address, credentials, insecure)
            issuing = upstream if token_address is None else Upstream(token_address, credentials, insecure)
            if token_address is not None and client_id is None and token_file is None:
                raise ValueError("token_address is of no use without an account; set client_id or token_file")
            if (client_id is None) != (client_secret is None):
                raise ValueError("client_id and client_secret go together; set both or neither")
            if (token_file is not None and client_id is not None) or (service_account and token_file is None):
                raise ValueError("set either client_id and client_secret, or token_file with or without service_account")

            def new_stream(trust: Trust) -> StreamSource:
                credential: Credential | None = None
                if token_file is not None:
                    credential = WorkloadCredential(issuing, token_file, service_account=service_account, audience=api_audience)
                if client_id is not None and client_secret is not None:
                    credential = ServiceCredential(issuing, client_id, client_secret, audience=api_audience)
                return StreamSource(upstream, credential, trust)

            self._new_source = new_stream
            new_stream(self._new_trust())
        else:
            account = (client_id, client_secret, token_file)
            if account != (None, None, None) or credentials is not None or service_account or api_audience or token_address:
                raise ValueError("with jwks_url there is no account and no connection to Postern; set an address instead")
            url, accepted = str(jwks_url), tuple(audiences)
            if not is_name(issuer) or isinstance(audiences, str) or not accepted or not all(map(is_name, accepted)):
                raise ValueError("with jwks_url, issuer must be set and audiences must list at least one")
            trusted_issuer = str(issuer)

            def new_poll(trust: Trust) -> JwksSource:
                return JwksSource(url, trusted_issuer, accepted, insecure, trust)

            self._new_source = new_poll
            new_poll(self._new_trust())
        self._closed = False
        self._reset()
        follow_forks(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._trust = self._new_trust()
        self._source: Source | None = None
        self._cache = TokenCache(self._max_cache_bytes)
        self._entries = self._cache.entries
        self._finalizer: weakref.finalize[[], Any] | None = None

    def verify(
        self,
        token: str,
        *,
        roles: Collection[str] = (),
        audience: str | None = None,
        actors: Collection[str] | None = None,
        min_acr: Level | None = None,
        max_auth_age: int | None = None,
        client_address: str | None = None,
    ) -> Caller:
        """The caller of a valid token or API key. Raises `Refused`.

        For a token it never waits for the network. For an API key that is not known yet it waits up to a second, so
        coroutines call `averify`.

        :param roles: roles that the caller must have, all of them
        :param audience: an audience that the token must name
        :param actors: names of services, one of which must act for the subject: the last actor of the token counts. None
            accepts a token with an actor or without one
        :param min_acr: the lowest level that the session of the token may have. A token that does not say its level, such
            as that of a service account, has none, and so has an API key
        :param max_auth_age: how many seconds ago the user may last have proved who they are
        :param client_address: from where an API key is used. Without it, keys that are limited to networks are refused
        """
        try:
            # Before any look-up: hashing a megabyte takes time too.
            if len(token) > MAX_TOKEN_BYTES:
                raise too_large()
        except TypeError:
            raise _not_a_token() from None
        trust = self._trust
        if monotonic() > trust.stale_at:
            self._refuse_stale()
        entry = self._entries.get(token)
        if entry is None or entry.policy is not trust.policy:
            if isinstance(token, str) and looks_like_api_key(token):
                grant = self._api_keys().resolve(token)
                return self._judge_key(grant, roles, audience, actors, min_acr, max_auth_age, client_address)
            entry = self._verify_first(token, trust)
        if entry.revision != trust.revision:
            self._judge_again(entry, trust)
        elif time() >= entry.refused_from:
            raise expired()
        caller = entry.caller
        if audience is None:
            audience = self._audience
        if audience is not None and audience not in caller.audience:
            raise wrong_audience()
        # Before the roles: one that needs a second factor comes with it.
        if min_acr is not None or max_auth_age is not None:
            require_authentication(caller, min_acr, max_auth_age)
        if roles:
            require_roles(caller, roles)
        if actors is not None:
            require_actor(caller, actors)
        return caller

    async def averify(
        self,
        token: str,
        *,
        roles: Collection[str] = (),
        audience: str | None = None,
        actors: Collection[str] | None = None,
        min_acr: Level | None = None,
        max_auth_age: int | None = None,
        client_address: str | None = None,
    ) -> Caller:
        """`verify` for coroutines: the event loop goes on while Postern is asked about an API key."""
        if isinstance(token, str) and looks_like_api_key(token) and len(token) <= MAX_TOKEN_BYTES:
            if monotonic() > self._trust.stale_at:
                self._refuse_stale()
            grant = await self._api_keys().aresolve(token)
            return self._judge_key(grant, roles, audience, actors, min_acr, max_auth_age, client_address)
        return self.verify(token, roles=roles, audience=audience, actors=actors, min_acr=min_acr, max_auth_age=max_auth_age)

    def ready(self, timeout: float) -> None:
        """Waits until tokens can be verified. Raises `NotReady`, which names the cause, after `timeout` seconds."""
        try:
            self._start()
        except Refused as refused:
            raise NotReady(refused.detail) from None
        trust = self._trust
        if not trust.wait_until_loaded(timeout):
            raise NotReady(f"not ready within {timeout:g} s: {trust.failure or 'no full list of revocations yet'}")
        if monotonic() > trust.stale_at:
            raise NotReady(f"keys and revocations are too old: {trust.failure or 'Postern has none that are newer'}")

    def state(self) -> State:
        trust = self._trust
        loaded = trust.loaded
        age = max(0.0, trust.age) if loaded and self._has_revocations else None
        status: Literal["ready", "waiting", "stale"] = "waiting"
        if loaded:
            status = "stale" if trust.is_stale else "ready"
        return State(status, trust.connected, age, trust.revocation_count, trust.failure)

    def close(self) -> None:
        """Ends the connection. Tokens are refused from now on, since nobody reports revocations any more."""
        with self._lock:
            self._closed = True
            self._source = None
            self._trust = self._new_trust()
            self._cache = TokenCache(self._max_cache_bytes)
            self._entries = self._cache.entries
            finalizer, self._finalizer = self._finalizer, None
        if finalizer is not None:
            finalizer()

    def __enter__(self) -> Verifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        if self._source is not None:
            return
        with self._lock:
            if self._closed:
                raise Refused("TRUST_STALE", "the verifier is closed")
            if self._source is None:
                self._source = self._new_source(self._trust)
                # Also at the exit of the interpreter: threads must not be inside grpc when it is torn down.
                self._finalizer = weakref.finalize(self, self._source.stop)
                self._source.start()

    def _refuse_stale(self) -> None:
        self._start()
        raise Refused("TRUST_STALE", "keys and revocations are not loaded yet, or are too old; retry later")

    def _api_keys(self) -> ApiKeyResolver:
        if isinstance(self._source, StreamSource):
            return self._source.api_keys
        raise Refused("API_KEY_INVALID", "the key set alone cannot verify an API key; set an address of Postern")

    def _judge_key(
        self,
        grant: Grant,
        roles: Collection[str],
        audience: str | None,
        actors: Collection[str] | None,
        min_acr: Level | None,
        max_auth_age: int | None,
        client_address: str | None,
    ) -> Caller:
        caller, policy = grant.caller, self._trust.policy
        # An audience that was removed since: no token for it is accepted either.
        if policy is None or caller.audience[0] not in policy.audiences or not grant.allows(caller_address(client_address)):
            raise invalid()
        if audience is None:
            audience = self._audience
        if audience is not None and audience not in caller.audience:
            raise wrong_audience()
        require_authentication(caller, min_acr, max_auth_age)
        require_roles(caller, roles)
        if actors is not None:
            require_actor(caller, actors)
        return caller

    def _verify_first(self, token: str, trust: Trust) -> Entry:
        if not isinstance(token, str):
            raise _not_a_token()
        policy = trust.policy
        if policy is None:
            self._refuse_stale()
        assert policy is not None
        parsed = parse_token(token)
        try:
            key = select_key(parsed.header, trust.keys)
        except Refused as refused:
            if refused.reason == "TOKEN_KEY_UNKNOWN" and isinstance(self._source, JwksSource):
                self._source.on_unknown_key()
            raise
        check_signature(key, parsed.signature, parsed.signed)
        caller = check_claims(parsed.claims, policy, key.kid, time())
        return self._cache.add(token, caller, policy)

    def _judge_again(self, entry: Entry, trust: Trust) -> None:
        """Checks what can change after the first verification. Under the same revision nothing of it has."""
        # Read before the rest: what changes meanwhile has a later revision.
        revision = trust.revision
        if entry.caller.key_id not in trust.keys:
            raise unknown_key()
        if time() >= entry.refused_from:
            raise expired()
        if trust.is_revoked(entry.caller, entry.session):
            raise Refused("TOKEN_REVOKED", "the token, its session or its key was revoked")
        entry.revision = revision


def _not_a_token() -> TypeError:
    return TypeError("the token must be a str; bearer_token returns None for a call without one")
