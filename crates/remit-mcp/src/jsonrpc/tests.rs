use super::*;

fn parse(text: &str) -> Result<Message, MessageError> {
    Message::parse(text.as_bytes())
}

fn fault(text: &str) -> MessageFault {
    parse(text).expect_err("must be refused").fault
}

#[test]
fn the_four_shapes_round_trip() {
    for text in [
        r#"{"id":1,"jsonrpc":"2.0","method":"tools/list"}"#,
        r#"{"id":"a","jsonrpc":"2.0","method":"tools/call","params":{"name":"x"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"id":-9007199254740991,"jsonrpc":"2.0","result":{"ok":true}}"#,
        r#"{"error":{"code":-32600,"data":[1],"message":"no"},"jsonrpc":"2.0"}"#,
        r#"{"error":{"code":-32600,"message":"no"},"id":"x","jsonrpc":"2.0"}"#,
    ] {
        let message = parse(text).unwrap();
        let bytes = message.clone().into_bytes();
        assert_eq!(Message::parse(&bytes).unwrap(), message);
        let (sent, read): (Value, Value) = (
            serde_json::from_slice(&bytes).unwrap(),
            serde_json::from_str(text).unwrap(),
        );
        assert_eq!(sent, read);
    }
}

#[test]
fn unknown_members_are_dropped_and_null_params_are_absent() {
    let message =
        parse(r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null,"Method":"x"}"#).unwrap();
    assert_eq!(message, Message::request(Id::Number(1), "ping", None));
}

#[test]
fn wrong_shapes_are_refused() {
    assert!(matches!(fault("[]"), MessageFault::Batch));
    assert!(matches!(
        fault(r#"[{"jsonrpc":"2.0","id":1,"method":"a"}]"#),
        MessageFault::Batch
    ));
    assert!(matches!(fault("7"), MessageFault::NotAnObject));
    for text in [
        r#"{"id":1,"method":"a"}"#,
        r#"{"jsonrpc":2.0,"method":"a"}"#,
        r#"{"jsonrpc":"1.0","method":"a"}"#,
    ] {
        assert!(matches!(fault(text), MessageFault::Version), "{text}");
    }
    for text in [
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#,
    ] {
        assert!(matches!(fault(text), MessageFault::Shape), "{text}");
    }
    assert!(matches!(
        fault(r#"{"jsonrpc":"2.0","id":1,"method":"a","params":[1]}"#),
        MessageFault::Params
    ));
    assert!(matches!(
        fault(r#"{"jsonrpc":"2.0","id":1,"result":[]}"#),
        MessageFault::Result
    ));
    assert!(matches!(
        fault(r#"{"jsonrpc":"2.0","id":1,"error":{"code":"x","message":""}}"#),
        MessageFault::Error
    ));
}

#[test]
fn ids_are_strings_or_safe_integers() {
    for id in [
        "null",
        "1.0",
        "1.5",
        "9007199254740992",
        "-9007199254740992",
        "true",
        "{}",
        "1e3",
    ] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"a"}}"#);
        assert!(matches!(fault(&text), MessageFault::Id), "{id}");
    }
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":"{}","method":"a"}}"#,
        "x".repeat(257)
    );
    assert!(matches!(fault(&long), MessageFault::Id));
}

#[test]
fn methods_are_short_and_visible() {
    for method in [
        "",
        "tools/ call",
        "tools/c\u{430}ll",
        "a\\u0000",
        &"m".repeat(129),
    ] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
        assert!(matches!(fault(&text), MessageFault::Method), "{method}");
    }
}

#[test]
fn the_answer_names_the_request_where_it_could_be_read() {
    let error = parse(r#"{"jsonrpc":"1.0","id":7,"method":"a"}"#).unwrap_err();
    let Message::Error { id, error } = error.to_message() else {
        panic!()
    };
    assert_eq!(
        (id, error.code),
        (Some(Id::Number(7)), code::INVALID_REQUEST)
    );
    let error = parse(r#"{"jsonrpc":"2.0","id":7,"id":8,"method":"a"}"#).unwrap_err();
    let Message::Error { id, error } = error.to_message() else {
        panic!()
    };
    assert_eq!((id, error.code), (None, code::PARSE_ERROR));
    assert!(
        error.message.contains("duplicate key at `/id`"),
        "{}",
        error.message
    );
}
