use std::sync::OnceLock;

use proptest::prelude::*;
use sonic_rs::{JsonContainerTrait, JsonValueTrait};

use super::*;
use crate::decode::fault::NESTING_LEVELS_MAX;
use crate::record::Record;
use crate::testing::fixtures;

fn read<T>(bytes: &[u8], look: impl FnOnce(Value<'_>) -> T) -> Result<T, RecordFault> {
    let mut scratch = Scratch::default();
    let text = parse(bytes, "value", &mut scratch)?;
    Ok(look(Document::new(text, &scratch).root()))
}

fn is_read(bytes: &[u8]) -> bool {
    read(bytes, |_| ()).is_ok()
}

// Goal: depth is refused, breadth and brackets in strings are not. Method: documents on both sides of the limit.
#[test]
fn depth_is_limited() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(is_read(nested(NESTING_LEVELS_MAX).as_bytes()));
    for levels in [NESTING_LEVELS_MAX + 1, 10_000] {
        let fault = read(nested(levels).as_bytes(), |_| ());
        assert_eq!(fault, Err(RecordFault::TooDeep { part: "value" }));
    }
    assert!(is_read(format!("\"{}\"", "[\\\"".repeat(10_000)).as_bytes()));
    assert!(is_read(format!("[{}1]", "[],".repeat(10_000)).as_bytes()));
}

// Goal: what is no JSON is told apart. Method: broken documents.
#[test]
fn broken_documents() {
    let broken = [
        &b""[..],
        b" ",
        b"{",
        b"{\"a\":NaN}",
        b"{\"a\":\"\xff\"}",
        b"1 2",
        b"nul",
        b"nullx",
        b"01",
        b"-",
        b"1.",
        b".5",
        b"1e",
        b"1e400",
        b"-1e999",
        b"+1",
        b"[1,]",
        b"[1}",
        b"{\"a\":1,}",
        b"{\"a\" 1}",
        b"{a:1}",
        b"{\"a\":1]",
        b"\"\t\"",
        b"\"\\x\"",
        b"\"\\ud800\"",
        b"\"\\udc00\"",
        b"\"\\ud800\\u0041\"",
        b"\"\\u12\"",
        b"\"abcdefgh",
        b"\"abcdefg\\",
    ];
    for bytes in broken {
        let fault = read(bytes, |_| ());
        assert!(matches!(fault, Err(RecordFault::NotJson { .. })), "{bytes:?}");
        assert!(sonic_rs::from_slice::<sonic_rs::Value>(bytes).is_err(), "{bytes:?}");
    }
    let large = vec![b' '; RECORD_BYTES_MAX + 1];
    let fault = read(&large, |_| ());
    assert!(matches!(fault, Err(RecordFault::TooLarge { .. })));
}

