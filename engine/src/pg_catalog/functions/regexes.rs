//! Functions of regular expressions (PostgreSQL 15, 9.4 and 9.7.3).

mod pattern;
mod room;

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int32Array, ListBuilder, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err};
use regex::{Captures, Regex};

pub(super) use self::pattern::compiled;
pub(in crate::pg_catalog) use self::pattern::{Options, translated};
pub(super) use self::room::Room;
use super::native::{Native, number, numbers, strings, text, texts, truths};
use crate::session::backslashes::{WRITES, kept};

/// The functions of the query engine by these names mean something else; ours have `pg_` before it.
pub(super) fn all() -> Vec<Native> {
    vec![
        Native::of_texts(WRITES, (1, 1), |values| {
            let [pattern] = values else { return Ok(None) };
            translated(pattern, Options::of("")?).map(|pattern| Some(kept(pattern)))
        }),
        Native::new("pg_substring", (2, 2), DataType::Utf8, |arrays, rows| {
            let mut calls = Calls::of(arrays, &[Kind::Text, Kind::Text])?;
            let found = (0..rows).map(|row| {
                let found = calls.row(row, |call| {
                    let found = call.pattern.captures(call.written);
                    // The first group if there is one, else the whole.
                    let part = found.and_then(|found| found.get(usize::from(found.len() > 1)));
                    Ok(part.map(|part| part.as_str().to_owned()))
                });
                found.map(Option::flatten)
            });
            Ok(strings(found.collect::<Result<Vec<_>>>()?.into_iter()))
        }),
        replace(),
        first_match(),
        matches(),
        Native::new("pg_regexp_like", (2, 3), DataType::Boolean, |arrays, rows| {
            let mut calls = Calls::of(arrays, &[Kind::Text, Kind::Text, Kind::Flags])?;
            let found = (0..rows).map(|row| calls.row(row, |call| Ok(call.pattern.is_match(call.written))));
            Ok(truths(found.collect::<Result<Vec<_>>>()?.into_iter()))
        }),
        Native::new("pg_regexp_count", (2, 4), DataType::Int32, |arrays, rows| {
            let mut calls = Calls::of(arrays, &[Kind::Text, Kind::Text, Kind::Number, Kind::Flags])?;
            let found = (0..rows).map(|row| {
                calls.row(row, |call| {
                    let from = call.start(0)?;
                    Ok(from.map_or(0, |from| call.found(from).count()))
                })
            });
            ints(found)
        }),
        Native::new("pg_regexp_instr", (2, 7), DataType::Int32, |arrays, rows| {
            use Kind::{Flags, Number, Text};
            let mut calls = Calls::of(arrays, &[Text, Text, Number, Number, Number, Flags, Number])?;
            let found = (0..rows).map(|row| {
                calls.row(row, |call| {
                    let place = call.nth(0, 1, 3)?.map(|(begin, end)| match call.numbers.get(2) {
                        Some(1) => call.written.get(..end).map_or(0, |before| before.chars().count()) + 1,
                        _ => call.written.get(..begin).map_or(0, |before| before.chars().count()) + 1,
                    });
                    Ok(place.unwrap_or(0))
                })
            });
            ints(found)
        }),
        Native::new("regexp_substr", (2, 6), DataType::Utf8, |arrays, rows| {
            use Kind::{Flags, Number, Text};
            let mut calls = Calls::of(arrays, &[Text, Text, Number, Number, Flags, Number])?;
            let found = (0..rows).map(|row| {
                let found = calls.row(row, |call| {
                    let found = call.nth(0, 1, 2)?;
                    Ok(found.and_then(|(begin, end)| call.written.get(begin..end).map(str::to_owned)))
                });
                found.map(Option::flatten)
            });
            Ok(strings(found.collect::<Result<Vec<_>>>()?.into_iter()))
        }),
    ]
}

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Flags,
}

