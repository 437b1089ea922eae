"""An interceptor for servers of `grpc.aio`."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio

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
from .caller import caller_variable
from .claims import Caller
from .grpc_sync import judged_first


class Authenticate(Authenticator, grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """The interceptor of `postern_auth.grpc_sync` for `grpc.aio`.

    A context variable that an interceptor sets does not reach a handler that is an ordinary function: grpc.aio runs it in a
    thread of its pool. So the handler is wrapped, and the caller is set where it runs.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        verdict = self.judge(handler_call_details)
        if verdict is None:
            return handler
        if isinstance(verdict, Refusal):
            return handler_like(handler, _refuse(verdict), raw=True)
        if isinstance(verdict, PresentedKey):
            return handler_like(handler, _judged_first(self, verdict, behaviour_of(handler), handler.response_streaming))
        return handler_like(handler, _wrap(behaviour_of(handler), handler.response_streaming, verdict))


def _wrap(behaviour: Behaviour, streams: bool, caller: Caller) -> Behaviour:
    """grpc.aio tells the kinds of functions apart by the same checks."""
    if inspect.isasyncgenfunction(behaviour):

        async def generate(request: Any, context: Any) -> AsyncIterator[Any]:
            # The call is a task of its own, so the variable ends with it.
            caller_variable.set(caller)
            # When the call is cancelled, the generator of the user ends with it.
            async with aclosing(behaviour(request, context)) as responses:
                async for response in responses:
                    yield response

        return generate
    if inspect.iscoroutinefunction(behaviour):

        async def run(request: Any, context: Any) -> Any:
            caller_variable.set(caller)
            return await behaviour(request, context)

        return run
    return as_streaming_caller(behaviour, caller) if streams else as_caller(behaviour, caller)


def _judged_first(authenticator: Authenticator, presented: PresentedKey, behaviour: Behaviour, streams: bool) -> Behaviour:
    """Judges an API key before the handler: in its thread if it is an ordinary function, else without blocking the loop."""

    async def caller_of(context: Any) -> Caller:
        verdict = await authenticator.ajudge_key(presented, context)
        if isinstance(verdict, Refusal):
            await _refuse(verdict)(None, context)
            # Releases of grpc exist whose `abort` returns.
            raise RuntimeError("the call was refused")
        return verdict

    if inspect.isasyncgenfunction(behaviour):

        async def generate(request: Any, context: Any) -> AsyncIterator[Any]:
            caller = await caller_of(context)
            async with aclosing(_wrap(behaviour, streams, caller)(request, context)) as responses:
                async for response in responses:
                    yield response

        return generate
    if inspect.iscoroutinefunction(behaviour):

        async def run(request: Any, context: Any) -> Any:
            return await _wrap(behaviour, streams, await caller_of(context))(request, context)

        return run
    return judged_first(authenticator, presented, behaviour, streams)


def _refuse(refusal: Refusal) -> Callable[[Any, grpc.aio.ServicerContext], Awaitable[None]]:
    async def abort(_: object, context: grpc.aio.ServicerContext) -> None:
        await context.abort(refusal.code, refusal.details, refusal.trailers)

    return abort
