"""A client and a resource server of the FastAPI tutorial's shape ("Security"), whose requests go to Postern unchanged.

The application is the tutorial's: `OAuth2PasswordBearer(tokenUrl="token")`, and a token that is decoded with the shared
secret by PyJWT. What is replaced is the login. Reads one JSON request from standard input:

    {"url": "http://...", "secret": "...", "username": "...", "password": "..."}

and prints what a client of the tutorial gets from POST /token, POST /login and GET /users/me.
"""

import json
import sys
from typing import Annotated

import httpx
import jwt
from fastapi import Depends, FastAPI, HTTPException, status
from fastapi.security import OAuth2PasswordBearer
from fastapi.testclient import TestClient

request = json.load(sys.stdin)
SECRET_KEY = request["secret"]
ALGORITHM = "HS256"

app = FastAPI()
oauth2_scheme = OAuth2PasswordBearer(tokenUrl="token")


async def get_current_user(token: Annotated[str, Depends(oauth2_scheme)]):
    credentials_exception = HTTPException(
        status_code=status.HTTP_401_UNAUTHORIZED,
        detail="Could not validate credentials",
        headers={"WWW-Authenticate": "Bearer"},
    )
    try:
        payload = jwt.decode(token, SECRET_KEY, algorithms=[ALGORITHM], audience="postern")
    except jwt.InvalidTokenError:
        raise credentials_exception
    return {"username": payload["sub"]}


@app.get("/users/me")
async def read_users_me(current_user: Annotated[dict, Depends(get_current_user)]):
    return current_user


def login(path, **body):
    response = httpx.post(request["url"] + path, **body)
    return {"status": response.status_code, "body": response.json(), "challenge": response.headers.get("www-authenticate")}


api = TestClient(app)


def me(token):
    response = api.get("/users/me", headers={"Authorization": f"Bearer {token}"})
    return {"status": response.status_code, "body": response.json()}


username, password = request["username"], request["password"]
# As Swagger UI sends the form, and as a hand-written client does.
by_form = login("/token", data={"grant_type": "password", "username": username, "password": password, "scope": ""})
by_short_form = login("/token", data={"username": username, "password": password})
by_json = login("/login", json={"email": username, "password": password})
print(
    json.dumps(
        {
            "form": by_form,
            "short_form": by_short_form,
            "json": by_json,
            "me": [me(answer["body"].get("access_token")) for answer in (by_form, by_short_form, by_json)],
            "wrong": [
                login("/token", data={"username": username, "password": "wrong horse battery"}),
                login("/login", json={"email": username, "password": "wrong horse battery"}),
            ],
            "stranger": me("x" + str(by_form["body"].get("access_token"))),
        }
    )
)
