//! JSON text: the same answers as `JSON.parse`, the place of each fault, and no bytes that make the reader panic.

use proptest::prelude::*;

use super::*;

fn value(text: &str) -> Value {
    let parsed = parse(text.as_bytes());
    assert_eq!(parsed.fault, None, "{text}");
    match parsed.outside {
        Outside::Other => parsed.parts[0].value.clone(),
        Outside::Array => parsed.parts.into_iter().map(|part| part.value).collect::<Array>().into(),
        Outside::Object => {
            parsed.parts.into_iter().map(|part| (part.key, part.value)).collect::<Object>().into()
        }
    }
}

fn fault(text: &str) -> Fault {
    parse(text.as_bytes()).fault.expect(text)
}

#[test]
fn values_are_those_of_json_parse() {
    for (text, same) in [
        (" 1 ", "1"),
        ("\u{feff}[1]", "[1]"),
        ("-0", "-0.0"),
        ("1e2", "100.0"),
        ("1.50", "1.5"),
        ("9223372036854775808", "9223372036854775808"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("18446744073709551616", "1.8446744073709552e+19"),
        (r#"{"":{"__proto__":1},"a.b":[]}"#, r#"{"":{"__proto__":1},"a.b":[]}"#),
        (r#""\u00e4\ud83d\ude00\/\b\f""#, "\"ä😀/\\b\\f\""),
        (r#"[true,false,null,{}]"#, "[true,false,null,{}]"),
        (r#"{"b":1,"a":2,"b":3}"#, r#"{"a":2,"b":3}"#),
    ] {
        assert_eq!(value(text).to_string(), same, "{text}");
    }
}

#[test]
fn faults_have_line_and_column_and_a_reason() {
    for (text, line, column, what) in [
        ("{\n  \"a\": 1,\n  b: 2}", 3, 3, "key"),
        ("[1,]", 1, 4, "value"),
        ("[1 2]", 1, 4, "comma"),
        ("{\"ä\" 1}", 1, 6, "colon"),
        ("01", 1, 2, "follows"),
        ("[1.]", 1, 4, "digit"),
        ("[+1]", 1, 2, "value"),
        ("[NaN]", 1, 2, "value"),
        ("['a']", 1, 2, "value"),
        ("[\"a\tb\"]", 1, 4, "control"),
        (r#"["\x"]"#, 1, 4, "backslash"),
        (r#"["\u12g4"]"#, 1, 7, "hexadecimal"),
        ("{} {}", 1, 4, "follows"),
    ] {
        let fault = fault(text);
        assert_eq!((fault.line, fault.column), (line, column), "{text}: {fault:?}");
        assert!(fault.what.contains(what) && !fault.is_cut, "{text}: {fault:?}");
    }
    for text in ["", "  ", "{", "[1,", "\"a", "\"\\", "tru", "{\"a\":1", "\"\\u12"] {
        assert!(fault(text).is_cut, "{text}");
    }
}

#[test]
fn what_cannot_be_held_is_replaced_and_counted() {
    let parsed = parse(br#"["\ud800", "\udc00x", "\ud800\u0041", "\ud800\ud83d\ude00"]"#);
    assert_eq!(parsed.notes.surrogates, 4);
    let texts: Vec<_> = parsed.parts.iter().filter_map(|part| part.value.as_str()).collect();
    assert_eq!(texts, ["\u{fffd}", "\u{fffd}x", "\u{fffd}A", "\u{fffd}😀"]);

    let parsed = parse(b"[\"a\xff\xfeb\"]");
    assert_eq!((parsed.notes.bytes, parsed.parts[0].value.as_str()), (2, Some("a\u{fffd}\u{fffd}b")));

    let parsed = parse(b"[18446744073709551616,\n18446744073709551617, 1e400, 0.1]");
    let lines: Vec<_> = parsed.notes.inexact.iter().map(|noted| noted.line).collect();
    assert_eq!(lines, [2, 2], "2^64 is a float exactly: {:?}", parsed.notes.inexact);

    let parsed = parse(b"{\"a\":{\"k\":1,\n\"k\":2}}");
    assert_eq!(parsed.notes.twice[0].line, 2);
    assert_eq!(parsed.parts[0].value.to_string(), r#"{"k":2}"#);
}

#[test]
fn what_stands_before_a_cut_is_whole() {
    let text = br#"{"a": 1, "b": {"c": 2}, "list": [1, [2], {"x": "#;
    let parsed = parse(text);
    let keys: Vec<_> = parsed.parts.iter().map(|part| part.key.as_str()).collect();
    assert_eq!(keys, ["a", "b"]);
    let (key, elements) = parsed.broken.expect("a broken member");
    assert_eq!((key.as_str(), elements.len()), ("list", 2));
    assert!(parsed.fault.expect("a fault").is_cut);
}

#[test]
fn nesting_is_an_error_long_before_it_is_a_danger() {
    for open in ["[", "{\"a\":"] {
        let fault = fault(&open.repeat(1_000_000));
        assert!(fault.what.contains("deeper"), "{fault:?}");
        assert_eq!((fault.line, fault.offset), (1, open.len() * DOCUMENTS_DEPTH_MAX));
    }
    let deep = format!("{}{}", "[".repeat(DOCUMENTS_DEPTH_MAX), "]".repeat(DOCUMENTS_DEPTH_MAX));
    assert_eq!(value(&deep).depth(), DOCUMENTS_DEPTH_MAX);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let parsed = parse(&bytes);
        prop_assert!(parsed.end <= bytes.len());
    }

    #[test]
    fn it_agrees_with_the_parser_of_serde(text in r#"[\[\]{}:,"a\\u0d8e1\-. tfn]{0,24}"#) {
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        let ours = parse(text.as_bytes());
        // What only we read: halves of pairs, and numbers beyond all floats.
        let only_ours = ours.notes.surrogates > 0 || ours.notes.inexact_count > 0;
        if !only_ours {
            prop_assert_eq!(ours.fault.is_none(), theirs.is_ok(), "{:?} {:?}", ours.fault, theirs);
        }
        if let (None, Ok(theirs)) = (&ours.fault, theirs) {
            prop_assert_eq!(value(&text), Value::of(&theirs).expect("JSON"));
        }
    }
}
