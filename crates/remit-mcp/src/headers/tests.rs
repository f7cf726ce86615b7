use serde_json::json;

use super::*;
use crate::jsonrpc::code;

fn headers(pairs: &[(&str, &str)]) -> McpHeaders {
    McpHeaders::collect(pairs.iter().map(|(n, v)| (*n, v.as_bytes()))).unwrap()
}

fn request(method: &str, params: Value) -> Message {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    Message::parse(body.to_string().as_bytes()).unwrap()
}

fn call(name: &str, version: &str) -> Message {
    request(
        "tools/call",
        json!({"name": name, "arguments": {}, "_meta": {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {},
        }}),
    )
}

const MODERN: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
const CALL: (&str, &str) = ("Mcp-Method", "tools/call");

fn check(pairs: &[(&str, &str)], message: &Message) -> Result<Revision, HeaderError> {
    let headers = headers(pairs);
    let revision = detect(&headers, message)?;
    agree(revision, &headers, message).map(|()| revision)
}

#[test]
fn an_agreeing_request_passes() {
    let message = call("deploy", "2026-07-28");
    assert_eq!(
        check(&[MODERN, CALL, ("MCP-NAME", "deploy")], &message),
        Ok(Revision::R20260728)
    );
    assert_eq!(
        check(
            &[MODERN, CALL, ("Mcp-Name", "=?base64?ZGVwbG95?=")],
            &message
        ),
        Ok(Revision::R20260728)
    );
    let foreign = call("déploy", "2026-07-28");
    assert_eq!(
        check(
            &[MODERN, CALL, ("Mcp-Name", &encode_value("déploy"))],
            &foreign
        ),
        Ok(Revision::R20260728)
    );
}

#[test]
fn every_disagreement_is_a_header_mismatch() {
    let message = call("deploy", "2026-07-28");
    let name = ("Mcp-Name", "deploy");
    for pairs in [
        vec![CALL, name],
        vec![MODERN, name],
        vec![MODERN, CALL],
        vec![MODERN, ("Mcp-Method", "tools/list"), name],
        vec![MODERN, ("Mcp-Method", "Tools/Call"), name],
        vec![MODERN, CALL, ("Mcp-Name", "read")],
        vec![MODERN, CALL, ("Mcp-Name", "DEPLOY")],
        vec![MODERN, CALL, ("Mcp-Name", "=?base64?cmVhZA==?=")],
        vec![MODERN, CALL, ("Mcp-Name", "=?base64?!!?=")],
        vec![("Mcp-Protocol-Version", "2025-11-25"), CALL, name],
        vec![("Mcp-Protocol-Version", "1900-01-01"), CALL, name],
    ] {
        let error = check(&pairs, &message).expect_err("must be refused");
        assert_eq!(
            error.to_error().code,
            code::HEADER_MISMATCH,
            "{pairs:?}: {error}"
        );
    }
}

#[test]
fn repeated_or_unclean_headers_are_refused() {
    let collect = |pairs: &[(&str, &[u8])]| McpHeaders::collect(pairs.iter().copied());
    let repeated = collect(&[("Mcp-Method", b"tools/call"), ("mcp-method", b"tools/list")]);
    assert!(matches!(repeated, Err(HeaderError::Repeated { .. })));
    let repeated = collect(&[("Mcp-Param-A", b"1"), ("MCP-PARAM-a", b"1")]);
    assert!(matches!(repeated, Err(HeaderError::Repeated { .. })));
    for value in [
        &b"a\xff"[..],
        b"a\0",
        b"a\x7f",
        "tools/c\u{430}ll".as_bytes(),
        &[b'a'; 9000],
    ] {
        assert!(matches!(
            collect(&[("Mcp-Name", value)]),
            Err(HeaderError::Malformed { .. })
        ));
    }
    let many: Vec<String> = (0..65).map(|n| format!("mcp-param-{n}")).collect();
    let many = McpHeaders::collect(many.iter().map(|name| (name.as_str(), &b"1"[..])));
    assert!(matches!(many, Err(HeaderError::Malformed { .. })));
}

