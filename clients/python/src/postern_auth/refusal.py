"""Why a token is refused, and what Postern answers."""

from __future__ import annotations

from typing import Final, Literal

import grpc

#: A reason of `postern.v1.Reason`.
Reason = Literal[
    "CREDENTIALS_MISSING",
    "TOKEN_MALFORMED",
    "TOKEN_TOO_LARGE",
    "TOKEN_ALG_NOT_ALLOWED",
    "TOKEN_KEY_UNKNOWN",
    "TOKEN_SIGNATURE_INVALID",
    "TOKEN_TYPE_INVALID",
    "TOKEN_CLAIMS_INVALID",
    "TOKEN_EXPIRED",
    "TOKEN_NOT_YET_VALID",
    "TOKEN_REVOKED",
    "API_KEY_INVALID",
    "STEP_UP_REQUIRED",
    "ROLE_MISSING",
    "METHOD_NOT_LISTED",
    "ACTOR_NOT_ALLOWED",
    "TRUST_STALE",
]

_FORBIDDEN: Final = ("ROLE_MISSING", "METHOD_NOT_LISTED", "ACTOR_NOT_ALLOWED")
RETRY_AFTER_SECONDS: Final = 1.0


class Refused(Exception):
    """A token was refused, or could not be judged.

    The text never contains a part of the token.
    """

    def __init__(self, reason: Reason, detail: str, min_acr: str | None = None, max_auth_age: int | None = None) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail
        #: What was required of the user, when the reason is STEP_UP_REQUIRED.
        self.min_acr = min_acr
        self.max_auth_age = max_auth_age

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"

    def __reduce__(self) -> tuple[type[Refused], tuple[Reason, str, str | None, int | None]]:
        return (Refused, (self.reason, self.detail, self.min_acr, self.max_auth_age))

    @property
    def code(self) -> grpc.StatusCode:
        """The gRPC status of the refusal."""
        if self.reason == "TRUST_STALE":
            return grpc.StatusCode.UNAVAILABLE
        if self.reason in _FORBIDDEN:
            return grpc.StatusCode.PERMISSION_DENIED
        return grpc.StatusCode.UNAUTHENTICATED

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the same token may be accepted. None when waiting does not help."""
        return RETRY_AFTER_SECONDS if self.reason == "TRUST_STALE" else None

    @property
    def http_status(self) -> Literal[401, 403, 503]:
        if self.reason == "TRUST_STALE":
            return 503
        return 403 if self.reason in _FORBIDDEN else 401

    @property
    def step_up_parameters(self) -> dict[str, str]:
        """What the caller has to prove, by the names of RFC 9470 section 3. Empty for every other reason."""
        required = (("acr_values", self.min_acr), ("max_age", self.max_auth_age))
        return {name: str(value) for name, value in required if value is not None}

    @property
    def http_headers(self) -> dict[str, str]:
        """The response headers that RFC 6750 section 3, RFC 9470 section 3 and RFC 9110 section 10.2.3 ask for."""
        if self.reason == "TRUST_STALE":
            return {"retry-after": str(int(RETRY_AFTER_SECONDS))}
        if self.reason in _FORBIDDEN:
            return {"www-authenticate": 'Bearer error="insufficient_scope"'}
        if self.reason == "CREDENTIALS_MISSING":
            return {"www-authenticate": "Bearer"}
        if self.reason == "STEP_UP_REQUIRED":
            parameters = (f', {name}="{value}"' for name, value in self.step_up_parameters.items())
            return {"www-authenticate": f'Bearer error="insufficient_user_authentication"{"".join(parameters)}'}
        description = self.detail.replace("\\", "'").replace('"', "'")
        return {"www-authenticate": f'Bearer error="invalid_token", error_description="{description}"'}


class NotReady(Exception):
    """`Verifier.ready` gave up. The text names the cause."""


class UpstreamError(Exception):
    """Postern answered a call with an error, or could not be reached."""

    def __init__(self, code: grpc.StatusCode, reason: str | None, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        #: The `ErrorInfo` reason. None when the answer did not come from Postern.
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[UpstreamError], tuple[grpc.StatusCode, str | None, str]]:
        return (UpstreamError, (self.code, self.reason, self.detail))

    def __str__(self) -> str:
        return " ".join(part for part in (self.code.name, self.reason) if part) + f": {self.detail}"