/// The calls of a batch, whose pattern is mostly the same in each row.
pub(super) struct Calls {
    columns: Vec<(Kind, ArrayRef)>,
    ready: Option<(String, String, Regex)>,
}

/// One call, none of whose arguments is null.
pub(super) struct Call<'a> {
    pub(super) written: &'a str,
    pub(super) pattern: &'a Regex,
    options: Options,
    /// The other texts.
    texts: Vec<&'a str>,
    numbers: Vec<i64>,
}

impl Calls {
    pub(super) fn of(arrays: &[ArrayRef], kinds: &[Kind]) -> Result<Self> {
        let columns = arrays.iter().zip(kinds).map(|(array, kind)| {
            Ok((
                *kind,
                match kind {
                    Kind::Text | Kind::Flags => texts(array)?,
                    Kind::Number => numbers(array)?,
                },
            ))
        });
        Ok(Self {
            columns: columns.collect::<Result<_>>()?,
            ready: None,
        })
    }

    /// What a row's call answers; null where an argument is.
    pub(super) fn row<T>(&mut self, row: usize, answer: impl FnOnce(&Call<'_>) -> Result<T>) -> Result<Option<T>> {
        let (mut written, mut numbers, mut flags) = (Vec::new(), Vec::new(), "");
        for (kind, column) in &self.columns {
            let is_there = match kind {
                Kind::Text => text(column, row).map(|text| written.push(text)),
                Kind::Flags => text(column, row).map(|text| flags = text),
                Kind::Number => number(column, row).map(|number| numbers.push(number)),
            };
            if is_there.is_none() {
                return Ok(None);
            }
        }
        let [subject, pattern, texts @ ..] = written.as_slice() else {
            return exec_err!("a text and a pattern are missing");
        };
        let options = Options::of(flags)?;
        let is_ready = |(of, with, _): &(String, String, Regex)| of == pattern && with == flags;
        if !self.ready.as_ref().is_some_and(is_ready) {
            let ready = compiled(pattern, options)?;
            self.ready = Some(((*pattern).to_owned(), flags.to_owned(), ready));
        }
        let Some((_, _, pattern)) = &self.ready else {
            return Ok(None);
        };
        let call = Call {
            written: subject,
            pattern,
            options,
            texts: texts.to_vec(),
            numbers,
        };
        answer(&call).map(Some)
    }
}

impl Call<'_> {
    /// The byte at which the letter stands that one of the numbers names, by default the first; none behind the end.
    fn start(&self, at: usize) -> Result<Option<usize>> {
        let letter = self.positive(at, "start")?;
        let skipped = usize::try_from(letter - 1).unwrap_or(usize::MAX);
        let mut places = self.written.char_indices().map(|(place, _)| place);
        Ok(places.nth(skipped).or_else(|| {
            let is_end = self.written.chars().count() == skipped;
            is_end.then_some(self.written.len())
        }))
    }

    /// One of the numbers, by default 1.
    fn positive(&self, at: usize, name: &str) -> Result<i64> {
        match self.numbers.get(at).copied() {
            None => Ok(1),
            Some(number @ 1..) => Ok(number),
            Some(number) => exec_err!("invalid value for parameter \"{name}\": {number}"),
        }
    }

    /// Where a match stands, or a group of it: its number, where it is looked for, and the group are among the numbers at these places.
    fn nth(&self, start: usize, number: usize, group: usize) -> Result<Option<(usize, usize)>> {
        if self.options.all {
            return exec_err!("this function does not support the \"global\" option");
        }
        let Some(from) = self.start(start)? else {
            return Ok(None);
        };
        let skipped = usize::try_from(self.positive(number, "n")? - 1).unwrap_or(usize::MAX);
        let group = match self.numbers.get(group).copied().unwrap_or(0) {
            group @ 0.. => usize::try_from(group).unwrap_or(usize::MAX),
            group => return exec_err!("invalid value for parameter \"subexpr\": {group}"),
        };
        let found = self.found(from).nth(skipped);
        Ok(found.and_then(|found| found.get(group).map(|part| (part.start(), part.end()))))
    }

