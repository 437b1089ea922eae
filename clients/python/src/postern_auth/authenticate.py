"""What the interceptors for grpc and grpc.aio share."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import grpc

from . import wire
from .api_key import looks_like_api_key, peer_ip
from .bearer import bearer_token, credentials_missing
from .caller import caller_variable
from .claims import Caller
from .policy import Policy, PolicyFile, combined
from .refusal import Refused
from .requirements import Requirements
from .rules import Require, Rule, Rules, ServiceDescriptor
from .verifier import Verifier

log = logging.getLogger("postern_auth")

Behaviour = Callable[[Any, Any], Any]


class Refusal(NamedTuple):
    code: grpc.StatusCode
    details: str
    trailers: tuple[tuple[str, bytes], ...]


class PresentedKey(NamedTuple):
    """An API key, which is judged where the handler runs: there the address of the caller is known, and waiting is allowed."""

    key: str
    rule: Require
    policy: Policy | None
    method: str


def peer_address(context: Any) -> str | None:
    """The address of the other end of the connection."""
    return peer_ip(context.peer())


class Authenticator:
    def __init__(
        self,
        verifier: Verifier,
        rules: Mapping[str, Rule] | None = None,
        *,
        otherwise: Rule = Require(),  # noqa: B008 - it is immutable
        policy: PolicyFile | None = None,
        services: Iterable[ServiceDescriptor] | None = None,
        client_address: Callable[[Any], str | None] = peer_address,
    ) -> None:
        """
        :param rules: by full method name, `/package.Service/Method`
        :param otherwise: the rule of all other methods, so that none is open by mistake
        :param policy: the rules of a file, which says itself what `otherwise` is. Where `rules` has the method as well, both
            must allow a call
        :param services: the descriptors of the served services. With them, a rule for a method that none has is an error
        :param client_address: from where a call comes, by its `ServicerContext`, for API keys that are limited to networks.
            By default from the other end of the connection, which behind a proxy is the proxy
        """
        if policy is not None and otherwise != Require():
            raise ValueError("otherwise is written in the policy file; remove it here")
        self._verifier = verifier
        self._client_address = client_address
        self._rules = Rules(rules or {}, otherwise, services)
        self._code = dict(rules or {})
        self._policy = policy

    def judge(self, call: grpc.HandlerCallDetails) -> Caller | PresentedKey | Refusal | None:
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
            if token is not None and looks_like_api_key(token):
                return PresentedKey(token, rule, policy, call.method)
            if token is not None:
                caller = self._verifier.verify(token, **_required_first(rule, policy))
                return _allowed(caller, rule, policy, call.method)
            if rule.optional:
                return None
            raise credentials_missing("metadata 'authorization: Bearer <token>'")
        except Exception as error:
            return refusal_of(error)

    def judge_key(self, presented: PresentedKey, context: Any) -> Caller | Refusal:
        """Blocks up to a second while Postern is asked about a key."""
        try:
            caller = self._verifier.verify(
                presented.key,
                **_required_first(presented.rule, presented.policy),
                client_address=self._client_address(context),
            )
            return _allowed(caller, presented.rule, presented.policy, presented.method)
        except Exception as error:
            return refusal_of(error)

    async def ajudge_key(self, presented: PresentedKey, context: Any) -> Caller | Refusal:
        try:
            caller = await self._verifier.averify(
                presented.key,
                **_required_first(presented.rule, presented.policy),
                client_address=self._client_address(context),
            )
            return _allowed(caller, presented.rule, presented.policy, presented.method)
        except Exception as error:
            return refusal_of(error)


def _required_first(rule: Require, policy: Policy | None) -> Requirements:
    """What the verifier checks. With a policy only the audience: the policy has the rest, after its own audience."""
    return rule.requirements if policy is None else Require(audience=rule.audience).requirements


def _allowed(caller: Caller, rule: Require, policy: Policy | None, method: str) -> Caller:
    if policy is not None:
        policy.check(method, caller, rule)
    return caller


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def refusal_of(refused: Exception) -> Refusal:
    """In the form of Postern's own refusals, so that callers handle one kind."""
    if not isinstance(refused, Refused):
        # Fail closed, without details for the caller.
        log.error("a token could not be judged", exc_info=refused)
        return Refusal(grpc.StatusCode.INTERNAL, "internal error", ())
    status = wire.encode_status(
        refused.code.value[0], refused.detail, refused.reason, refused.retry_after, refused.step_up_parameters
    )
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