#[test]
fn unsupported_versions_list_the_supported_ones() {
    let message = call("deploy", "1900-01-01");
    let error = check(&[("MCP-Protocol-Version", "1900-01-01"), CALL], &message)
        .unwrap_err()
        .to_error();
    assert_eq!(error.code, code::UNSUPPORTED_PROTOCOL_VERSION);
    assert_eq!(
        error.data,
        Some(json!({"supported": ["2026-07-28", "2025-11-25"], "requested": "1900-01-01"}))
    );
}

#[test]
fn required_meta_is_invalid_params() {
    for params in [
        json!({"name": "deploy"}),
        json!({"name": "deploy", "_meta": {}}),
        json!({"name": "deploy", "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}),
        json!({"name": "deploy", "_meta": {"io.modelcontextprotocol/protocolVersion": 1}}),
    ] {
        let error = check(
            &[MODERN, CALL, ("Mcp-Name", "deploy")],
            &request("tools/call", params),
        )
        .unwrap_err();
        assert_eq!(error.code(), code::INVALID_PARAMS, "{error}");
    }
}

#[test]
fn the_stateful_era_is_found_by_initialize_header_or_session() {
    let initialize = request("initialize", json!({"protocolVersion": "2025-11-25"}));
    assert_eq!(check(&[], &initialize), Ok(Revision::R20251125));
    assert_eq!(
        check(&[("MCP-Protocol-Version", "2025-06-18")], &initialize),
        Ok(Revision::R20251125)
    );
    assert!(check(&[MODERN], &initialize).is_err());
    let list = request("tools/list", json!({}));
    assert_eq!(
        check(&[("MCP-Protocol-Version", "2025-11-25")], &list),
        Ok(Revision::R20251125)
    );
    assert_eq!(
        check(&[("Mcp-Session-Id", "s")], &list),
        Ok(Revision::R20251125)
    );
    assert!(matches!(
        check(&[], &list),
        Err(HeaderError::Missing { .. })
    ));
    assert!(matches!(
        check(&[("MCP-Protocol-Version", "2025-06-18")], &list),
        Err(HeaderError::UnsupportedVersion { .. })
    ));
    assert_eq!(detect_stdio(&initialize), Ok(Some(Revision::R20251125)));
    assert_eq!(detect_stdio(&list), Ok(None));
    assert_eq!(
        detect_stdio(&call("x", "2026-07-28")),
        Ok(Some(Revision::R20260728))
    );
    assert!(detect_stdio(&call("x", "2027-01-01")).is_err());
}

#[test]
fn a_session_header_does_not_make_a_modern_request_old() {
    // Otherwise an attacker drops the version header to skip the comparison.
    let message = call("deploy", "2026-07-28");
    let lie = [("Mcp-Session-Id", "s"), CALL, ("Mcp-Name", "read")];
    assert!(matches!(
        check(&lie, &message),
        Err(HeaderError::Missing { .. })
    ));
}

#[test]
fn an_older_version_is_no_way_around_the_comparison() {
    let old = ("MCP-Protocol-Version", "2025-11-25");
    let message = request("tools/call", json!({"name": "deploy"}));
    assert_eq!(check(&[old], &message), Ok(Revision::R20251125));
    assert_eq!(
        check(&[old, CALL, ("Mcp-Name", "deploy")], &message),
        Ok(Revision::R20251125)
    );
    for lie in [("Mcp-Method", "tools/list"), ("Mcp-Name", "read")] {
        assert!(
            matches!(
                check(&[old, lie], &message),
                Err(HeaderError::Mismatch { .. })
            ),
            "{lie:?}"
        );
    }
    let answer = Message::Response {
        id: crate::Id::Number(1),
        result: JsonObject::new(),
    };
    assert_eq!(check(&[old], &answer), Ok(Revision::R20251125));
}

#[test]
fn names_without_a_source_must_be_true_and_responses_are_not_accepted() {
    let list = request(
        "tools/list",
        json!({"_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }}),
    );
    let method = ("Mcp-Method", "tools/list");
    assert_eq!(check(&[MODERN, method], &list), Ok(Revision::R20260728));
    assert!(matches!(
        check(&[MODERN, method, ("Mcp-Name", "deploy")], &list),
        Err(HeaderError::Unexpected { .. })
    ));
    let response = Message::Response {
        id: crate::Id::Number(1),
        result: JsonObject::new(),
    };
    assert_eq!(
        check(&[MODERN], &response),
        Err(HeaderError::ResponseNotAccepted)
    );
    let note = Message::notification("notifications/cancelled", None);
    assert_eq!(check(&[MODERN], &note), Ok(Revision::R20260728));
    assert!(check(&[MODERN, ("Mcp-Method", "tools/call")], &note).is_err());
}

fn region_schema() -> ParamHeaders {
    let schema = json!({"type": "object", "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "n": {"type": "integer", "x-mcp-header": "N"},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
    }});
    ParamHeaders::of_schema(schema.as_object().unwrap()).unwrap()
}

#[test]
fn mirrored_arguments_must_agree() {
    let arguments = |value: Value| CanonicalArgs::from_value(value).unwrap();
    let check = |pairs: &[(&str, &str)], args: Value| {
        agree_params(&headers(pairs), &region_schema(), &arguments(args))
    };
    let good = [
        ("mcp-param-region", "eu"),
        ("Mcp-Param-N", "42.0"),
        ("Mcp-Param-Dry", "true"),
        ("Mcp-Param-X", "?"),
    ];
    assert_eq!(
        check(&good, json!({"region": "eu", "n": 42, "dry": true})),
        Ok(())
    );
    assert_eq!(check(&[], json!({"region": null})), Ok(()));
    assert_eq!(
        check(
            &[("Mcp-Param-Region", "=?base64?5Lit?=")],
            json!({"region": "中"})
        ),
        Ok(())
    );
    assert!(matches!(
        check(&[], json!({"region": "eu"})),
        Err(HeaderError::Missing { .. })
    ));
    for args in [json!({}), json!({"region": null})] {
        assert!(matches!(
            check(&[("Mcp-Param-Region", "eu")], args),
            Err(HeaderError::Unexpected { .. })
        ));
    }
    for (pairs, args) in [
        ([("Mcp-Param-Region", "us")], json!({"region": "eu"})),
        ([("Mcp-Param-N", "41")], json!({"n": 42})),
        ([("Mcp-Param-Dry", "1")], json!({"dry": true})),
        ([("Mcp-Param-Region", "eu")], json!({"region": {"a": "eu"}})),
    ] {
        assert!(matches!(
            check(&pairs, args),
            Err(HeaderError::Mismatch { .. })
        ));
    }
    assert!(matches!(
        check(
            &[("Mcp-Param-Region", "=?base64?%%?=")],
            json!({"region": "eu"})
        ),
        Err(HeaderError::Malformed { .. })
    ));
}

#[test]
fn derived_headers_agree_with_the_body_they_came_from() {
    let params = json!({"name": "dé ploy", "arguments": {"region": " eu", "n": 7, "dry": false}, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }});
    let derived = derive(
        Revision::R20260728,
        Method::ToolsCall,
        params.as_object().unwrap(),
        Some(&region_schema()),
    );
    let pairs: Vec<_> = derived
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let message = request("tools/call", params.clone());
    assert_eq!(check(&pairs, &message), Ok(Revision::R20260728));
    let arguments = CanonicalArgs::from_value(params["arguments"].clone()).unwrap();
    assert_eq!(
        agree_params(&headers(&pairs), &region_schema(), &arguments),
        Ok(())
    );
    assert_eq!(pairs.len(), 6);
    let old = derive(
        Revision::R20251125,
        Method::ToolsCall,
        params.as_object().unwrap(),
        None,
    );
    assert_eq!(
        old,
        [("MCP-Protocol-Version".to_owned(), "2025-11-25".to_owned())]
    );
}
