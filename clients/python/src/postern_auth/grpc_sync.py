"""An interceptor for servers of `grpc`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from .authenticate import Authenticator, Refusal, as_caller, as_streaming_caller, behaviour_of, handler_like


class Authenticate(Authenticator, grpc.ServerInterceptor):  # type: ignore[misc]
    """Lets a call in if its `authorization: Bearer` token is valid and meets the rule of the method.

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
        wrap = as_streaming_caller if handler.response_streaming else as_caller
        return handler_like(handler, wrap(behaviour_of(handler), verdict))


def _refuse(refusal: Refusal) -> Callable[[Any, grpc.ServicerContext], Any]:
    def abort(_: object, context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata(refusal.trailers)
        context.abort(refusal.code, refusal.details)

    return abort
