//! Arguments against the tool's own input schema (JSON Schema 2020-12 where it names no other).

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use crate::error::{ArgProblem, ArgsError};
use crate::limits::{
    ARG_ERROR_CHARS_MAX, ARG_ERRORS_MAX, PATTERN_BYTES_MAX, TOOL_SCHEMA_BYTES_MAX,
};

/// A compiled input schema, or why there is none.
pub(crate) type Compiled = Result<Validator, String>;

/// Compiles a schema. References are resolved within it only; patterns run in linear time, so that one with
/// look-around, which does not, makes the schema unusable rather than slow.
pub(crate) fn compile(schema: &Value) -> Compiled {
    let size = serde_json::to_vec(schema).map_or(usize::MAX, |bytes| bytes.len());
    if size > TOOL_SCHEMA_BYTES_MAX {
        return Err(format!("it is larger than {TOOL_SCHEMA_BYTES_MAX} bytes"));
    }
    let patterns = PatternOptions::regex()
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX);
    let mut options = jsonschema::options()
        .offline()
        .with_pattern_options(patterns);
    if schema.get("$schema").is_none() {
        options = options.with_draft(Draft::Draft202012);
    }
    options
        .build(schema)
        .map_err(|e| cut(&e.masked().to_string()))
}

/// # Errors
/// [`ArgsError`] with the first few arguments that do not fit; values are masked.
pub(crate) fn validate(compiled: &Compiled, args: &Value) -> Result<(), ArgsError> {
    let validator = compiled
        .as_ref()
        .map_err(|why| ArgsError::Schema(why.clone()))?;
    if !args.is_object() {
        let reason = "the arguments are not an object".to_owned();
        return Err(ArgsError::Arguments(vec![ArgProblem {
            path: String::new(),
            reason,
        }]));
    }
    if validator.is_valid(args) {
        return Ok(());
    }
    let problem = |e: jsonschema::ValidationError<'_>| ArgProblem {
        path: cut(e.instance_path().as_str()),
        reason: cut(&e.masked().to_string()),
    };
    Err(ArgsError::Arguments(
        validator
            .iter_errors(args)
            .take(ARG_ERRORS_MAX)
            .map(problem)
            .collect(),
    ))
}

fn cut(text: &str) -> String {
    text.chars().take(ARG_ERROR_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_argument_that_does_not_fit_is_named_and_its_value_is_not() {
        let schema = compile(
            &json!({ "type": "object", "properties": { "pin": { "type": "integer" } }, "required": ["pin"] }),
        );
        assert!(validate(&schema, &json!({ "pin": 1 })).is_ok());
        let error = validate(&schema, &json!({ "pin": "s3cret" }))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/pin") && !error.contains("s3cret"),
            "{error}"
        );
        assert!(validate(&schema, &json!([])).is_err());
    }

    #[test]
    fn a_schema_never_reaches_out_and_never_backtracks() {
        for bad in [
            json!({ "$ref": "https://example.com/schema.json" }),
            json!({ "$ref": "file:///etc/passwd" }),
            json!({ "type": "string", "pattern": "(?=a)b" }),
            json!({ "type": 7 }),
        ] {
            let schema = compile(&bad);
            assert!(
                matches!(validate(&schema, &json!({})), Err(ArgsError::Schema(_))),
                "{bad}"
            );
        }
    }
}