    /// All matches from a byte on. Unlike those of the regex crate, a match of nothing may stand right behind another one.
    fn found(&self, from: usize) -> impl Iterator<Item = Captures<'_>> {
        let mut next = Some(from);
        std::iter::from_fn(move || {
            let found = self.pattern.captures_at(self.written, next?)?;
            let whole = found.get(0)?;
            next = match whole.is_empty() {
                false => Some(whole.end()),
                true => {
                    let letter = self.written.get(whole.end()..)?.chars().next();
                    letter.map(|letter| whole.end() + letter.len_utf8())
                }
            };
            Some(found)
        })
    }
}

fn ints(found: impl Iterator<Item = Result<Option<usize>>>) -> Result<ArrayRef> {
    let found = found.map(|count| Ok(count?.map(|count| i32::try_from(count).unwrap_or(i32::MAX))));
    Ok(Arc::new(found.collect::<Result<Int32Array>>()?))
}

/// `regexp_replace(text, pattern, new [, flags])` and `(text, pattern, new, start [, n [, flags]])`.
fn replace() -> Native {
    Native::new("pg_regexp_replace", (3, 6), DataType::Utf8, |arrays, rows| {
        use Kind::{Flags, Number, Text};
        let by_place = arrays.get(3).is_some_and(|fourth| fourth.data_type().is_integer());
        let kinds: &[Kind] = match by_place {
            true => &[Text, Text, Text, Number, Number, Flags],
            false => &[Text, Text, Text, Flags],
        };
        if arrays.len() > kinds.len() {
            return exec_err!("regexp_replace takes a start, a number and flags behind the new text, or flags");
        }
        let mut calls = Calls::of(arrays, kinds)?;
        let found = (0..rows).map(|row| {
            calls.row(row, |call| {
                let Some(from) = call.start(0)? else {
                    return Ok(call.written.to_owned());
                };
                let all = match call.numbers.get(1) {
                    None => call.options.all,
                    Some(number) => *number == 0,
                };
                let wanted = match all {
                    true => None,
                    false => Some(usize::try_from(call.positive(1, "n")? - 1).unwrap_or(usize::MAX)),
                };
                Ok(replaced(call, from, wanted))
            })
        });
        Ok(strings(found.collect::<Result<Vec<_>>>()?.into_iter()))
    })
}

/// The text with its matches from a byte on replaced: one of them, or all.
fn replaced(call: &Call<'_>, from: usize, wanted: Option<usize>) -> String {
    let by = call.texts.first().copied().unwrap_or_default();
    let mut done = String::with_capacity(call.written.len());
    let mut copied = 0;
    let between = |from: usize, to: usize| call.written.get(from..to).unwrap_or_default();
    for (at, found) in call.found(from).enumerate() {
        let Some(whole) = found.get(0) else { continue };
        if wanted.is_none_or(|wanted| wanted == at) {
            done.push_str(between(copied, whole.start()));
            expand(by, &found, &mut done);
            copied = whole.end();
        }
        if wanted == Some(at) {
            break;
        }
    }
    done.push_str(between(copied, call.written.len()));
    done
}

/// New text: `\1` is a group, `\&` the whole match, `\\` a backslash.
fn expand(by: &str, found: &Captures<'_>, done: &mut String) {
    let mut letters = by.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            done.push(letter);
            continue;
        }
        match letters.peek().copied() {
            Some(digit @ '1'..='9') => {
                letters.next();
                let group = digit.to_digit(10).and_then(|group| found.get(group as usize));
                done.push_str(group.map_or("", |group| group.as_str()));
            }
            Some('&') => {
                letters.next();
                done.push_str(found.get(0).map_or("", |whole| whole.as_str()));
            }
            Some('\\') => {
                letters.next();
                done.push('\\');
            }
            _ => done.push('\\'),
        }
    }
}

