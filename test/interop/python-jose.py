"""Signs and verifies tokens with python-jose. Reads one JSON request from standard input, answers one on standard output.

    {"sign": {claims}, "key": "secret", "headers": {}}                            -> {"token": "..."}
    {"verify": "token", "key": secret or JWKS, "algorithm", "audience", "issuer"} -> {"claims": {...}} or {"refused": "ExpiredSignatureError"}
"""

import json
import sys

from jose import JWTError, jwt

request = json.load(sys.stdin)
if "sign" in request:
    token = jwt.encode(request["sign"], request["key"], algorithm="HS256", headers=request.get("headers"))
    print(json.dumps({"token": token}))
else:
    try:
        claims = jwt.decode(
            request["verify"],
            request["key"],
            algorithms=[request["algorithm"]],
            audience=request["audience"],
            issuer=request["issuer"],
        )
        print(json.dumps({"claims": claims}))
    except JWTError as error:
        print(json.dumps({"refused": type(error).__name__}))
