//! Where statements end: at semicolons that are in no text, no quoted name and no comment.

/// The whole statements of a text, without their semicolons, and what is left behind the last. A line of the shell's own, which begins with
/// a backslash where a statement could begin, is one too and ends with its line.
pub(super) fn split(text: &str) -> (Vec<&str>, &str) {
    let mut statements = Vec::new();
    let mut rest = text;
    loop {
        let begun = rest.trim_start();
        if begun.starts_with('\\') {
            let Some((line, after)) = begun.split_once('\n') else {
                statements.push(begun);
                return (statements, "");
            };
            statements.push(line);
            rest = after;
            continue;
        }
        let Some(at) = end(rest) else {
            return (statements, rest);
        };
        let (statement, after) = rest.split_at(at);
        if !is_blank(statement) {
            statements.push(statement);
        }
        rest = after.get(1..).unwrap_or_default();
    }
}

/// Whether there is nothing in a text but space and comments.
pub(super) fn is_blank(text: &str) -> bool {
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let Some(length) = comment(rest) else {
            return false;
        };
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    true
}

/// Whether a text can be sent: it is a line of the shell's own, or its last statement has its semicolon.
pub(super) fn is_whole(text: &str) -> bool {
    text.trim_start().starts_with('\\') || is_blank(split(text).1)
}

/// The place of the first semicolon that ends a statement.
fn end(text: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let skipped = comment(rest).or_else(|| quoted(rest));
        at += match skipped {
            Some(length) => length,
            None if rest.starts_with(';') => return Some(at),
            None => rest.chars().next().map_or(1, char::len_utf8),
        };
    }
    None
}

/// The length of a comment that begins here; one that does not end reaches to the end of the text.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("--") {
        return Some(text.find('\n').map_or(text.len(), |at| at + 1));
    }
    if !text.starts_with("/*") {
        return None;
    }
    // Comments of this kind lie in one another.
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        match () {
            () if rest.starts_with("/*") => (depth, at) = (depth + 1, at + 2),
            () if rest.starts_with("*/") => (depth, at) = (depth - 1, at + 2),
            () => at += rest.chars().next().map_or(1, char::len_utf8),
        }
        if depth == 0 {
            return Some(at);
        }
    }
    Some(text.len())
}

/// The length of a text or a quoted name that begins here. A quote that is doubled ends it and begins another, which is the same.
fn quoted(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let rest = text.get(1..)?;
    Some(rest.find(quote).map_or(text.len(), |at| at + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a statement ends where it ends, whatever is in it. Method: semicolons in texts, names and comments, and lines of the
    // shell's own between statements.
    #[test]
    fn statements_end_at_their_semicolons() {
        let (statements, rest) =
            split("SELECT 1; SELECT ';' AS \"a;b\" -- ; no\n; /* ; /* ; */ */ SELECT 'it''s;' ;SELECT");
        let trimmed: Vec<&str> = statements.iter().map(|statement| statement.trim()).collect();
        assert_eq!(
            trimmed,
            [
                "SELECT 1",
                "SELECT ';' AS \"a;b\" -- ; no",
                "/* ; /* ; */ */ SELECT 'it''s;'"
            ]
        );
        assert_eq!(rest, "SELECT");
        assert_eq!(
            split("\\x\nSELECT 1;\n\\dt a;b\n"),
            (vec!["\\x", "SELECT 1", "\\dt a;b"], "")
        );
        assert_eq!(split(" ; ;; -- x").0, Vec::<&str>::new());
    }

    // Goal: the shell waits for the end of a statement, and for nothing else. Method: whole ones and parts.
    #[test]
    fn parts_are_waited_for() {
        for whole in [
            "SELECT 1;",
            "\\dt",
            " ",
            "-- nothing",
            "SELECT 1; -- done",
            "SELECT 'é';",
            "/* a */",
        ] {
            assert!(is_whole(whole), "{whole}");
        }
        for part in [
            "SELECT 1",
            "SELECT ';",
            "SELECT 1; SELECT",
            "SELECT /* ;",
            "SELECT \"a;",
        ] {
            assert!(!is_whole(part), "{part}");
        }
    }
}
