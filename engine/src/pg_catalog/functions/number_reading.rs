//! `to_number`: a number that is written in one of PostgreSQL's patterns.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Decimal128Array, new_null_array};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::scalar::ScalarValue;

use super::native::{Native, argument, text, texts};
use super::number_patterns::{Pattern, Piece, parsed};

/// The most digits that a decimal has.
const DIGITS: usize = 38;

/// The type where there is no pattern, or an empty one, and the answer is null.
const NOTHING: DataType = DataType::Decimal128(1, 0);

pub(super) fn all() -> Vec<Native> {
    vec![
        Native::new("to_number", (2, 2), NOTHING, |arrays, rows| {
            let written = texts(argument(arrays, 0)?)?;
            let patterns = texts(argument(arrays, 1)?)?;
            match (0..rows).find_map(|row| text(&patterns, row)) {
                Some(pattern) if !pattern.is_empty() => read(&written, pattern, rows),
                _ => Ok(new_null_array(&NOTHING, rows)),
            }
        })
        // Its digits are those of the type.
        .returning_of(|_, constants| match constants.get(1) {
            Some(Some(ScalarValue::Null)) => Ok(NOTHING),
            Some(Some(pattern)) => match pattern.try_as_str() {
                Some(Some(pattern)) => {
                    let (digits, scale) = digits_of(&understood(pattern)?)?;
                    Ok(DataType::Decimal128(digits, scale))
                }
                Some(None) => Ok(NOTHING),
                None => plan_err!("No function matches: to_number takes a text and a pattern"),
            },
            _ => plan_err!("No function matches: to_number takes a pattern that is written out"),
        }),
    ]
}

/// The numbers that are written in the rows of a batch.
fn read(written: &ArrayRef, pattern: &str, rows: usize) -> Result<ArrayRef> {
    let of = understood(pattern)?;
    let (digits, scale) = digits_of(&of)?;
    let mut found = Vec::with_capacity(rows);
    for row in 0..rows {
        found.push(match text(written, row) {
            Some(written) => Some(number(written, &of)?),
            None => None,
        });
    }
    let found = Decimal128Array::from(found).with_precision_and_scale(digits, scale)?;
    Ok(Arc::new(found))
}

fn understood(pattern: &str) -> Result<Pattern> {
    match parsed(pattern) {
        Ok(of) if of.exponent => plan_err!("\"EEEE\" not supported for input"),
        Ok(of) if of.pieces.iter().any(|piece| matches!(piece, Piece::Roman(_))) => {
            plan_err!("\"RN\" not supported for input")
        }
        Ok(of) => Ok(of),
        Err(wrong) => plan_err!("{wrong}"),
    }
}

/// All digits of a pattern, and those behind the point. What `V` shifts by is behind it.
fn digits_of(of: &Pattern) -> Result<(u8, i8)> {
    let digits = (of.before + of.behind).max(1);
    match (u8::try_from(digits), i8::try_from(of.behind + of.shift)) {
        (Ok(all), Ok(scale)) if digits <= DIGITS => Ok((all, scale)),
        _ => plan_err!("a pattern of to_number has {DIGITS} digits at most"),
    }
}

/// The number in units of its last digit.
fn number(written: &str, of: &Pattern) -> Result<i128> {
    let mut reader = Reader {
        of,
        letters: written.chars().collect(),
        at: 0,
        negative: None,
        digits: String::new(),
        behind: None,
    };
    reader.read();
    let behind = reader.behind.unwrap_or_default();
    let whole = reader.digits.get(..reader.digits.len() - behind).unwrap_or_default();
    if whole.trim_start_matches('0').len() > of.before {
        return exec_err!("numeric field overflow: {written:?}");
    }
    let padded = format!("{}{}", reader.digits, "0".repeat(of.behind - behind));
    match padded.parse::<i128>() {
        Ok(number) if !reader.digits.is_empty() && reader.negative == Some(true) => Ok(-number),
        Ok(number) if !reader.digits.is_empty() => Ok(number),
        _ => exec_err!("Cannot parse {written:?} as numeric"),
    }
}

/// A text that is read by a pattern, piece by piece, as PostgreSQL reads it.
struct Reader<'a> {
    of: &'a Pattern,
    letters: Vec<char>,
    at: usize,
    /// The sign, once it was met.
    negative: Option<bool>,
    digits: String,
    /// How many of them are behind the point, once that was met.
    behind: Option<usize>,
}

