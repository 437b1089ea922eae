"""An interceptor for servers of `grpc`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc

from .authenticate import (
    Authenticator,
    Behaviour,
    PresentedKey,
    Refusal,
    as_caller,
    as_streaming_caller,
    behaviour_of,
    handler_like,
)
from .claims import Caller


class Authenticate(Authenticator, grpc.ServerInterceptor):  # type: ignore[misc]
    """Lets a call in if its `authorization: Bearer` token or API key is valid and meets the rule of the method.

    It refuses as Postern does: UNAUTHENTICATED, PERMISSION_DENIED or UNAVAILABLE, with an ErrorInfo of the domain `postern`.
    Handlers ask `current_caller()`.
    """

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        handler = continuation(handler_call_details)
        if handler is None:
            return None
        verdict = self.judge(handler_call_details)
        if verdict is None:
            return handler
        if isinstance(verdict, Refusal):
            # The request of a caller without a token is not even decoded.
            return handler_like(handler, _refuse(verdict), raw=True)
        if isinstance(verdict, PresentedKey):
            return handler_like(handler, judged_first(self, verdict, behaviour_of(handler), handler.response_streaming))
        wrap = as_streaming_caller if handler.response_streaming else as_caller
        return handler_like(handler, wrap(behaviour_of(handler), verdict))


def judged_first(authenticator: Authenticator, presented: PresentedKey, behaviour: Behaviour, streams: bool) -> Behaviour:
    """Judges an API key on the thread of the handler. That of the server would stand still for all calls meanwhile."""

    def caller_of(context: Any) -> Caller:
        verdict = authenticator.judge_key(presented, context)
        if isinstance(verdict, Refusal):
            _refuse(verdict)(None, context)
            # Releases of grpc exist whose `abort` returns.
            raise RuntimeError("the call was refused")
        return verdict

    def run(request: Any, context: Any) -> Any:
        return as_caller(behaviour, caller_of(context))(request, context)

    def generate(request: Any, context: Any) -> Iterator[Any]:
        yield from as_streaming_caller(behaviour, caller_of(context))(request, context)

    return generate if streams else run


def _refuse(refusal: Refusal) -> Callable[[Any, grpc.ServicerContext], Any]:
    def abort(_: object, context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata(refusal.trailers)
        context.abort(refusal.code, refusal.details)

    return abort
