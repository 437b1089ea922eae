"""Gets and introspects tokens with Authlib. Reads one JSON request from standard input, answers one on standard output.

    {"url": "...", "issuer": "...", "client_id", "client_secret", "private_key": PEM, "method": "client_secret_basic", ...}
"""

import json
import sys
import time

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey


class ShortPrivateKeyJWT(PrivateKeyJWT):
    """Authlib's assertions live an hour; and it keeps the `jti` of the first in the claims that it was given."""

    def sign(self, auth, token_endpoint):
        self.claims = {"exp": int(time.time()) + 60}
        return super().sign(auth, token_endpoint)


request = json.load(sys.stdin)
url, method = request["url"], request["method"]
is_assertion = method == "private_key_jwt"
client = OAuth2Client(
    request["client_id"],
    ECKey.import_key(request["private_key"]) if is_assertion else request["client_secret"],
    token_endpoint_auth_method=method,
    revocation_endpoint_auth_method="none",
)
if is_assertion:
    client.register_client_auth_method(ShortPrivateKeyJWT(request["issuer"], alg="ES256"))
try:
    token = client.fetch_token(f"{url}/oauth/token", grant_type="client_credentials")
except OAuthError as error:
    print(json.dumps({"error": error.error}))
    sys.exit()
introspect = lambda: client.introspect_token(f"{url}/oauth/introspect", token=token["access_token"]).json()
before = introspect()
revoked = client.revoke_token(f"{url}/oauth/revoke", token=token["access_token"]).status_code
print(json.dumps({"token": token, "before": before, "revoked": revoked, "after": introspect()}))
