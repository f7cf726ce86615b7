"""Runs scim2-tester against a SCIM server, as `scim_check.py URL TOKEN`, and prints what it found as JSON.

Two values are not left to chance, because no schema can say them: people are named by an e-mail address, and `active` is
true, because whoever is not active has left for good.
"""

import json
import sys
import uuid

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import check_server
from scim2_tester import filling
from scim2_tester.checkers import patch_add, patch_replace

by_chance = filling.generate_random_value


def value(context, path, mutability=None, required=None):
    found = by_chance(context, path=path, mutability=mutability, required=required)
    name = str(path).rsplit(":", 1)[-1]
    if found is None:
        return None
    if name == "userName":
        return f"{uuid.uuid4()}@acme.example"
    if name == "active":
        return True
    return found


for module in (filling, patch_add, patch_replace):
    module.generate_random_value = value

url, token = sys.argv[1:]
http = httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
client = SyncSCIMClient(http)
results = check_server(client, resource_types=["User", "Group"])
print(
    json.dumps(
        [
            {
                "status": result.status.name,
                "title": result.title,
                "of": result.resource_type,
                "reason": str(result.reason),
            }
            for result in results
        ]
    )
)
