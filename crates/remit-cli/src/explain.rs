//! What a kind of document holds, from the server's own JSON Schema.

use anyhow::anyhow;
use clap::Args;
use serde_json::Value;

use crate::connection::Connection;
use crate::exit::{Done, OK, Usage};
use crate::output::Out;
use crate::table::{Column, Show, column, texts};
use crate::value::{at, items, line, lines, plain, text};

/// What to explain.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  remit explain                       lists the kinds\n  remit explain agent\n  remit explain workflow.grants\n  remit explain agent -o json > agent.schema.json"
)]
pub struct Explain {
    /// Kind, and a field of it: workflow.grants; the kinds there are when left out
    path: Option<String>,
}

const KINDS: [Column; 2] = [
    column("KIND", Show::Text("kind")),
    column("WHAT", Show::Text("about")),
];

/// Most steps through references, which a schema could turn into a circle.
const STEPS_MAX: usize = 32;

/// Explains it.
pub(crate) async fn run(connection: &Connection, args: Explain) -> Done {
    let out = connection.out();
    let client = connection.client()?;
    let Some(path) = args.path else {
        let kinds = client.get(&["schemas"]).await?;
        let kinds = items(&kinds, "items");
        out.list(kinds, &KINDS, "kind", "There are no kinds.")?;
        return Ok(OK);
    };
    let (kind, fields) = path.split_once('.').unwrap_or((&path, ""));
    let kind = kind.to_ascii_lowercase();
    let schema = client.get(&["schemas", &format!("{kind}.json")]).await?;
    if fields.is_empty() {
        out.one(&schema, "title", || whole(out, &kind, &schema))?;
        return Ok(OK);
    }
    let fields: Vec<&str> = fields.split('.').filter(|f| *f != "spec").collect();
    let found = field(&schema, &fields)?;
    out.one(found, "title", || one(out, &path, &schema, found))?;
    Ok(OK)
}

/// What a schema refers to, in the end.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut found = schema;
    for _ in 0..STEPS_MAX {
        let Some(reference) = found.get("$ref").and_then(Value::as_str) else {
            break;
        };
        let Some(target) = reference
            .strip_prefix('#')
            .and_then(|pointer| root.pointer(pointer))
        else {
            break;
        };
        found = target;
    }
    // An optional field is a choice of its type and null.
    let choices = items(found, "anyOf");
    let real: Vec<&Value> = choices
        .iter()
        .filter(|c| text(c, "type") != "null")
        .collect();
    match real.as_slice() {
        [only] if choices.len() == 2 => resolved(root, only),
        _ => found,
    }
}

fn field<'a>(root: &'a Value, path: &[&str]) -> anyhow::Result<&'a Value> {
    let mut found = resolved(root, at(root, "properties.spec").unwrap_or(root));
    for name in path {
        found = inner(root, found);
        let known = members(root, found);
        let next = known.iter().find(|(known, _)| known == name);
        let (_, next) = next.ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
            anyhow!(Usage(if names.is_empty() {
                format!("there is no field `{name}`: nothing lies below this one")
            } else {
                format!(
                    "there is no field `{name}`; there are: {}",
                    names.join(", ")
                )
            }))
        })?;
        found = next;
        if path.last() != Some(name) {
            found = resolved(root, found);
        }
    }
    Ok(found)
}

/// What a list or a map holds, through all of them.
fn inner<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut found = resolved(root, schema);
    for _ in 0..STEPS_MAX {
        let next = found
            .get("items")
            .or_else(|| found.get("additionalProperties"))
            .filter(|s| s.is_object());
        let Some(next) = next else { break };
        found = resolved(root, next);
    }
    found
}

/// The fields of an object, and of every form it may take.
fn members<'a>(root: &'a Value, schema: &'a Value) -> Vec<(String, &'a Value)> {
    let own = |schema: &'a Value| schema.get("properties").and_then(Value::as_object);
    let forms = items(schema, "oneOf|anyOf")
        .iter()
        .map(|form| resolved(root, form));
    std::iter::once(schema)
        .chain(forms)
        .filter_map(own)
        .flatten()
        .map(|(name, field)| (name.clone(), field))
        .collect()
}

