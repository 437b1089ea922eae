"""python verify.py pyjwt|authlib JWKS_URL ISSUER AUDIENCE: answers each token on standard input with one line."""

import os
import sys
import time

library, JWKS_URL, ISSUER, AUDIENCE = sys.argv[1:]
CACHE_SECONDS = int(os.environ.get("CACHE_SECONDS", "60"))


def with_pyjwt():
    import jwt

    keys = jwt.PyJWKClient(JWKS_URL, lifespan=CACHE_SECONDS, timeout=5)

    def verify(token):
        key = keys.get_signing_key_from_jwt(token)
        decoded = jwt.decode_complete(
            token, key, algorithms=["ES256"], issuer=ISSUER, audience=AUDIENCE,
            options={"require": ["exp", "iat", "sub", "jti"]},
        )
        if decoded["header"].get("typ") != "at+jwt":
            raise jwt.InvalidTokenError("not an access token")
        return decoded["payload"]

    return verify


def with_authlib():
    import requests
    from authlib.oauth2.rfc9068 import JWTBearerTokenValidator

    class PosternTokens(JWTBearerTokenValidator):
        fetched_at = float("-inf")
        jwks = None

        def get_jwks(self):
            if time.monotonic() - self.fetched_at > CACHE_SECONDS:
                answer = requests.get(JWKS_URL, timeout=5, allow_redirects=False)
                answer.raise_for_status()
                self.jwks, self.fetched_at = answer.json(), time.monotonic()
            return self.jwks

        def authenticate_token(self, token_string):
            claims = super().authenticate_token(token_string)
            # The roles of a subject without roles are an empty list, which Authlib refuses as blank.
            claims.options["roles"]["allow_blank"] = True
            return claims

    validator = PosternTokens(ISSUER, AUDIENCE)

    def verify(token):
        claims = validator.authenticate_token(token)
        validator.validate_token(claims, [], None)
        return claims

    return verify


verify = {"pyjwt": with_pyjwt, "authlib": with_authlib}[library]()
for line in sys.stdin:
    try:
        print("accepted", verify(line.strip())["sub"], flush=True)
    except Exception as error:
        print("refused", type(error).__name__, str(error).replace("\n", " "), flush=True)
