//! JSON parsing within limits.

use sonic_rs::Value;

use super::fault::{NESTING_LEVELS_MAX, RECORD_BYTES_MAX, RecordFault};

/// Parses one document. `part` is what messages call it.
pub(crate) fn parse(bytes: &[u8], part: &'static str) -> Result<Value, RecordFault> {
    check_size(bytes, part)?;
    if too_deep(bytes) {
        return Err(RecordFault::TooDeep { part });
    }
    sonic_rs::from_slice(bytes).map_err(|error| RecordFault::NotJson {
        part,
        detail: first_line(&error.to_string()),
    })
}

pub(crate) fn check_size(bytes: &[u8], part: &'static str) -> Result<(), RecordFault> {
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(RecordFault::TooLarge {
            part,
            bytes: bytes.len(),
        });
    }
    Ok(())
}

/// The parser recurses, so depth is checked before. Most documents have fewer brackets than levels are allowed, and counting
/// them takes a few nanoseconds; only the others are looked at closely.
fn too_deep(bytes: &[u8]) -> bool {
    // '[' and '{' differ in one bit, and nothing else in ASCII maps to '{' with it set.
    let open = bytes.iter().filter(|byte| **byte | 0x20 == b'{').count();
    open > NESTING_LEVELS_MAX && depth(bytes) > NESTING_LEVELS_MAX
}

fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The parser's message goes on with an excerpt of the document, which may be confidential.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: depth is refused, breadth and brackets in strings are not. Method: documents on both sides of the limit.
    #[test]
    fn depth_is_limited() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(nested(NESTING_LEVELS_MAX).as_bytes(), "value").is_ok());
        assert_eq!(
            parse(nested(10_000).as_bytes(), "value"),
            Err(RecordFault::TooDeep { part: "value" })
        );
        assert!(parse(format!("\"{}\"", "[\\\"".repeat(10_000)).as_bytes(), "value").is_ok());
        assert!(parse(format!("[{}1]", "[],".repeat(10_000)).as_bytes(), "value").is_ok());
    }

    // Goal: what is no JSON is told apart. Method: broken documents.
    #[test]
    fn broken_documents() {
        for bytes in [&b""[..], b"{", b"{\"a\":NaN}", b"{\"a\":\"\xff\"}", b"1 2", b"nul"] {
            assert!(
                matches!(parse(bytes, "value"), Err(RecordFault::NotJson { .. })),
                "{bytes:?}"
            );
        }
        let large = vec![b' '; RECORD_BYTES_MAX + 1];
        assert!(matches!(parse(&large, "value"), Err(RecordFault::TooLarge { .. })));
    }
}