/// The form of a value, in short: `{ min: integer, max: integer }` for an object.
fn form(root: &Value, schema: &Value) -> String {
    let found = resolved(root, schema);
    match found.get("properties").and_then(Value::as_object) {
        Some(fields) if !fields.is_empty() => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, field)| format!("{name}: {}", kind_of(root, field)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        _ => kind_of(root, schema),
    }
}

fn whole(out: Out, kind: &str, schema: &Value) -> String {
    let spec = resolved(
        schema,
        at(schema, "properties.spec").unwrap_or(&Value::Null),
    );
    let names = at(schema, "properties.metadata.properties").and_then(Value::as_object);
    let names = names
        .map(|n| {
            n.keys()
                .map(|k| format!("{k}: …"))
                .collect::<Vec<_>>()
                .join(", ")
        })
        .unwrap_or_default();
    let head = format!(
        "apiVersion: remit.dev/v1\nkind: {}\nmetadata: {{ {names} }}\nspec:",
        text(schema, "title")
    );
    let fields = fields(out, schema, spec);
    let about = text(spec, "description");
    let tail = format!(
        "One field: remit explain {kind}.FIELD    Editors: remit explain {kind} -o json > {kind}.schema.json"
    );
    format!("{}\n\n{head}\n{fields}\n\n{tail}", lines(&about))
}

fn one(out: Out, path: &str, root: &Value, schema: &Value) -> String {
    let target = resolved(root, schema);
    let inner = inner(root, target);
    let about = text(schema, "description");
    let about = if about.is_empty() {
        text(target, "description")
    } else {
        about
    };
    let mut said = format!("{path}  {}\n\n{}", kind_of(root, schema), lines(&about));
    if inner.get("properties").is_some() {
        said.push_str(&format!("\n\n{}", fields(out, root, inner)));
    }
    let variants: Vec<Vec<String>> = items(inner, "oneOf|anyOf")
        .iter()
        .map(|variant| {
            let variant = resolved(root, variant);
            let fields = variant.get("properties").and_then(Value::as_object);
            let named = fields.map(|fields| {
                let each = fields
                    .iter()
                    .map(|(name, field)| format!("{name}: {}", form(root, field)));
                each.collect::<Vec<_>>().join(", ")
            });
            let named = named
                .or_else(|| at(variant, "const").map(plain))
                .unwrap_or_else(|| kind_of(root, variant));
            let about = text(variant, "description").replace('\n', " ");
            vec![format!("  {named}"), line(&about, 160)]
        })
        .collect();
    if !variants.is_empty() {
        said.push_str(&format!(
            "\n\n{}",
            texts(&["  ONE OF", "WHAT"], variants, out)
        ));
    }
    said
}

fn fields(out: Out, root: &Value, schema: &Value) -> String {
    let required: Vec<String> = items(schema, "required").iter().map(plain).collect();
    let Some(Value::Object(properties)) = schema.get("properties") else {
        return "  (nothing)".to_owned();
    };
    if properties.is_empty() {
        return "  {}".to_owned();
    }
    let rows = properties.iter().map(|(name, property)| {
        let needed = if required.contains(name) {
            "required"
        } else {
            ""
        };
        let about = text(property, "description");
        let about = if about.is_empty() {
            text(resolved(root, property), "description")
        } else {
            about
        };
        let first = about
            .split("\n\n")
            .next()
            .unwrap_or_default()
            .replace('\n', " ");
        vec![
            format!("  {name}"),
            kind_of(root, property),
            needed.to_owned(),
            first,
        ]
    });
    texts(&["  FIELD", "TYPE", "", "WHAT"], rows.collect(), out)
}

