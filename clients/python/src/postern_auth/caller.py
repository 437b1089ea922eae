"""The caller of the present call, for handlers of every kind."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from .claims import Caller

caller_variable: Final[ContextVar[Caller | None]] = ContextVar("postern_auth_caller", default=None)


def current_caller() -> Caller:
    """The caller of the present call. Raises LookupError where nobody was authenticated, as in a public method."""
    caller = caller_variable.get()
    if caller is None:
        raise LookupError("this call has no caller: its method is public, or no interceptor or middleware has run")
    return caller


def optional_caller() -> Caller | None:
    """The caller of the present call; None in a public method, and for an optional token that was not sent."""
    return caller_variable.get()
