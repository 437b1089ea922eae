"""Logs in to Postern, verifies the token, refreshes it, logs out, and shows how to read a refusal.

    printf %s 'the password' | python client.py --email ann@example.com
"""

import argparse
import getpass
import random
import sys
import time

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

sys.path.insert(0, f"{__file__.rpartition('/')[0] or '.'}/stubs")
from postern.v1 import auth_pb2 as auth  # noqa: E402
from postern.v1 import auth_pb2_grpc  # noqa: E402

DEADLINE_SECONDS = 5
ATTEMPTS = 3


class Refusal(Exception):
    """An error response of Postern: the gRPC status, the reason (an enum name of reason.proto) and when to retry."""

    def __init__(self, error: grpc.RpcError):
        self.code = error.code()
        self.message = error.details()
        self.reason = ""
        self.retry_after_seconds = None
        self.fields = []
        self.request_id = dict(error.trailing_metadata() or ()).get("x-request-id", "")
        status = rpc_status.from_call(error)
        for detail in status.details if status else ():
            info = error_details_pb2.ErrorInfo()
            retry = error_details_pb2.RetryInfo()
            request = error_details_pb2.BadRequest()
            if detail.Unpack(info) and info.domain == "postern":
                self.reason = info.reason
            elif detail.Unpack(retry):
                self.retry_after_seconds = retry.retry_delay.ToTimedelta().total_seconds()
            elif detail.Unpack(request):
                self.fields = [(violation.field, violation.description) for violation in request.field_violations]
        super().__init__(self.message)

    def __str__(self) -> str:
        again = "" if self.retry_after_seconds is None else f" (retry after {self.retry_after_seconds:g} s)"
        fields = "".join(f"; {field}: {description}" for field, description in self.fields)
        return f"{self.code.name} {self.reason}: {self.message}{again}{fields}"


def call(method, request):
    """Calls with a deadline. Retries UNAVAILABLE with a retry delay after that delay, with jitter."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return method(request, timeout=DEADLINE_SECONDS)
        except grpc.RpcError as error:
            refusal = Refusal(error)
            transient = refusal.code == grpc.StatusCode.UNAVAILABLE and refusal.retry_after_seconds is not None
            if not transient or attempt == ATTEMPTS:
                raise refusal from None
            print(refusal, file=sys.stderr)
            time.sleep(refusal.retry_after_seconds * random.uniform(1, 1.5))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", default="127.0.0.1:50051")
    parser.add_argument("--email", required=True)
    arguments = parser.parse_args()
    # PowerShell pipes a byte order mark before the text, and a line end after it.
    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.read().lstrip("\ufeff").rstrip("\r\n")

    # Plaintext only on the same machine; elsewhere use grpc.secure_channel(address, grpc.ssl_channel_credentials()).
    with grpc.insecure_channel(arguments.address) as channel:
        service = auth_pb2_grpc.AuthServiceStub(channel)

        tokens = call(service.Login, auth.LoginRequest(email=arguments.email, password=password))
        print(f"logged in: session {tokens.session_id}, access token valid for {tokens.expires_in} s")

        verified = call(service.VerifyToken, auth.VerifyTokenRequest(access_token=tokens.access_token))
        kind = auth.SubjectType.Name(verified.subject_type)
        print(f"verified: {kind} {verified.subject}, roles {','.join(verified.roles) or 'none'}")

        # The old refresh token is now invalid; keep only the new pair.
        tokens = call(service.RefreshToken, auth.RefreshTokenRequest(refresh_token=tokens.refresh_token))
        print(f"refreshed: session {tokens.session_id}")

        call(service.RevokeToken, auth.RevokeTokenRequest(token=tokens.refresh_token))
        print("revoked")

        try:
            call(service.VerifyToken, auth.VerifyTokenRequest(access_token=tokens.access_token))
        except Refusal as refusal:
            print(f"refused: {refusal}")


if __name__ == "__main__":
    try:
        main()
    except Refusal as refusal:
        sys.exit(f"{refusal}; the service's log has the request id {refusal.request_id}")
