"""A workload in Python: `spiffe_check.py SOCKET AUDIENCE` fetches its SVIDs from the Workload API, checks them by the bundles
that it gives out, and prints them as JSON. What is refused ends it with the client's own error.

gRPC's C core names the percent-encoded path of the socket as the authority of its requests, which HTTP/2 libraries refuse as
malformed; the client has no option for it, so it is set where it makes its channel.
"""

import json
import sys

import grpc

unsure = grpc.insecure_channel
grpc.insecure_channel = lambda target: unsure(
    target, options=[("grpc.default_authority", "localhost")]
)

from spiffe import SpiffeId, TrustDomain, WorkloadApiClient  # noqa: E402
from spiffe.svid.jwt_svid import JwtSvid  # noqa: E402

socket, audience = sys.argv[1:]
with WorkloadApiClient(socket) as client:
    x509 = client.fetch_x509_svid()
    domain = TrustDomain(str(x509.spiffe_id.trust_domain))
    authorities = client.fetch_x509_bundles().get_bundle_for_trust_domain(domain).x509_authorities
    leaf = x509.leaf
    signers = [a for a in authorities if a.subject == leaf.issuer]
    leaf.verify_directly_issued_by(signers[0])
    jwt = client.fetch_jwt_svid(audience={audience})
    bundle = client.fetch_jwt_bundles().get_bundle_for_trust_domain(domain)
    JwtSvid.parse_and_validate(jwt.token, bundle, {audience})
    checked = client.validate_jwt_svid(jwt.token, audience)
    assert checked.spiffe_id == jwt.spiffe_id == x509.spiffe_id
    # A token is single use where it proves a client: this one was not used for that.
    fresh = client.fetch_jwt_svid(audience={audience})
    print(json.dumps({"id": str(SpiffeId(str(x509.spiffe_id))), "token": fresh.token}))
