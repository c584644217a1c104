//! A file of statements and what they must answer, in the form of sqllogictest: `statement ok | error TEXT | count N` and `query TYPES
//! [rowsort]`, a blank line after each, `skipif` and `onlyif` before. Types: `T` text, `I` whole numbers, `R` other numbers, to twelve
//! digits, `B` truth, `D` dates and times, `A` arrays. NULL is `NULL`, empty text `(empty)`; columns are parted by a blank.
//!
//! The crate of that name is not used: it turns a feature of another crate on with which DataFusion would be built anew.

use std::path::{Path, PathBuf};

/// Digits to which engines agree on numbers that are not whole.
const DIGITS: usize = 12;

/// What an answer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    Ok,
    /// Refused; ours with this in what is said.
    Error(String),
    /// So many rows changed.
    Count(u64),
    Rows {
        types: String,
        sorted: bool,
        rows: Vec<String>,
    },
}

/// One statement.
#[derive(Debug, Clone)]
pub struct Record {
    pub line: usize,
    pub sql: String,
    pub expected: Expected,
    skipif: Vec<String>,
    onlyif: Vec<String>,
    /// Lines of the answer within the file.
    pub answer: std::ops::Range<usize>,
}

impl Record {
    /// Whether an engine of these names runs it.
    pub fn is_for(&self, labels: &[&str]) -> bool {
        let named = |names: &Vec<String>| names.iter().any(|name| labels.contains(&name.as_str()));
        !named(&self.skipif) && (self.onlyif.is_empty() || named(&self.onlyif))
    }

    /// What is wrong with an answer.
    pub fn check(&self, answer: &Result<Answer, String>) -> Option<String> {
        match (&self.expected, answer) {
            (Expected::Error(part), Err(said)) => (!said.contains(part)).then(|| format!("said {said:?}")),
            (Expected::Error(_), Ok(answer)) => Some(format!("not refused: {:?}", answer.rows)),
            (_, Err(said)) => Some(said.clone()),
            (Expected::Ok, Ok(_)) => None,
            (Expected::Count(wanted), Ok(answer)) => {
                (answer.count != Some(*wanted)).then(|| format!("changed {:?} rows, want {wanted}", answer.count))
            }
            (Expected::Rows { types, sorted, rows }, Ok(answer)) => {
                let found = match answer.lines(types, *sorted) {
                    Ok(found) => found,
                    Err(wrong) => return Some(wrong),
                };
                (found != *rows).then(|| format!("answered\n{}\nwant\n{}", found.join("\n"), rows.join("\n")))
            }
        }
    }
}

/// What an engine answered: values as text, `None` for null.
#[derive(Debug, Default)]
pub struct Answer {
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows that a statement changed.
    pub count: Option<u64>,
}

impl Answer {
    /// The rows as they stand in a file.
    pub fn lines(&self, types: &str, sorted: bool) -> Result<Vec<String>, String> {
        let line = |row: &Vec<Option<String>>| {
            if row.len() != types.len() {
                return Err(format!("{} columns, want {}: {row:?}", row.len(), types.len()));
            }
            let values: Vec<String> = row
                .iter()
                .zip(types.chars())
                .map(|(value, of)| shown(value.as_deref(), of))
                .collect();
            Ok(values.join(" "))
        };
        let mut lines = self.rows.iter().map(line).collect::<Result<Vec<_>, _>>()?;
        if sorted {
            lines.sort();
        }
        Ok(lines)
    }
}

fn shown(value: Option<&str>, of: char) -> String {
    let Some(value) = value else { return "NULL".into() };
    match of {
        _ if value.is_empty() => "(empty)".into(),
        'B' => match value {
            "t" => "true".into(),
            "f" => "false".into(),
            other => other.into(),
        },
        'R' => number(value),
        'D' => moment(value),
        'A' => array(value),
        _ => value.trim_end().into(),
    }
}

fn number(value: &str) -> String {
    let Ok(parsed) = value.parse::<f64>() else {
        return value.into();
    };
    if !parsed.is_finite() {
        return parsed.to_string();
    }
    let rounded: f64 = format!("{parsed:.*e}", DIGITS - 1).parse().unwrap();
    // Minus zero is zero here: engines differ.
    (rounded + 0.0).to_string()
}

