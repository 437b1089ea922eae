"""A FastAPI program for servers with several processes: gunicorn --preload, uvicorn --workers."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI

import postern_auth.fastapi
from postern_auth import Caller, Verifier

verifier = Verifier(
    os.environ["ADDRESS"],
    client_id=os.environ["POSTERN_CLIENT_ID"],
    client_secret=os.environ["POSTERN_CLIENT_SECRET"],
)
if "READY_BEFORE_FORK" in os.environ:
    # What a program should not need to do, and may: the stream of the parent is of no use to its children.
    verifier.ready(10)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    verifier.ready(10)
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/me")
def me(user: Annotated[Caller, Depends(postern_auth.fastapi.caller(verifier))]) -> dict[str, str]:
    return {"subject": user.subject, "process": str(os.getpid())}
