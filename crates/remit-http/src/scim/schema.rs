//! What the interface says about itself (RFC 7643 sections 5 to 7).

use serde_json::{Value, json};

use super::resource::Kind;

/// Most resources on a page.
pub(super) const PAGE_MAX: usize = 200;

fn attribute(name: &str, kind: &str, more: Value) -> Value {
    let mut made = json!({ "name": name, "type": kind, "multiValued": false, "required": false, "caseExact": false,
        "mutability": "readWrite", "returned": "default", "uniqueness": "none", "description": name });
    if let (Value::Object(made), Value::Object(more)) = (&mut made, more) {
        made.extend(more);
    }
    made
}

fn list(name: &str, mutability: &str, target: &str) -> Value {
    let part = |name: &str, kind: &str, more: Value| attribute(name, kind, more);
    let mut parts = vec![
        part(
            "value",
            "string",
            json!({ "mutability": "immutable", "caseExact": true }),
        ),
        part(
            "$ref",
            "reference",
            json!({ "mutability": "immutable", "caseExact": true, "referenceTypes": [target] }),
        ),
    ];
    if mutability != "readWrite" {
        let display = json!({ "mutability": "readOnly" });
        parts.push(part("display", "string", display));
    }
    attribute(
        name,
        "complex",
        json!({ "multiValued": true, "mutability": mutability, "subAttributes": parts }),
    )
}

fn attributes(kind: Kind) -> Vec<Value> {
    let external = attribute("externalId", "string", json!({ "caseExact": true }));
    let name = |name: &str, about: &str, mutability: &str| {
        attribute(
            name,
            "string",
            json!({ "required": true, "mutability": mutability, "uniqueness": "server", "description": about }),
        )
    };
    match kind {
        Kind::User => {
            let email = [
                attribute("value", "string", json!({ "mutability": "readOnly" })),
                attribute("type", "string", json!({ "mutability": "readOnly" })),
                attribute("primary", "boolean", json!({ "mutability": "readOnly" })),
            ];
            let role = [attribute(
                "value",
                "string",
                json!({ "mutability": "readOnly" }),
            )];
            let read = |parts: &[Value]| json!({ "multiValued": true, "mutability": "readOnly", "subAttributes": parts });
            vec![
                name(
                    "userName",
                    "The person's e-mail address. It never changes.",
                    "immutable",
                ),
                attribute("displayName", "string", json!({})),
                attribute(
                    "active",
                    "boolean",
                    json!({ "description": "Not active is departure, for good." }),
                ),
                external,
                attribute("emails", "complex", read(&email)),
                attribute("roles", "complex", read(&role)),
                list("groups", "readOnly", "Group"),
            ]
        }
        Kind::Group => vec![
            name("displayName", "What the group is mapped by.", "readWrite"),
            external,
            list("members", "readWrite", "User"),
        ],
        Kind::Agent => vec![
            name(
                "agentUserName",
                "The agent's name. It never changes.",
                "immutable",
            ),
            attribute("displayName", "string", json!({ "mutability": "readOnly" })),
            attribute(
                "description",
                "string",
                json!({ "mutability": "immutable", "description": "What it is for." }),
            ),
            attribute(
                "active",
                "boolean",
                json!({ "description": "False stops the agent; people activate it." }),
            ),
            list("owners", "immutable", "User"),
        ],
    }
}

/// One schema.
pub(super) fn schema(base: &str, kind: Kind) -> Value {
    let id = kind.schema();
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": id, "name": kind.word(),
        "description": kind.word(), "attributes": attributes(kind),
        "meta": { "resourceType": "Schema", "location": format!("{base}/Schemas/{id}") } })
}

/// One resource type.
pub(super) fn resource_type(base: &str, kind: Kind) -> Value {
    let word = kind.word();
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"], "id": word, "name": word,
        "endpoint": format!("/{}", kind.endpoint()), "description": word, "schema": kind.schema(),
        "meta": { "resourceType": "ResourceType", "location": format!("{base}/ResourceTypes/{word}") } })
}

/// What is supported.
pub(super) fn provider(base: &str) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": { "supported": true },
        "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
        "filter": { "supported": true, "maxResults": PAGE_MAX },
        "changePassword": { "supported": false },
        "sort": { "supported": false },
        "etag": { "supported": true },
        "authenticationSchemes": [{ "type": "oauthbearertoken", "name": "Bearer token",
            "description": "A token that an administrator makes with `remit scim token`" }],
        "meta": { "resourceType": "ServiceProviderConfig", "location": format!("{base}/ServiceProviderConfig") } })
}
