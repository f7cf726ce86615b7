//! `tools/list`: what the gateway lets this caller see, a page at a time.

use remit_gateway::ListRequest;
use remit_mcp::jsonrpc::code;
use remit_mcp::{ErrorObject, Method};
use serde_json::{Value, json};

use super::Turn;
use super::answer::{Reply, refused, result, rpc_error};
use crate::limits::{LIST_TTL_MS, TOOLS_PER_PAGE};

impl Turn {
    pub(super) async fn list_tools(&self) -> Reply {
        let cursor = self.incoming.message.params().and_then(|p| p.get("cursor"));
        let cursor = match cursor {
            None | Some(Value::Null) => None,
            Some(Value::String(cursor)) => Some(cursor.as_str()),
            Some(_) => return rpc_error(&self.incoming, no_page()),
        };
        let request = ListRequest {
            org: self.door.place.org().clone(),
            endpoint: self.door.endpoint.clone(),
            presented: self.presented.clone(),
            resource: self.door.resource.clone(),
        };
        let tools = match self.site.app.gateway.list_tools(request).await {
            Ok(tools) => tools,
            Err(refused_list) => return refused(&self.door, &self.incoming, &refused_list.refusal),
        };
        let tools = tools.into_iter().map(|t| (t.name, t.definition)).collect();
        match page(tools, cursor) {
            None => rpc_error(&self.incoming, no_page()),
            Some((tools, next)) => {
                let mut body = super::Object::new();
                body.insert("tools".to_owned(), Value::Array(tools));
                next.map(|next| body.insert("nextCursor".to_owned(), json!(next)));
                result(&self.incoming, Method::ToolsList, body, LIST_TTL_MS)
            }
        }
    }
}

fn no_page() -> ErrorObject {
    ErrorObject::new(
        code::INVALID_PARAMS,
        "`cursor` is not one that this list gave, begin without one",
    )
}

/// The page after the tool named by `cursor`, and where the next one begins. The cursor is a name that its caller was
/// shown: it says nothing new, and a tool that is gone meanwhile makes the client begin again.
fn page(tools: Vec<(String, Value)>, cursor: Option<&str>) -> Option<(Vec<Value>, Option<String>)> {
    let start = match cursor {
        None => 0,
        Some(cursor) => tools.iter().position(|(name, _)| name == cursor)? + 1,
    };
    let more = tools.len() > start + TOOLS_PER_PAGE;
    let shown: Vec<_> = tools.into_iter().skip(start).take(TOOLS_PER_PAGE).collect();
    let next = if more {
        shown.last().map(|(name, _)| name.clone())
    } else {
        None
    };
    Some((
        shown
            .into_iter()
            .map(|(_, definition)| definition)
            .collect(),
        next,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_every_tool_once() {
        let tools: Vec<_> = (0..TOOLS_PER_PAGE * 2 + 5)
            .map(|n| (format!("t{n}"), json!(n)))
            .collect();
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let (shown, next) = page(tools.clone(), cursor.as_deref()).unwrap();
            seen.extend(shown);
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(seen.len(), tools.len());
        assert_eq!(page(tools, Some("never shown")), None);
    }
}
