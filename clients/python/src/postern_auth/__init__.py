"""Verifies Postern's access tokens inside this process, and learns of revocations as they happen."""

from .bearer import bearer_token
from .caller import current_caller, optional_caller
from .channel import Upstream
from .claims import Actor, Caller
from .credential import ServiceCredential
from .policy import InvalidPolicy, PolicyFile
from .refusal import NotReady, Reason, Refused, UpstreamError
from .rules import PUBLIC, Require
from .verifier import State, Verifier
from .workload import TokenFileError, WorkloadCredential

__all__ = [
    "PUBLIC",
    "Actor",
    "Caller",
    "InvalidPolicy",
    "NotReady",
    "PolicyFile",
    "Reason",
    "Refused",
    "Require",
    "ServiceCredential",
    "State",
    "TokenFileError",
    "Upstream",
    "UpstreamError",
    "Verifier",
    "WorkloadCredential",
    "bearer_token",
    "current_caller",
    "optional_caller",
]
