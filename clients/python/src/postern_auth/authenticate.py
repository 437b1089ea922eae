"""What the interceptors for grpc and grpc.aio share."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import grpc

from . import wire
from .bearer import bearer_token, credentials_missing
from .caller import caller_variable
from .claims import Caller
from .policy import PolicyFile, combined
from .refusal import Refused
from .rules import Require, Rule, Rules, ServiceDescriptor
from .verifier import Verifier

log = logging.getLogger("postern_auth")

Behaviour = Callable[[Any, Any], Any]


class Refusal(NamedTuple):
    code: grpc.StatusCode
    details: str
    trailers: tuple[tuple[str, bytes], ...]


class Authenticator:
    def __init__(
        self,
        verifier: Verifier,
        rules: Mapping[str, Rule] | None = None,
        *,
        otherwise: Rule = Require(),  # noqa: B008 - it is immutable
        policy: PolicyFile | None = None,
        services: Iterable[ServiceDescriptor] | None = None,
    ) -> None:
        """
        :param rules: by full method name, `/package.Service/Method`
        :param otherwise: the rule of all other methods, so that none is open by mistake
        :param policy: the rules of a file, which says itself what `otherwise` is. Where `rules` has the method as well, both
            must allow a call
        :param services: the descriptors of the served services. With them, a rule for a method that none has is an error
        """
        if policy is not None and otherwise != Require():
            raise ValueError("otherwise is written in the policy file; remove it here")
        self._verifier = verifier
        self._rules = Rules(rules or {}, otherwise, services)
        self._code = dict(rules or {})
        self._policy = policy

    def judge(self, call: grpc.HandlerCallDetails) -> Caller | Refusal | None:
        """None for a public method, and for an optional token that was not sent."""
        try:
            policy = None
            if self._policy is None:
                rule = self._rules.of(call.method)
            else:
                rule, policy = combined(self._policy, self._code, call.method)
            if rule is None:
                return None
            values = [_text(value) for name, value in call.invocation_metadata or () if name == "authorization"]
            token = bearer_token(values)
            if token is not None:
                caller = self._verifier.verify(token, roles=rule.roles, audience=rule.audience)
                if policy is not None:
                    policy.check(call.method, caller)
                return caller
            if rule.optional:
                return None
            raise credentials_missing("metadata 'authorization: Bearer <token>'")
        except Refused as refused:
            return refusal_of(refused)
        except Exception:
            # Fail closed, without details for the caller.
            log.exception("a token could not be judged")
            return Refusal(grpc.StatusCode.INTERNAL, "internal error", ())


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def refusal_of(refused: Refused) -> Refusal:
    """In the form of Postern's own refusals, so that callers handle one kind."""
    status = wire.encode_status(refused.code.value[0], refused.detail, refused.reason, refused.retry_after)
    return Refusal(refused.code, refused.detail, (("grpc-status-details-bin", status),))


def handler_like(handler: grpc.RpcMethodHandler, behaviour: Behaviour, *, raw: bool = False) -> grpc.RpcMethodHandler:
    """A handler of the same kind with another behaviour. With `raw`, messages are not decoded."""
    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    make = kinds[handler.request_streaming, handler.response_streaming]
    decode = None if raw else handler.request_deserializer
    encode = None if raw else handler.response_serializer
    return make(behaviour, request_deserializer=decode, response_serializer=encode)


def behaviour_of(handler: grpc.RpcMethodHandler) -> Behaviour:
    """The function of the user: exactly one of the four is set."""
    candidates: tuple[Behaviour | None, ...] = (
        handler.unary_unary,
        handler.unary_stream,
        handler.stream_unary,
        handler.stream_stream,
    )
    return next(behaviour for behaviour in candidates if behaviour is not None)


def as_caller(behaviour: Behaviour, caller: Caller) -> Behaviour:
    """Runs a synchronous behaviour with the caller set, in whatever thread it runs."""

    def run(request: Any, context: Any) -> Any:
        variables = contextvars.copy_context()
        variables.run(caller_variable.set, caller)
        return variables.run(behaviour, request, context)

    return run


def as_streaming_caller(behaviour: Behaviour, caller: Caller) -> Behaviour:
    """The same for a behaviour that returns an iterator: each step may run in another thread."""

    def run(request: Any, context: Any) -> Iterator[Any]:
        variables = contextvars.copy_context()
        variables.run(caller_variable.set, caller)
        responses = iter(variables.run(behaviour, request, context))
        try:
            while True:
                try:
                    response = variables.run(next, responses)
                except StopIteration:
                    return
                yield response
        finally:
            # When the call is cancelled, the generator of the user ends with it.
            close = getattr(responses, "close", None)
            if close is not None:
                variables.run(close)

    return run