impl Reader<'_> {
    fn next(&self) -> Option<char> {
        self.letters.get(self.at).copied()
    }

    fn read(&mut self) {
        for piece in &self.of.pieces {
            let Some(next) = self.next() else { return };
            match piece {
                Piece::Digit(_) => self.part(true),
                Piece::Point => self.part(false),
                Piece::Group if self.of.fill || next != ',' => continue,
                Piece::Group => {}
                Piece::Minus | Piece::Either if next == '-' => self.negative = Some(true),
                Piece::Plus | Piece::Either if next == '+' => self.negative = Some(false),
                Piece::Minus | Piece::Plus | Piece::Either | Piece::Currency => {
                    self.skip(1);
                    continue;
                }
                Piece::Ordinal(_) if self.of.decimal => continue,
                Piece::Ordinal(_) => {
                    self.skip(2);
                    continue;
                }
                Piece::Sign | Piece::Roman(_) => continue,
                // Whatever stands there.
                Piece::Plain(_) => {}
            }
            self.at += 1;
        }
    }

    /// Passes over so many letters that can be no part of a number.
    fn skip(&mut self, letters: usize) {
        for _ in 0..letters {
            match self.next() {
                Some(next) if !next.is_ascii_digit() && !matches!(next, '.' | ',' | '+' | '-') => self.at += 1,
                _ => return,
            }
        }
    }

    /// A digit, the point, and signs beside them. It ends at the last letter that was read.
    fn part(&mut self, is_digit: bool) {
        if self.next() == Some(' ') {
            self.at += 1;
        }
        if self.negative.is_none() && is_digit && self.digits.is_empty() {
            let bracket = self.of.brackets && self.of.sign != Some(false);
            self.negative = match self.next() {
                Some('-') => Some(true),
                Some('<') if bracket => Some(true),
                Some('+') => Some(false),
                _ => None,
            };
            self.at += usize::from(self.negative.is_some());
        }
        let Some(next) = self.next() else { return };
        let mut found = false;
        if next.is_ascii_digit() {
            if self.behind == Some(self.of.behind) {
                return;
            }
            self.digits.push(next);
            self.behind = self.behind.map(|digits| digits + 1);
            found = true;
        } else if next == '.' && self.of.decimal && self.behind.is_none() {
            self.behind = Some(0);
            found = true;
        }
        if self.negative.is_some() || self.digits.is_empty() {
            return;
        }
        let signed = |letter: Option<&char>| match letter {
            Some('-') => Some(true),
            Some('+') => Some(false),
            _ => None,
        };
        if self.of.sign.is_some() {
            // Behind the last digit.
            if found {
                self.negative = signed(self.letters.get(self.at + 1));
                self.at += usize::from(self.negative.is_some());
            }
        } else if !found && (self.of.plus || self.of.minus) {
            self.negative = signed(Some(&next));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: numbers are read as PostgreSQL 15 reads them. Method: what `to_number` says for each, in units of the last digit.
    #[test]
    fn numbers_are_read_by_patterns() {
        for (written, pattern, wanted) in [
            ("12,454.8-", "99G999D9S", -124_548),
            ("1234.5", "9999.9", 12_345),
            ("-1,234", "9,999", -1234),
            ("$12.50", "L99.99", 1250),
            ("-34,338,492", "99G999G999", -34_338_492),
            ("-34,338,492.654,878", "99G999G999D999G999", -34_338_492_654_878),
            ("<564646.654564>", "999999.999999PR", -564_646_654_564),
            ("0.00001-", "9.999999S", -10),
            ("5.01-", "FM9.999999S", -5_010_000),
            ("5.01-", "FM9.999999MI", -5_010_000),
            (".01-", "99.99S", -1),
            (".-01", "S99.99", -1),
            (" . 0 1-", " 9 9 . 9 9 S", -1),
            ("34,50", "999,99", 3450),
            ("123456", "999G999", 123_456),
            ("123,000", "999G", 123),
            ("42nd", "99th", 42),
            ("12345", "999V99", 12_345),
            ("1234", "9999.99", 123_400),
            ("+7", "SG9", 7),
            ("-7", "MI9", -7),
        ] {
            let of = understood(pattern).expect(pattern);
            assert_eq!(number(written, &of).expect(written), wanted, "{written} {pattern}");
        }
        for (pattern, digits) in [("99G999D9S", (6, 1)), ("999V99", (5, 2)), ("9,999", (4, 0))] {
            let of = understood(pattern).expect(pattern);
            assert_eq!(digits_of(&of).expect(pattern), digits, "{pattern}");
        }
        for (written, pattern) in [("", "99"), ("x", "99"), ("-", "99"), ("12345", "99.99")] {
            let of = understood(pattern).expect(pattern);
            assert!(number(written, &of).is_err(), "{written} {pattern}");
        }
        for pattern in ["9.9EEEE", "RN", "PR9", "9999999999999999999999999999999999999999"] {
            let wide = understood(pattern).and_then(|of| digits_of(&of));
            assert!(wide.is_err(), "{pattern}");
        }
    }
}