/// The texts of a match's groups, or all of it where the pattern has none.
fn groups<'a>(found: &Captures<'a>) -> Vec<Option<&'a str>> {
    let skipped = usize::from(found.len() > 1);
    let groups = found.iter().skip(skipped);
    groups.map(|group| group.map(|group| group.as_str())).collect()
}

/// `regexp_match`: the first match, as a list.
fn first_match() -> Native {
    let returns = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    Native::new("pg_regexp_match", (2, 3), returns, |arrays, rows| {
        first_matches(arrays, rows, Room::new("regexp_match"))
    })
}

fn first_matches(arrays: &[ArrayRef], rows: usize, mut room: Room) -> Result<ArrayRef> {
    let mut calls = Calls::of(arrays, &[Kind::Text, Kind::Text, Kind::Flags])?;
    let mut builder = ListBuilder::new(StringBuilder::new());
    for row in 0..rows {
        let found = calls.row(row, |call| {
            if call.options.all {
                return exec_err!("regexp_match() does not support the \"global\" option");
            }
            let Some(found) = call.pattern.captures(call.written) else {
                return Ok(false);
            };
            let groups = groups(&found);
            room.take(&groups)?;
            for group in groups {
                builder.values().append_option(group);
            }
            Ok(true)
        })?;
        builder.append(found == Some(true));
    }
    Ok(Arc::new(builder.finish()))
}

/// `regexp_matches`: the first match, or with `g` all of them.
fn matches() -> Native {
    let item = || Arc::new(Field::new_list_field(DataType::Utf8, true));
    let returns = DataType::new_list(DataType::List(item()), true);
    Native::new("pg_regexp_matches", (2, 3), returns, |arrays, rows| {
        all_matches(arrays, rows, Room::new("regexp_matches"))
    })
}

fn all_matches(arrays: &[ArrayRef], rows: usize, mut room: Room) -> Result<ArrayRef> {
    let mut calls = Calls::of(arrays, &[Kind::Text, Kind::Text, Kind::Flags])?;
    let mut builder = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
    for row in 0..rows {
        let found = calls.row(row, |call| {
            let most = if call.options.all { usize::MAX } else { 1 };
            for found in call.found(0).take(most) {
                let groups = groups(&found);
                room.take(&groups)?;
                for group in groups {
                    builder.values().values().append_option(group);
                }
                builder.values().append(true);
            }
            Ok(())
        })?;
        builder.append(found.is_some());
    }
    Ok(Arc::new(builder.finish()))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Array, StringArray};
    use tidewater_core::Coded;

    use super::*;
    use crate::error::EngineError;

    // Goal: what is found takes no more than it may, although each group is a text of its own, and is there where it takes no more.
    // Method: a text that is found as a whole by three groups, once in its row and, letter by letter, in many matches; room for all of
    // two rows, and one byte less.
    #[test]
    fn groups_have_no_more_room_than_there_is() {
        type Finding = fn(&[ArrayRef], usize, Room) -> Result<ArrayRef>;
        let of = |text: &str| Arc::new(StringArray::from(vec![text.to_owned(); 2])) as ArrayRef;
        let cases: [(Finding, Vec<ArrayRef>, u64); 2] = [
            (first_matches, vec![of("aaaaaaaaaa"), of("(((a*)))")], 2 * 3 * (10 + 8)),
            (
                all_matches,
                vec![of("aaaaaaaaaa"), of("(((a)))"), of("g")],
                2 * 10 * 3 * (1 + 8),
            ),
        ];
        for (find, arrays, bytes) in cases {
            let found = find(&arrays, 2, Room::of("found", bytes)).expect("there is room");
            assert_eq!((found.len(), found.null_count()), (2, 0));
            let refused = find(&arrays, 2, Room::of("found", bytes - 1)).expect_err("there is none");
            assert_eq!(EngineError::from(refused).code(), "ENG-0021");
        }
    }
}
