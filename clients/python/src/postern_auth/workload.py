"""The access token of a service account that has no secret."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from typing import Final

import grpc

from . import wire
from .bounded_file import read_regular_file
from .channel import Upstream
from .credential import Credential
from .refusal import UpstreamError

#: The longest token that Postern reads.
MAX_FILE_BYTES: Final = 16_384


class TokenFileError(UpstreamError):
    """The file with the outside token cannot be used. The text names the file and the cause, and has no part of the token."""

    def __init__(self, detail: str) -> None:
        # Unavailable: the platform may be about to write the file, and until then the previous access token is used.
        super().__init__(grpc.StatusCode.UNAVAILABLE, None, detail)

    def __reduce__(self) -> tuple[type[TokenFileError], tuple[str]]:  # type: ignore[override]
        return (TokenFileError, (self.detail,))

    def __str__(self) -> str:
        return self.detail


class WorkloadCredential(Credential):
    """The access token of a service account, for the token of a platform that Postern trusts: no secret is needed.

    The file is read again for each renewal, since the platform replaces it, as kubelet does with a projected token. A file
    that cannot be used is a `TokenFileError`.
    """

    _method = "/postern.v1.AuthService/ExchangeToken"

    def __init__(
        self,
        address: str | Upstream,
        token_file: str | os.PathLike[str],
        *,
        service_account: str = "",
        audience: str = "",
        roles: Collection[str] = (),
        credentials: grpc.ChannelCredentials | None = None,
        insecure: bool = False,
    ) -> None:
        """
        :param token_file: for example `/var/run/secrets/tokens/postern`
        :param service_account: its id or name; needed when the identity is bound to several
        :param audience: for whom the token is; Postern's default when empty
        :param roles: roles that the token has at most; all of the account's when empty
        """
        self._file = os.fspath(token_file)
        if not isinstance(self._file, str) or not self._file:
            raise ValueError("token_file must be the path of a file")
        if isinstance(roles, str) or not all(isinstance(role, str) and role for role in roles):
            raise TypeError("roles must be a list of strings")
        if not isinstance(service_account, str) or not isinstance(audience, str):
            raise TypeError("service_account and audience must be strings")
        self._account = service_account
        self._audience = audience
        self._roles = tuple(roles)
        super().__init__(address if isinstance(address, Upstream) else Upstream(address, credentials, insecure))

    def _request(self) -> bytes:
        return wire.encode_exchange_request(self._read(), self._account, self._audience, self._roles)

    def _read(self) -> str:
        try:
            content = read_regular_file(self._file, MAX_FILE_BYTES + 2).strip()
        except OSError as error:
            raise TokenFileError(f"the token file {self._file} cannot be read: {error.strerror}") from None
        if not content:
            raise TokenFileError(f"the token file {self._file} is empty")
        if len(content) > MAX_FILE_BYTES:
            raise TokenFileError(f"the token file {self._file} is longer than {MAX_FILE_BYTES} bytes, so it is no token")
        if re.fullmatch(rb"[!-~]+", content) is None:
            raise TokenFileError(f"the token file {self._file} must have one token and nothing else")
        return content.decode("ascii")