fn moment(value: &str) -> String {
    let value = value.replace('T', " ");
    let value = value
        .trim_end_matches('Z')
        .trim_end_matches("+00:00")
        .trim_end_matches("+00");
    match value.split_once('.') {
        Some((whole, part)) => format!("{whole}.{part}")
            .trim_end_matches('0')
            .trim_end_matches('.')
            .into(),
        None => value.into(),
    }
}

/// PostgreSQL's `{1,NULL,"b c"}` as `[1, , b c]`.
fn array(value: &str) -> String {
    let Some(inner) = value.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return value.into();
    };
    let (mut elements, mut element, mut quoted, mut was_quoted) = (Vec::new(), String::new(), false, false);
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if quoted => element.extend(letters.next()),
            '"' => (quoted, was_quoted) = (!quoted, true),
            ',' if !quoted => {
                elements.push(of_array(&element, was_quoted));
                (element, was_quoted) = (String::new(), false);
            }
            letter => element.push(letter),
        }
    }
    if !inner.is_empty() {
        elements.push(of_array(&element, was_quoted));
    }
    format!("[{}]", elements.join(", "))
}

fn of_array(element: &str, quoted: bool) -> String {
    match element == "NULL" && !quoted {
        true => String::new(),
        false => element.to_owned(),
    }
}

/// All records of a file.
pub fn parse(path: &Path) -> Vec<Record> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines: Vec<&str> = text.lines().collect();
    let wrong = |at: usize| -> ! { panic!("{}:{}: {:?}", path.display(), at + 1, lines.get(at)) };
    let (mut records, mut at) = (Vec::new(), 0);
    let (mut skipif, mut onlyif) = (Vec::new(), Vec::new());
    while at < lines.len() {
        let line = lines[at].trim_end();
        let words: Vec<&str> = line.split_whitespace().collect();
        at += 1;
        match words.as_slice() {
            [] => continue,
            [first, ..] if first.starts_with('#') => continue,
            ["skipif", name] => skipif.push((*name).to_owned()),
            ["onlyif", name] => onlyif.push((*name).to_owned()),
            ["statement" | "query", rest @ ..] => {
                let head = at;
                let until = |from: usize, stop: fn(&str) -> bool| {
                    (from..lines.len())
                        .find(|at| stop(lines[*at].trim_end()))
                        .unwrap_or(lines.len())
                };
                let sql_end = until(at, |line| line.is_empty() || line == "----");
                let sql = lines[at..sql_end].join("\n");
                let has_answer = lines.get(sql_end).is_some_and(|line| line.trim_end() == "----");
                let answer = match has_answer {
                    true => sql_end + 1..until(sql_end + 1, str::is_empty),
                    false => sql_end..sql_end,
                };
                let rows = || {
                    lines[answer.clone()]
                        .iter()
                        .map(|line| line.trim_end().to_owned())
                        .collect()
                };
                let expected = match (words[0], rest) {
                    ("statement", ["ok"]) => Expected::Ok,
                    ("statement", ["error", said @ ..]) => Expected::Error(said.join(" ")),
                    ("statement", ["count", number]) => Expected::Count(number.parse().unwrap_or_else(|_| wrong(at))),
                    ("query", [types]) | ("query", [types, "nosort"]) => Expected::Rows {
                        types: (*types).into(),
                        sorted: false,
                        rows: rows(),
                    },
                    ("query", [types, "rowsort"]) => Expected::Rows {
                        types: (*types).into(),
                        sorted: true,
                        rows: rows(),
                    },
                    _ => wrong(at - 1),
                };
                at = answer.end.max(sql_end);
                records.push(Record {
                    line: head,
                    sql,
                    expected,
                    skipif: std::mem::take(&mut skipif),
                    onlyif: std::mem::take(&mut onlyif),
                    answer,
                });
            }
            _ => wrong(at - 1),
        }
    }
    records
}

/// The files of a folder of `tests/slt`, by name.
pub fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt").join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "slt"));
    files.sort();
    files
}