fn kind_of(root: &Value, schema: &Value) -> String {
    let found = resolved(root, schema);
    let words: Vec<String> = items(found, "enum")
        .iter()
        .chain(items(found, "oneOf").iter().filter_map(|o| o.get("const")))
        .map(plain)
        .collect();
    if !words.is_empty() {
        return words.join("|");
    }
    let named = at(found, "type").map(|t| match t {
        Value::Array(all) => all
            .iter()
            .map(plain)
            .filter(|t| t != "null")
            .collect::<Vec<_>>()
            .join("|"),
        other => plain(other),
    });
    match named.as_deref() {
        Some("array") => format!(
            "list of {}",
            found
                .get("items")
                .map(|i| kind_of(root, i))
                .unwrap_or_default()
        ),
        Some("object") => match found.get("additionalProperties").filter(|s| s.is_object()) {
            Some(each) => format!("map of name to {}", kind_of(root, each)),
            None => "object".to_owned(),
        },
        Some(kind) => kind.to_owned(),
        None if found.get("oneOf").is_some() => "one of several forms".to_owned(),
        None => "value".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::test::out;
    use serde_json::json;

    fn schema() -> Value {
        json!({
            "title": "Workflow",
            "properties": {"metadata": {"properties": {"agent": {"type": "string"}, "name": {"type": "string"}}}, "spec": {"$ref": "#/$defs/WorkflowSpec"}},
            "$defs": {
                "WorkflowSpec": {"type": "object", "description": "A workflow.", "required": ["grants"], "properties": {
                    "purpose": {"type": "string", "description": "What it is for."},
                    "grants": {"type": "array", "items": {"$ref": "#/$defs/GrantSpec"}, "description": "What it may call.\n\nMore."},
                    "mode": {"anyOf": [{"$ref": "#/$defs/Mode"}, {"type": "null"}]},
                }},
                "GrantSpec": {"type": "object", "properties": {"tool": {"type": "string", "description": "`upstream/tool`."}, "expires": {"type": ["string", "null"]}, "bounds": {"$ref": "#/$defs/Bounds"}}},
                "Bounds": {"type": "object", "description": "What arguments must keep.", "additionalProperties": {"type": "array", "items": {"$ref": "#/$defs/Bound"}}},
                "Bound": {"oneOf": [
                    {"type": "object", "required": ["one_of"], "properties": {"one_of": {"type": "array", "items": true}}, "description": "Equal to one of these."},
                    {"type": "object", "required": ["integer"], "properties": {"integer": {"type": "object", "properties": {"min": {"type": ["integer", "null"]}, "max": {"type": ["integer", "null"]}}}}, "description": "Within both ends."},
                ]},
                "Mode": {"type": "string", "enum": ["a", "b"]},
                "Circle": {"$ref": "#/$defs/Circle"},
            },
        })
    }

    #[test]
    fn a_kind_and_its_fields_are_explained() {
        insta::assert_snapshot!(whole(out(), "workflow", &schema()));
        let schema = schema();
        insta::assert_snapshot!(one(
            out(),
            "workflow.grants",
            &schema,
            field(&schema, &["grants"]).unwrap()
        ));
        assert!(field(&schema, &["grants", "expires"]).is_ok());
        let bounds = field(&schema, &["grants", "bounds"]).unwrap();
        insta::assert_snapshot!(one(out(), "workflow.grants.bounds", &schema, bounds));
        assert!(field(&schema, &["grants", "bounds", "integer", "min"]).is_ok());
        assert!(
            field(&schema, &["grants", "bounds", "regex"])
                .unwrap_err()
                .to_string()
                .contains("there are: one_of, integer")
        );
        assert!(
            field(&schema, &["nothing"])
                .unwrap_err()
                .to_string()
                .contains("purpose")
        );
    }

    #[test]
    fn a_circle_ends() {
        let schema = schema();
        assert_eq!(
            kind_of(&schema, &json!({"$ref": "#/$defs/Circle"})),
            "value"
        );
    }
}
