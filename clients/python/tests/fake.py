"""A server with the protos of Postern whose answers a test chooses, also those that the real one gives seldom."""

from __future__ import annotations

import binascii
import hashlib
import json
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from corpus import corpus
from postern_auth import Verifier, wire

PROTOS = Path(__file__).resolve().parents[3] / "proto/postern.binpb"
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ISSUER, AUDIENCES = "https://auth.example", ("postern", "orders")


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(PROTOS.read_bytes()).file:
        pool.Add(file)
    return pool


POOL = _pool()


def message(name: str) -> Any:
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"postern.v1.{name}"))


def new_key() -> str:
    body = "pak_" + "".join(secrets.choice(ALPHABET) for _ in range(43))
    checksum, digits = binascii.crc32(body.encode()), ""
    for _ in range(6):
        checksum, digit = divmod(checksum, 62)
        digits = ALPHABET[digit] + digits
    return body + digits


def not_found(context: Any, reason: str) -> None:
    details = wire.encode_status(5, "no such API key", reason, None)
    context.set_trailing_metadata((("grpc-status-details-bin", details),))
    context.abort(grpc.StatusCode.NOT_FOUND, "no such API key")


def authorization(context: Any) -> list[str]:
    return [value for name, value in context.invocation_metadata() if name == "authorization"]


class FakePostern:
    def __init__(self) -> None:
        self.grants: dict[bytes, Any] = {}
        #: The digests that were asked about.
        self.asked: list[bytes] = []
        #: Runs in each ResolveApiKey, before it is answered.
        self.on_ask: Callable[[], object] = lambda: None
        self.unknown_reason = "RESOURCE_NOT_FOUND"
        #: What each ExchangeToken asked for, and what it is answered with: an access token, or a refusal.
        self.exchanges: list[Any] = []
        self.exchange: Callable[[Any, Any], str] = lambda request, context: f"access token {len(self.exchanges)}"
        self.exchange_lifetime = 600
        #: The `authorization` of each WatchTrust and ResolveApiKey.
        self.metadata_of_streams: list[str] = []
        self.metadata_of_asks: list[str] = []
        self._lock = threading.Lock()
        self._streams: list[queue.SimpleQueue[Any]] = []
        self._revoked: list[Any] = []
        self._server = grpc.server(ThreadPoolExecutor(100))
        self._server.add_generic_rpc_handlers(
            (
                self._service("TrustService", WatchTrust=self._watch, ResolveApiKey=self._resolve),
                self._service("AuthService", IssueServiceToken=self._issue, ExchangeToken=self._exchange),
            )
        )
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def verifier(self, **options: Any) -> Verifier:
        verifier = Verifier(self.address, **options)
        verifier.ready(10)
        return verifier

    def create(self, key: str | None = None, **fields: Any) -> str:
        """A key, or one with other rights in place of the known one."""
        key = key or new_key()
        digest = hashlib.sha256(key.encode()).digest()
        known = self.grants.get(digest)
        grant = message("ApiKeyGrant")(
            id=known.id if known else str(uuid4()),
            subject=known.subject if known else str(uuid4()),
            subject_type=1,
            audience="orders",
            max_age=600,
            revocation_id=str(uuid4()),
        )
        grant.created_at.FromSeconds(1_700_000_000)
        for name, value in fields.items():
            if isinstance(value, list):
                getattr(grant, name).extend(value)
            elif name == "expires_at":
                grant.expires_at.FromSeconds(value)
            else:
                setattr(grant, name, value)
        self.grants[digest] = grant
        return key

    def grant(self, key: str) -> Any:
        return self.grants[hashlib.sha256(key.encode()).digest()]

    def end(self, key: str) -> None:
        """As RevokeApiKey does it."""
        self.revoke(self.grants.pop(hashlib.sha256(key.encode()).digest()).id)

    def revoke(self, token_id: str) -> None:
        update = message("TrustUpdate")(cursor="c")
        update.revocations.revocations.add(token_id=token_id, expires_at=int(time.time()) + 780)
        with self._lock:
            self._revoked.append(update)
            for stream in self._streams:
                stream.put(update)

    def end_streams(self) -> None:
        with self._lock:
            for stream in self._streams:
                stream.put(None)

    def stop(self) -> None:
        self.end_streams()
        self._server.stop(0).wait()

    def _service(self, service: str, **methods: Any) -> Any:
        handlers = {}
        descriptor = POOL.FindServiceByName(f"postern.v1.{service}")
        for name, behaviour in methods.items():
            method = descriptor.methods_by_name[name]
            make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
            request = message_factory.GetMessageClass(method.input_type)
            handlers[name] = make(behaviour, request.FromString, lambda answer: answer.SerializeToString())
        return grpc.method_handlers_generic_handler(f"postern.v1.{service}", handlers)

    def _watch(self, request: Any, context: Any) -> Iterator[Any]:
        self.metadata_of_streams.extend(authorization(context))
        updates: queue.SimpleQueue[Any] = queue.SimpleQueue()
        context.add_callback(lambda: updates.put(None))
        keys = message("TrustUpdate")()
        keys.keys.jwks = next(s["jwks"] for s in corpus("tokens.json") if json.loads(s["jwks"])["keys"])
        keys.keys.issuer, keys.keys.max_lifetime, keys.keys.clock_skew = ISSUER, 3_600, 5
        keys.keys.audiences.extend(AUDIENCES)
        complete = message("TrustUpdate")(cursor="c")
        complete.revocations.complete = True
        heartbeat = message("TrustUpdate")(cursor="c")
        heartbeat.heartbeat.SetInParent()
        with self._lock:
            self._streams.append(updates)
            known = list(self._revoked)
        yield from (keys, *known, complete, heartbeat)
        while (update := updates.get()) is not None:
            yield update
            yield heartbeat

    def _resolve(self, request: Any, context: Any) -> Any:
        with self._lock:
            self.asked.append(request.key_sha256)
        self.metadata_of_asks.extend(authorization(context))
        grant = self.grants.get(request.key_sha256)
        self.on_ask()
        if grant is None:
            not_found(context, self.unknown_reason)
        return grant

    def _issue(self, request: Any, context: Any) -> Any:
        return message("TokenSet")(access_token="the token of an account", expires_in=600)

    def _exchange(self, request: Any, context: Any) -> Any:
        self.exchanges.append(request)
        token = self.exchange(request, context)
        return message("TokenSet")(access_token=token, expires_in=self.exchange_lifetime)
