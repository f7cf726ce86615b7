"""A workload that asks for a WIT-SVID: `wit_check.py BASE TOKEN` makes a key and its proof with joserfc, asks with an access
token, checks what it gets by the bundle that is published, and tries what must not work. Prints what it saw as JSON.
"""

import base64
import hashlib
import json
import sys
import time
import urllib.error
import urllib.request
import uuid

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey

base, token = sys.argv[1:]
at = f"{base}/api/v1/svids/wit"


def proof(key, url=at, bearer=token, alg="ES256", shown=None):
    ath = base64.urlsafe_b64encode(hashlib.sha256(bearer.encode()).digest()).rstrip(b"=").decode()
    claims = {"jti": str(uuid.uuid4()), "htm": "POST", "htu": url, "iat": int(time.time()), "ath": ath}
    header = {"typ": "dpop+jwt", "alg": alg, "jwk": (shown or key).as_dict(private=False)}
    return jws.serialize_compact(header, json.dumps(claims), key, algorithms=[alg])


def ask(proof):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(at, json.dumps({"proof": proof}).encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def bare(key):
    return {name: key.as_dict(private=False)[name] for name in ("kty", "crv", "x", "y")}


own, other = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
once = proof(own)
status, made = ask(once)
seen = {"status": status, "answer": made}
if status == 201:
    with urllib.request.urlopen(f"{base}/spiffe/bundle") as answer:
        keys = json.load(answer)["keys"]
    of = lambda use: KeySet.import_key_set({"keys": [k | {"use": "sig"} for k in keys if k["use"] == use]})
    # The registry of joserfc has the claims that WIT-SVID §4 asks for.
    read = jwt.decode(made["svid"], of("wit-svid"), algorithms=["ES256"])
    jwt.JWTClaimsRegistry(sub={"essential": True}, exp={"essential": True}, cnf={"essential": True}).validate(read.claims)
    bound = dict(read.claims["cnf"]["jwk"])
    assert bound.pop("alg") == "ES256", bound
    assert bound == bare(own), bound
    try:
        jwt.decode(made["svid"], of("jwt-svid"), algorithms=["ES256"])
        raise AssertionError("a key for JWT-SVIDs signs it")
    except (JoseError, ValueError):
        pass
    ed25519 = OKPKey.generate_key("Ed25519")
    seen |= {
        "header": read.header,
        "claims": read.claims,
        "replayed": ask(once),
        "another_key": ask(proof(other, shown=own)),
        "another_address": ask(proof(own, url=f"{base}/api/v1/svids/jwt")),
        "another_token": ask(proof(own, bearer="other")),
        "another_curve": ask(proof(ed25519, alg="EdDSA")),
        "no_proof": ask(""),
    }
print(json.dumps(seen))
