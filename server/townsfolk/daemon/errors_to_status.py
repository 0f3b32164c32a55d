"""Errors as gRPC statuses with ``google.rpc`` details: the one place where they leave the daemon."""

from __future__ import annotations

import logging
import math
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from townsfolk.errors import InternalError, ResourceExhausted, TownsfolkError

log = logging.getLogger(__name__)

DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"  # gRPC's own retries obey it (gRFC A6)
DEFAULT_RETRY_S = 1.0  # for a full queue that names no time
# A peer may refuse more than 8 KiB of metadata. The message goes out twice, once percent-encoded (three bytes for one)
# and once inside the details.
MAX_MESSAGE_BYTES = 1500
MAX_FIELD_BYTES = 200


def as_townsfolk_error(error: Exception) -> TownsfolkError:
    """The error to tell a client. A bug is logged with its traceback, of which the client gets to see nothing."""
    if isinstance(error, TownsfolkError):
        return error
    log.error("a call failed unexpectedly", exc_info=error)
    return InternalError("the daemon made a mistake; its log tells more")


def status_code(error: TownsfolkError) -> grpc.StatusCode:
    """The status that the error becomes."""
    return grpc.StatusCode[error.status]


def code_number(error: TownsfolkError) -> int:
    """The same as a number, for ``TurnError.code``."""
    number: int = status_code(error).value[0]
    return number


def retry_after_s(error: TownsfolkError) -> float | None:
    """Seconds after which trying again makes sense; ``None`` if it does not, or if no time is known."""
    if error.retry_after_s is None and isinstance(error, ResourceExhausted):
        return DEFAULT_RETRY_S
    return error.retry_after_s


def trailing_metadata(error: TownsfolkError) -> tuple[tuple[str, str | bytes], ...]:
    """Details for the end of a call: which field is at fault, when to try again."""
    details: list[AnyMessage] = []
    if error.field:
        violation = BadRequest.FieldViolation(
            field=_shortened(error.field, MAX_FIELD_BYTES), description=_shortened(error.message, MAX_FIELD_BYTES)
        )
        details.append(_packed(BadRequest(field_violations=[violation])))
    metadata: list[tuple[str, str | bytes]] = []
    seconds = retry_after_s(error)
    if seconds is not None:
        delay = Duration()
        delay.FromMilliseconds(math.ceil(seconds * 1000))
        details.append(_packed(RetryInfo(retry_delay=delay)))
        if isinstance(error, ResourceExhausted):
            metadata.append((PUSHBACK_KEY, str(math.ceil(seconds * 1000))))
    if details:
        status = Status(code=code_number(error), message=_shortened(error.message), details=details)
        metadata.append((DETAILS_KEY, status.SerializeToString()))
    return tuple(metadata)


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: Exception) -> NoReturn:
    """End a call with an error. Raises gRPC's own exception, which ends the handler."""
    if isinstance(error, grpc.aio.AbortError):
        raise error  # the handler has ended the call itself
    known = as_townsfolk_error(error)
    await context.abort(status_code(known), _shortened(known.message), trailing_metadata(known))
    raise AssertionError("abort returned")


def _packed(detail: BadRequest | RetryInfo) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(detail)
    return packed


def _shortened(text: str, most: int = MAX_MESSAGE_BYTES) -> str:
    encoded = text.encode("utf-8", errors="replace")
    return text if len(encoded) <= most else encoded[:most].decode("utf-8", errors="ignore") + "…"