// Goal: a message tells the place and nothing of the document. Method: a document with a secret.
#[test]
fn a_message_tells_the_place() {
    let fault = read(br#"{"secret":"x" "#, |_| ());
    let detail = "neither a comma nor the end of an object at byte 14".to_owned();
    assert_eq!(fault, Err(RecordFault::NotJson { part: "value", detail }));
}

// Goal: numbers at the edges of 64 bits, and such that are written oddly, keep value and text. Method: a table.
#[test]
fn numbers_at_the_edges() {
    let cases = [
        ("9223372036854775807", Some(i64::MAX), Some(i64::MAX as u64)),
        ("-9223372036854775808", Some(i64::MIN), None),
        ("9223372036854775808", None, Some(1 << 63)),
        ("-9223372036854775809", None, None),
        ("18446744073709551615", None, Some(u64::MAX)),
        ("18446744073709551616", None, None),
        ("1.50", None, None),
        ("1e2", None, None),
        ("0", Some(0), Some(0)),
        ("-0", None, None),
        ("-0.0", None, None),
        (
            "123456789012345678",
            Some(123_456_789_012_345_678),
            Some(123_456_789_012_345_678),
        ),
    ];
    for (text, signed, unsigned) in cases {
        let same = read(text.as_bytes(), |value| {
            let mut written = Vec::new();
            value.write(&mut written).expect("memory");
            assert_eq!(String::from_utf8_lossy(&written), text);
            assert_eq!((value.as_i64(), value.as_u64()), (signed, unsigned), "{text}");
            assert_eq!(value.as_f64(), text.parse().ok(), "{text}");
        });
        assert_eq!(same, Ok(()));
    }
}

// Goal: memory of a large record is given back, that of a usual one is used again. Method: its capacity after each.
#[test]
fn memory_is_bounded() {
    let mut scratch = Scratch::default();
    let large = format!("[{}1]", "1,".repeat(100_000));
    parse(large.as_bytes(), "value", &mut scratch).expect("JSON");
    scratch.shrink();
    assert_eq!(scratch.tokens.capacity(), 0);
    parse(b"[1]", "value", &mut scratch).expect("JSON");
    scratch.shrink();
    assert!(scratch.tokens.capacity() > 0);
}

/// Whether both say the same of a document and everything in it.
fn agrees(ours: Value<'_>, theirs: &sonic_rs::Value) -> bool {
    let scalar = ours.is_null() == theirs.is_null()
        && ours.as_bool() == theirs.as_bool()
        && ours.as_i64() == theirs.as_i64()
        && ours.as_u64() == theirs.as_u64()
        && ours.as_f64() == theirs.as_f64()
        && ours.is_float() == theirs.is_f64()
        && ours.as_str() == theirs.as_str();
    let array = match (ours.as_array(), theirs.as_array()) {
        (None, None) => true,
        (Some(ours), Some(theirs)) => {
            ours.clone().count() == theirs.len() && ours.zip(theirs.iter()).all(|(ours, theirs)| agrees(ours, theirs))
        }
        _ => false,
    };
    let object = match (ours.as_object(), theirs.as_object()) {
        (None, None) => true,
        (Some(ours), Some(theirs)) => {
            ours.len() == theirs.len()
                && ours
                    .iter()
                    .zip(theirs.iter())
                    .all(|(ours, theirs)| ours.0 == theirs.0 && agrees(ours.1, theirs.1))
        }
        _ => false,
    };
    scalar && array && object
}

/// Our reading and two others' of the same bytes.
fn compare(bytes: &[u8]) -> Result<(), TestCaseError> {
    let theirs = sonic_rs::from_slice::<sonic_rs::Value>(bytes);
    let strict = serde_json::from_slice::<serde_json::Value>(bytes);
    let shown = String::from_utf8_lossy(bytes);
    let ours = read(bytes, |value| {
        let mut written = Vec::new();
        value.write(&mut written).expect("memory");
        (theirs.as_ref().is_ok_and(|theirs| agrees(value, theirs)), written)
    });
    match ours {
        Err(fault) => prop_assert!(theirs.is_err() && strict.is_err(), "{} is refused: {}", shown, fault),
        Ok((agreed, written)) => {
            prop_assert!(agreed, "{} is read differently", shown);
            // What is written is the same document again.
            prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&written).ok(), strict.ok());
        }
    }
    Ok(())
}

static FIXTURES: OnceLock<Vec<Record>> = OnceLock::new();

/// Documents with blanks, escapes, repeated names and odd numbers.
fn documents() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| n.to_string()),
        any::<f64>()
            .prop_filter("finite", |f| f.is_finite())
            .prop_map(|f| format!("{f:?}")),
        "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,12})?([eE][+-]?[0-9]{1,2})?",
    ];
    let text = prop_oneof![
        "[ -!#-\\[\\]-~]{0,20}",
        any::<String>().prop_map(|text| {
            let quoted = serde_json::to_string(&text).unwrap_or_default();
            quoted[1..quoted.len() - 1].to_owned()
        }),
        "([a-zé漢]|\\\\[nrtbf/\"\\\\]|\\\\u00[0-9a-fA-F]{2}|\\\\ud83d\\\\ude0[0-9]|\\\\u[d-e][0-9a-f]{3}){0,12}",
    ]
    .prop_map(|text| format!("\"{text}\""));
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        number,
        text
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let blank = "[ \n\r\t]{0,2}";
        let item = (blank, inner, blank).prop_map(|(before, value, after)| format!("{before}{value}{after}"));
        let field = (blank, "[a-c]{0,2}", blank, item.clone())
            .prop_map(|(a, name, b, item)| format!("{a}\"{name}\"{b}:{item}"));
        prop_oneof![
            prop::collection::vec(item, 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(field, 0..5).prop_map(|fields| format!("{{{}}}", fields.join(","))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    // Goal: every document is read as two other parsers read it. Method: random documents with everything that JSON allows.
    #[test]
    fn documents_are_read_alike(document in documents()) {
        compare(document.as_bytes())?;
    }

    // Goal: what one parser refuses the others refuse. Method: documents with a byte changed, or cut.
    #[test]
    fn broken_documents_are_refused_alike(
        document in documents(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()
    ) {
        let mut bytes = document.into_bytes();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        compare(&bytes)?;
    }

    // Goal: as above for real records. Method: a byte of a fixture's value becomes one that matters to JSON.
    #[test]
    fn records_are_read_alike(
        which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(),
        byte in prop::sample::select(b"\"\\{}[],:0-.eE \n\x01\x80u".to_vec())
    ) {
        let all = FIXTURES.get_or_init(fixtures);
        if let Some(value) = &all[which.index(all.len())].value {
            let mut bytes = value.to_vec();
            compare(&bytes)?;
            let at = at.index(bytes.len());
            bytes[at] = byte;
            compare(&bytes)?;
        }
    }
}
