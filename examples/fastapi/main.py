"""The application of the FastAPI tutorial ("Security"), with Postern in the place of its users, hashes and secret.

Calls RPCs over HTTP, as JSON; nothing is generated. POSTERN_URL names the HTTP listener, http://127.0.0.1:8080 by default.
"""

import os
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from pydantic import BaseModel

POSTERN_URL = os.environ.get("POSTERN_URL", "http://127.0.0.1:8080")


@asynccontextmanager
async def lifespan(app: FastAPI):
    # One pool of connections for all requests. Postern answers within 5 s.
    async with httpx.AsyncClient(base_url=POSTERN_URL, timeout=6) as client:
        app.state.postern = client
        yield


app = FastAPI(lifespan=lifespan)
oauth2_scheme = OAuth2PasswordBearer(tokenUrl="token")


class Caller(BaseModel):
    subject: str
    # Absent in JSON when there are none.
    roles: list[str] = []


async def call(request: Request, method: str, message: dict, headers: dict[str, str] | None = None) -> dict:
    """One RPC of AuthService. A refusal becomes an HTTPException with the reason."""
    try:
        response = await request.app.state.postern.post(
            f"/postern.v1.AuthService/{method}", json=message, headers=headers
        )
    except httpx.HTTPError:
        raise HTTPException(503, "the login service does not answer", {"Retry-After": "1"})
    if response.is_success:
        return response.json()
    is_known = response.headers.get("content-type") == "application/json"
    refusal = response.json() if is_known else {}
    reasons = (detail.get("debug", {}).get("reason") for detail in refusal.get("details", []))
    detail = {"reason": next(filter(None, reasons), None), "message": refusal.get("message")}
    passed_on = {name: response.headers[name] for name in ("retry-after", "x-request-id") if name in response.headers}
    if response.status_code == 401:
        passed_on["WWW-Authenticate"] = "Bearer"
    # What is wrong with this application's own calls is no fault of its caller.
    status = response.status_code if response.status_code in (400, 401, 403, 429, 503, 504) else 502
    raise HTTPException(status, detail, passed_on)


async def get_caller(request: Request, token: Annotated[str, Depends(oauth2_scheme)]) -> Caller:
    """Asks Postern, which knows revocations: after a logout the token is refused at once."""
    claims = await call(request, "VerifyToken", {"audience": "postern"}, {"authorization": f"Bearer {token}"})
    return Caller(**claims)


def require_role(role: str):
    async def caller_with_role(caller: Annotated[Caller, Depends(get_caller)]) -> Caller:
        if role not in caller.roles:
            raise HTTPException(403, f"the role {role} is missing")
        return caller

    return caller_with_role


@app.post("/token")
async def login(request: Request, form: Annotated[OAuth2PasswordRequestForm, Depends()]):
    # Postern limits attempts by the address of the person, which it believes from a proxy that it trusts.
    person = {"x-forwarded-for": request.client.host} if request.client else {}
    tokens = await call(request, "Login", {"email": form.username, "password": form.password}, person)
    return {"access_token": tokens["accessToken"], "token_type": "bearer", "expires_in": tokens["expiresIn"]}


@app.post("/logout", status_code=204)
async def logout(request: Request, token: Annotated[str, Depends(oauth2_scheme)]) -> None:
    await call(request, "RevokeToken", {"token": token})


@app.get("/users/me")
async def read_users_me(caller: Annotated[Caller, Depends(get_caller)]) -> Caller:
    return caller


@app.get("/articles/drafts")
async def read_drafts(caller: Annotated[Caller, Depends(require_role("editor"))]):
    return {"drafts": [], "editor": caller.subject}
