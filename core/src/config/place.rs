//! Where in a configuration file a key stands.

/// The line of the innermost part of `path` that the file names, from 1; none if it names nothing of it. Values over several lines are
/// known by the line that they begin on.
pub(super) fn line_of(text: &str, path: &[String]) -> Option<usize> {
    let mut section: Vec<String> = Vec::new();
    let mut arrays: Vec<(Vec<String>, usize)> = Vec::new();
    let mut best: Option<(usize, usize)> = None;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        let named = if let Some(header) = line.strip_prefix("[[") {
            let Some(name) = header_name(header, "]]") else {
                continue;
            };
            section = numbered(&keys(name), &mut arrays);
            section.clone()
        } else if let Some(header) = line.strip_prefix('[') {
            let Some(name) = header_name(header, "]") else {
                continue;
            };
            section = within(&keys(name), &arrays);
            section.clone()
        } else if let Some((key, _)) = line.split_once('=') {
            let mut named = section.clone();
            named.extend(keys(key));
            named
        } else {
            continue;
        };
        let known = path.starts_with(&named).then_some(named.len());
        if let Some(parts) = known
            && best.is_none_or(|(most, _)| parts > most)
        {
            best = Some((parts, at + 1));
        }
    }
    best.map(|(_, line)| line)
}

/// What a header names, unless the line is part of an array.
fn header_name<'a>(header: &'a str, end: &str) -> Option<&'a str> {
    let (name, rest) = header.split_once(end)?;
    let rest = rest.trim_start();
    ((rest.is_empty() || rest.starts_with('#')) && !name.contains(',')).then_some(name)
}

/// The path of one more element of an array of tables.
fn numbered(name: &[String], arrays: &mut Vec<(Vec<String>, usize)>) -> Vec<String> {
    let mut path = match name.split_last() {
        Some((last, outer)) => {
            let mut path = within(outer, arrays);
            path.push(last.clone());
            path
        }
        None => Vec::new(),
    };
    let number = match arrays.iter_mut().find(|(array, _)| *array == path) {
        Some((_, count)) => {
            *count += 1;
            *count
        }
        None => {
            arrays.push((path.clone(), 0));
            0
        }
    };
    path.push(number.to_string());
    path
}

/// A name with the numbers of the elements that it lies in: of an array it is the last that was begun.
fn within(name: &[String], arrays: &[(Vec<String>, usize)]) -> Vec<String> {
    let mut path = Vec::new();
    for part in name {
        path.push(part.clone());
        if let Some((_, number)) = arrays.iter().find(|(array, _)| *array == path) {
            path.push(number.to_string());
        }
    }
    path
}

/// The parts of a dotted key, without their quotes.
fn keys(name: &str) -> Vec<String> {
    let (mut parts, mut part, mut quote) = (Vec::new(), String::new(), None);
    for letter in name.trim().chars() {
        match (letter, quote) {
            (mark, Some(open)) if mark == open => quote = None,
            ('"' | '\'', None) => quote = Some(letter),
            ('.', None) => parts.push(std::mem::take(&mut part)),
            (space, None) if space.is_whitespace() => {}
            _ => part.push(letter),
        }
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "data_dir = \"x\"\n\
        [catalog]\n\
        listen = \"127.0.0.1:1\" # = 5\n\
        access.remote_signing = true\n\
        \n\
        [[ingest.sources]]\n\
        type = \"file\"\n\
        [[ingest.sources]]\n\
        type = \"kafka\"\n\
        properties = { \"sasl.password\" = \"a=b\" }\n\
        topics = [\n\
        [\"a\", \"b\"],\n\
        ]\n\
        bootstrap = \"k:1\"\n\
        [raft.peers.'1'] # the first\n\
        raft = \"a:1\"\n";

    // Goal: the line of a key is that on which it stands, or on which what holds it begins. Method: keys of each form that TOML has, and
    // one that is not there.
    #[test]
    fn keys_are_found_on_their_lines() {
        for (path, line) in [
            ("data_dir", Some(1)),
            ("catalog", Some(2)),
            ("catalog.listen", Some(3)),
            ("catalog.access.remote_signing", Some(4)),
            ("ingest.sources.0.type", Some(7)),
            ("ingest.sources.1", Some(8)),
            ("ingest.sources.1.type", Some(9)),
            ("ingest.sources.1.properties.x", Some(10)),
            ("ingest.sources.1.bootstrap", Some(14)),
            ("raft.peers.1.raft", Some(16)),
            ("http.listen", None),
        ] {
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            assert_eq!(line_of(FILE, &path), line, "{path:?}");
        }
    }
}
