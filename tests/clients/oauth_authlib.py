"""authlib against our authorization server, and joserfc against our tokens and keys.

Prints an address for the person to open, reads where their browser was sent back to, and prints what it saw as JSON.
"""

import base64
import json
import os
import sys
import time
import uuid

import httpx2
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

issuer, client_id = os.environ["ISSUER"], os.environ["CLIENT"]
subject, redirect = os.environ["SUBJECT"], os.environ["REDIRECT"]
key = ECKey.import_key(open(os.environ["KEY"]).read())
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
DETAILS = [
    {
        "type": "remit_tool",
        "tool": "orders/refund",
        "bounds": {"amount": [{"decimal": {"max": "30"}}]},
    }
]


def say(value):
    print(json.dumps(value), flush=True)


class Assertion(PrivateKeyJWT):
    """An assertion that ends within our five minutes: the library's own would last an hour."""

    alg = "ES256"

    def sign(self, auth, token_endpoint):
        self.claims = {"exp": int(time.time()) + 60, "jti": str(uuid.uuid4())}
        return super().sign(auth, token_endpoint)


assert get_well_known_url(issuer, external=True).endswith("/.well-known/oauth-authorization-server")
found = httpx2.get(get_well_known_url(issuer, external=True)).json()
server = AuthorizationServerMetadata(found)
for name in (
    "response_types_supported",
    "grant_types_supported",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "introspection_endpoint_auth_methods_supported",
    "revocation_endpoint_auth_methods_supported",
    "code_challenge_methods_supported",
):
    getattr(server, f"validate_{name}")()
assert server["issuer"] == issuer

METHOD = PrivateKeyJWT.name


def session(**more):
    client = OAuth2Client(
        client_id,
        key,
        token_endpoint_auth_method=METHOD,
        revocation_endpoint_auth_method=METHOD,
        redirect_uri=redirect,
        **more,
    )
    client.register_client_auth_method(Assertion(issuer))
    return client


asked = {"scope": "workflow:refund", "authorization_details": json.dumps(DETAILS)}
machine = session()
# Who acts for nobody holds no entitlement, which a refund needs.
mild = asked | {"authorization_details": json.dumps([{"type": "remit_tool", "tool": "orders/order_status"}])}
own = machine.fetch_token(server["token_endpoint"], grant_type="client_credentials", **mild)

# A person, by a pushed request: the library has no name for it, so its own client authentication is put on the form.
person = session(scope="workflow:refund", code_challenge_method="S256")
verifier = generate_token(64)
address, state = person.create_authorization_url(
    server["authorization_endpoint"],
    code_verifier=verifier,
    authorization_details=asked["authorization_details"],
)
pushed = person.request(
    "POST",
    server["pushed_authorization_request_endpoint"],
    data=dict(httpx2.URL(address).params),
    auth=person.client_auth(METHOD),
    withhold_token=True,
)
assert pushed.status_code == 201, pushed.text
request_uri = pushed.json()["request_uri"]
say({"open": str(httpx2.URL(server["authorization_endpoint"], params={"client_id": client_id, "request_uri": request_uri}))})
back = sys.stdin.readline().strip()
assert httpx2.URL(back).params["iss"] == issuer
theirs = person.fetch_token(
    server["token_endpoint"],
    authorization_response=back,
    state=state,
    code_verifier=verifier,
)

exchanged = session().fetch_token(
    server["token_endpoint"],
    grant_type=EXCHANGE,
    subject_token=subject,
    subject_token_type="urn:ietf:params:oauth:token-type:jwt",
)

# What joserfc makes of our tokens and keys.
keys = KeySet.import_key_set(httpx2.get(server["jwks_uri"]).json())
claims = jwt.JWTClaimsRegistry(
    iss={"essential": True, "value": issuer},
    aud={"essential": True, "value": f"{issuer}/mcp"},
    exp={"essential": True},
    iat={"essential": True},
    jti={"essential": True},
    client_id={"essential": True},
)


def read(token):
    read = jwt.decode(token["access_token"], keys, algorithms=["ES256"])
    claims.validate(read.claims)
    assert read.header["typ"] == "at+jwt", read.header
    assert keys.get_by_kid(read.header["kid"]).thumbprint() == read.header["kid"]
    return read.claims


def forged(token):
    """The same header and claims, with more in them, signed by somebody else under our key's name."""
    header, body, _ = token["access_token"].split(".")
    unpad = lambda part: json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    text = json.dumps(unpad(body) | {"authorization_details": []})
    return jws.serialize_compact(unpad(header), text, ECKey.generate_key("P-256"))


false = forged(own)
try:
    jwt.decode(false, keys, algorithms=["ES256"])
    raise AssertionError("a forged token passes")
except JoseError:
    pass

introspect = lambda token: machine.introspect_token(server["introspection_endpoint"], token=token).json()
before, of_forged = introspect(own["access_token"]), introspect(false)
revoked = machine.revoke_token(server["revocation_endpoint"], token=own["access_token"])
after = introspect(own["access_token"])
say(
    {
        "own": own | {"claims": read(own)},
        "person": theirs | {"claims": read(theirs)},
        "exchanged": exchanged | {"claims": read(exchanged)},
        "before": before,
        "of_forged": of_forged,
        "revoked": revoked.status_code,
        "after": after,
    }
)
