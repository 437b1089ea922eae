"""A FastAPI service whose users log in with Postern. A token is refused in the request after the logout.

    POSTERN_CLIENT_ID=... POSTERN_CLIENT_SECRET=... uvicorn fastapi_app:app
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import grpc
import postern_auth.fastapi
from client import Refusal, auth, auth_pb2_grpc, call
from fastapi import Depends, FastAPI, HTTPException, Response
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from postern_auth import Caller, Verifier

address = os.environ.get("AUTH_ADDRESS", "127.0.0.1:50051")
verifier = Verifier(
    address, client_id=os.environ["POSTERN_CLIENT_ID"], client_secret=os.environ["POSTERN_CLIENT_SECRET"]
)
postern: auth_pb2_grpc.AuthServiceStub


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    global postern
    verifier.ready(10)
    # Here, and not at the import: a server may fork after the import.
    with grpc.insecure_channel(address) as channel:
        postern = auth_pb2_grpc.AuthServiceStub(channel)
        yield


app = FastAPI(lifespan=lifespan)
form_login = OAuth2PasswordBearer(tokenUrl="token")
user = postern_auth.fastapi.caller(verifier, scheme=form_login)


@app.post("/token")
def token(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, str | int]:
    """The login form behind Swagger's Authorize button."""
    try:
        tokens = call(postern.Login, auth.LoginRequest(email=form.username, password=form.password))
    except Refusal as refusal:
        raise http_error(refusal) from None
    return {
        "access_token": tokens.access_token,
        "token_type": tokens.token_type,
        "expires_in": tokens.expires_in,
        "refresh_token": tokens.refresh_token,
    }


@app.get("/me")
def me(caller: Annotated[Caller, Depends(user)]) -> dict[str, str | list[str]]:
    return {"subject": caller.subject, "roles": list(caller.roles)}


# The scheme has found the token already; the user has been verified with it.
@app.post("/logout", status_code=204, dependencies=[Depends(user)], response_class=Response)
def logout(bearer: Annotated[str, Depends(form_login)]) -> None:
    try:
        call(postern.RevokeToken, auth.RevokeTokenRequest(token=bearer))
    except Refusal as refusal:
        raise http_error(refusal) from None


def http_error(refusal: Refusal) -> HTTPException:
    statuses = {
        grpc.StatusCode.UNAUTHENTICATED: 401,
        grpc.StatusCode.INVALID_ARGUMENT: 422,
        grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    }
    # RFC 9110 section 15.5.2: an answer of 401 has a challenge.
    headers = {"www-authenticate": "Bearer"} if refusal.code == grpc.StatusCode.UNAUTHENTICATED else {}
    if refusal.retry_after_seconds is not None:
        headers["retry-after"] = str(max(1, round(refusal.retry_after_seconds)))
    detail = {"error": refusal.reason, "message": refusal.message}
    return HTTPException(statuses.get(refusal.code, 503), detail, headers)
