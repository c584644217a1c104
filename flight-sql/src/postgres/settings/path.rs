//! Lists of schemas as PostgreSQL writes them: names in quotes are as they are written, those without are in lower case.

/// The names of a list. Those with nothing in them are left out.
pub(super) fn names(list: &str) -> Vec<String> {
    let mut within = false;
    let parts = list.split(|letter: char| {
        if letter == '"' {
            within = !within;
        }
        letter == ',' && !within
    });
    let names = parts.map(|part| match part.trim().strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').unwrap_or(rest).replace("\"\"", "\""),
        None => part.trim().to_ascii_lowercase(),
    });
    names.filter(|name| !name.is_empty()).collect()
}

/// A name as it stands in a list: in quotes where it would mean another without them.
pub(in crate::postgres) fn quoted(name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    match name.starts_with(plain) && name.chars().all(|letter| plain(letter) || letter.is_ascii_digit()) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// A list in its one form.
pub(super) fn canonical(list: &str) -> String {
    let names: Vec<String> = names(list).iter().map(|name| quoted(name)).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a list has the names that PostgreSQL's rules find in it, and keeps them when it is written anew; what is no list has none.
    // Method: letters, commas and quotes within quotes and without.
    #[test]
    fn lists_are_read_and_written() {
        let cases: [(&str, &[&str], &str); 10] = [
            ("Gold", &["gold"], "gold"),
            ("\"Gold\", Silver", &["Gold", "silver"], "\"Gold\", silver"),
            ("\"$user\",public", &["$user", "public"], "\"$user\", public"),
            ("\"a,b\" , c", &["a,b", "c"], "\"a,b\", c"),
            ("\"a\"\"B\", \"\", x_1", &["a\"B", "x_1"], "\"a\"\"B\", x_1"),
            ("\" a\"", &[" a"], "\" a\""),
            ("1a", &["1a"], "\"1a\""),
            ("", &[], ""),
            (" , ", &[], ""),
            ("\"", &[], ""),
        ];
        for (list, expected, written) in cases {
            assert_eq!(names(list), expected, "{list}");
            assert_eq!(canonical(list), written, "{list}");
            assert_eq!(names(written), expected, "{written}");
        }
    }
}
