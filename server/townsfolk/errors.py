"""Every error a user can meet, each with the gRPC status it becomes.

    TownsfolkError
    ├── InvalidArgument       INVALID_ARGUMENT      bad persona, adapter, pack, card, save or argument
    ├── NotFound              NOT_FOUND             unknown persona, session or turn
    ├── AlreadyExists         ALREADY_EXISTS        a session of that id is open
    ├── FailedPrecondition    FAILED_PRECONDITION   adapter made for another base model
    ├── ResourceExhausted     RESOURCE_EXHAUSTED    queue full, slow reader, over budget
    ├── DeadlineExceeded      DEADLINE_EXCEEDED     the caller's deadline passed
    ├── Cancelled             CANCELLED             the caller went away or asked to stop
    ├── Unavailable           UNAVAILABLE           engine down or draining
    ├── Unauthenticated       UNAUTHENTICATED       missing or wrong token
    └── InternalError         INTERNAL              a bug of ours; the traceback stays in the log

A message is one sentence that says what is wrong and what to do about it.
"""

from __future__ import annotations


class TownsfolkError(Exception):
    """Base of all errors that reach a user.

    Args:
        message: one sentence for a person.
        field: the request or file field at fault, where there is one.
        retry_after_s: seconds after which trying again makes sense, where it does.
    """

    status = "INTERNAL"

    def __init__(self, message: str, *, field: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after_s = retry_after_s


class InvalidArgument(TownsfolkError):
    status = "INVALID_ARGUMENT"


class NotFound(TownsfolkError):
    status = "NOT_FOUND"


class AlreadyExists(TownsfolkError):
    status = "ALREADY_EXISTS"


class FailedPrecondition(TownsfolkError):
    status = "FAILED_PRECONDITION"


class ResourceExhausted(TownsfolkError):
    status = "RESOURCE_EXHAUSTED"


class DeadlineExceeded(TownsfolkError):
    status = "DEADLINE_EXCEEDED"


class Cancelled(TownsfolkError):
    status = "CANCELLED"


class Unavailable(TownsfolkError):
    status = "UNAVAILABLE"


class Unauthenticated(TownsfolkError):
    status = "UNAUTHENTICATED"


class InternalError(TownsfolkError):
    status = "INTERNAL"


BY_STATUS: dict[str, type[TownsfolkError]] = {
    error.status: error
    for error in (
        InvalidArgument,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        ResourceExhausted,
        DeadlineExceeded,
        Cancelled,
        Unavailable,
        Unauthenticated,
        InternalError,
    )
}


def from_status(status: str, message: str, *, field: str = "", retry_after_s: float | None = None) -> TownsfolkError:
    """The error that a status name crossing a process border stands for; INTERNAL for an unknown name."""
    return BY_STATUS.get(status, InternalError)(message, field=field, retry_after_s=retry_after_s)
