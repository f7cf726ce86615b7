//! What a kind of document holds, from the server's own JSON Schema.

use anyhow::anyhow;
use clap::Args;
use serde_json::Value;

use crate::connection::Connection;
use crate::exit::{Done, OK, Usage};
use crate::output::Out;
use crate::table::texts;
use crate::value::{at, items, line, lines, plain, text};

/// What to explain.
#[derive(Debug, Args)]
#[command(
    after_help = "Kinds: organization, team, person, system, upstream, tool, agent, workflow, policyset\n\nExamples:\n  remit explain agent\n  remit explain workflow.grants\n  remit explain agent -o json > agent.schema.json"
)]
pub struct Explain {
    /// Kind, and a field of it: workflow.grants
    path: String,
}

/// Most steps through references, which a schema could turn into a circle.
const STEPS_MAX: usize = 32;

/// Explains it.
pub(crate) async fn run(connection: &Connection, args: Explain) -> Done {
    let out = connection.out();
    let (kind, fields) = args.path.split_once('.').unwrap_or((&args.path, ""));
    let kind = kind.to_ascii_lowercase();
    let schema = connection
        .client()?
        .get(&["schemas", &format!("{kind}.json")])
        .await?;
    if fields.is_empty() {
        out.one(&schema, "title", || whole(out, &kind, &schema))?;
        return Ok(OK);
    }
    let fields: Vec<&str> = fields.split('.').filter(|f| *f != "spec").collect();
    let found = field(&schema, &fields)?;
    out.one(found, "title", || one(out, &args.path, &schema, found))?;
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
        if let Some(inner) = found.get("items") {
            found = resolved(root, inner);
        }
        let next = found.get("properties").and_then(|p| p.get(name));
        let known = || {
            found
                .get("properties")
                .and_then(Value::as_object)
                .map(|p| p.keys().cloned().collect::<Vec<_>>().join(", "))
        };
        found = next.ok_or_else(|| {
            anyhow!(Usage(format!(
                "there is no field `{name}`; there are: {}",
                known().unwrap_or_default()
            )))
        })?;
        if path.last() != Some(name) {
            found = resolved(root, found);
        }
    }
    Ok(found)
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
    let inner = target
        .get("items")
        .map(|i| resolved(root, i))
        .unwrap_or(target);
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
    for variant in items(inner, "oneOf|anyOf") {
        let variant = resolved(root, variant);
        let names = variant
            .get("properties")
            .and_then(Value::as_object)
            .map(|p| p.keys().cloned().collect::<Vec<_>>().join(", "));
        let named = names
            .or_else(|| at(variant, "const").map(plain))
            .unwrap_or_else(|| kind_of(root, variant));
        said.push_str(&format!(
            "\n  one of: {named}  {}",
            line(&text(variant, "description"), 120)
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
        Some(kind) => kind.to_owned(),
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
                "GrantSpec": {"type": "object", "properties": {"tool": {"type": "string", "description": "`upstream/tool`."}, "expires": {"type": ["string", "null"]}}},
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
