"""What surrounds every call of ours: errors become statuses, and somebody counts that the daemon is in use."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc

from townsfolk.daemon.errors_to_status import abort

OUR_SERVICES = "/townsfolk."
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"

Behaviour = Callable[[Any, Any], Awaitable[Any]]


class Activity:
    """How long the daemon has been without a call.

    A stream that watches its health counts: so a game holds the daemon while nobody speaks. Single probes of health
    and reflection do not count.
    """

    def __init__(self) -> None:
        self._calls = 0
        self._last = time.monotonic()

    @property
    def idle_s(self) -> float:
        """Seconds since the last call ended; 0 during one."""
        return 0.0 if self._calls else time.monotonic() - self._last

    def begin(self) -> None:
        self._calls += 1

    def end(self) -> None:
        self._calls -= 1
        self._last = time.monotonic()


class CallInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Wraps our handlers, and the one that watches health.

    They raise ``TownsfolkError``; whatever else they raise is a bug and becomes INTERNAL.
    """

    def __init__(self, activity: Activity) -> None:
        self._activity = activity

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        if handler is None or not (method == HEALTH_WATCH or method.startswith(OUR_SERVICES)):
            return handler
        behaviour = as_coroutine(behaviour_of(handler))

        async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            self._activity.begin()
            try:
                return await behaviour(request, context)
            except Exception as error:
                await abort(context, error)
            finally:
                self._activity.end()

        return same_kind(handler, call)


def behaviour_of(handler: Any) -> Callable[..., Any]:
    """The function in a method handler, whichever of the four kinds it is."""
    found = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    return found  # type: ignore[no-any-return]


def as_coroutine(behaviour: Callable[..., Any]) -> Behaviour:
    """A handler written as a generator, as one that writes.

    gRPC does not close a generator when its client goes away; as a coroutine everything ends at once.
    """
    if not inspect.isasyncgenfunction(behaviour):
        return behaviour

    async def write_all(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        async with aclosing(behaviour(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    return write_all


def same_kind(handler: Any, behaviour: Behaviour) -> Any:
    """A method handler of the same kind and message types that does something else."""
    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    make: Any = kinds[handler.request_streaming, handler.response_streaming]
    return make(
        behaviour,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
