//! PostgreSQL's patterns for numbers: `FM999,990.00`, `S9999`, `9.99EEEE`, `RN`.

/// How wide a Roman number is.
const ROMAN: usize = 15;

/// What a pattern is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// `9` and `0`.
    Digit(bool),
    Point,
    Group,
    /// The sign at the first or behind the last digit.
    Sign,
    Minus,
    Plus,
    Either,
    Currency,
    Ordinal(bool),
    Roman(bool),
    Plain(char),
}

/// A pattern and what it says of the number as a whole.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    pub(super) pieces: Vec<Piece>,
    /// Digits before the point, behind it, and those that the number is shifted by.
    pub(super) before: usize,
    pub(super) behind: usize,
    pub(super) shift: usize,
    /// Before which digit zeros begin.
    zeros_from: Option<usize>,
    /// The last `0`, counted from the first digit.
    last_zero: usize,
    /// Without padding.
    pub(super) fill: bool,
    pub(super) decimal: bool,
    /// Whether there is an `S`, and whether it stands behind the digits.
    pub(super) sign: Option<bool>,
    pub(super) brackets: bool,
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) exponent: bool,
}

const WORDS: &[&str] = &["EEEE", "FM", "MI", "PL", "PR", "RN", "SG", "TH"];

/// A pattern taken apart.
pub(super) fn parsed(pattern: &str) -> Result<Pattern, String> {
    let mut of = Pattern::default();
    let mut rest = pattern;
    let (mut shifted, mut sign_at) = (false, None);
    while let Some(first) = rest.chars().next() {
        if let Some(inner) = rest.strip_prefix('"') {
            let (text, behind) = inner.split_once('"').unwrap_or((inner, ""));
            of.pieces.extend(text.chars().map(Piece::Plain));
            rest = behind;
            continue;
        }
        let word = WORDS.iter().find(|word| {
            rest.get(..word.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(word))
        });
        if let Some(word) = word {
            let (spelled, behind) = rest.split_at(word.len());
            let small = spelled.chars().next().is_some_and(char::is_lowercase);
            match *word {
                "EEEE" => of.exponent = true,
                "FM" => of.fill = true,
                "MI" => {
                    of.minus = true;
                    of.pieces.push(Piece::Minus);
                }
                "PL" => {
                    of.plus = true;
                    of.pieces.push(Piece::Plus);
                }
                "SG" => {
                    (of.minus, of.plus) = (true, true);
                    of.pieces.push(Piece::Either);
                }
                "PR" => of.brackets = true,
                "RN" => of.pieces.push(Piece::Roman(small)),
                _ => of.pieces.push(Piece::Ordinal(small)),
            }
            rest = behind;
            continue;
        }
        rest = rest.get(first.len_utf8()..).unwrap_or_default();
        match first.to_ascii_uppercase() {
            digit @ ('9' | '0') => {
                if of.brackets {
                    return Err("\"9\" must be ahead of \"PR\"".into());
                }
                of.pieces.push(Piece::Digit(digit == '0'));
                if digit == '0' && !of.decimal && of.zeros_from.is_none() {
                    of.zeros_from = Some(of.before);
                }
                if shifted {
                    of.shift += 1;
                } else if of.decimal {
                    of.behind += 1;
                } else {
                    of.before += 1;
                }
                if digit == '0' {
                    of.last_zero = of.before + of.behind;
                }
            }
            '.' | 'D' => {
                of.decimal = true;
                of.pieces.push(Piece::Point);
            }
            ',' | 'G' => of.pieces.push(Piece::Group),
            'S' => {
                sign_at = Some(of.before);
                of.sign = Some(of.decimal);
                of.pieces.push(Piece::Sign);
            }
            'V' => shifted = true,
            'L' => of.pieces.push(Piece::Currency),
            'B' => {}
            _ => of.pieces.push(Piece::Plain(first)),
        }
    }
    if sign_at == Some(of.before) && of.before > 0 && of.sign == Some(false) {
        of.sign = Some(true);
    }
    of.before += of.shift;
    Ok(of)
}

/// A number, given as its plain text, in a pattern. What does not fit is shown as `#`.
pub(super) fn number_to_text(number: &str, pattern: &str) -> Result<String, String> {
    let of = parsed(pattern)?;
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number),
    };
    if of.exponent {
        return Ok(scientific(negative, digits, of.behind));
    }
    let shifted = shift(digits, of.shift);
    let rounded = rounded(&shifted, of.behind);
    let (whole, fraction) = rounded.split_once('.').unwrap_or((&rounded, ""));
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    // What is rounded to nothing has no sign.
    let negative = negative && rounded.bytes().any(|digit| matches!(digit, b'1'..=b'9'));
    if let Some(small) = of.pieces.iter().find_map(|piece| match piece {
        Piece::Roman(small) => Some(*small),
        _ => None,
    }) {
        let roman = roman(negative, whole, small);
        return Ok(if of.fill { roman } else { format!("{roman:>ROMAN$}") });
    }
    let overflows = whole.len() > of.before;
    let text = match (overflows, of.decimal) {
        (true, _) => format!("{}.{}", "#".repeat(of.before), "#".repeat(of.behind)),
        (false, true) => format!("{whole}.{fraction}"),
        (false, false) => whole.to_owned(),
    };
    Ok(Writer::new(&of, text.into_bytes(), whole.len(), negative).write())
}

/// The state of a number that is put into a pattern, piece by piece.
struct Writer<'a> {
    of: &'a Pattern,
    number: Vec<u8>,
    /// The next digit.
    at: usize,
    /// Places before the first digit.
    spaces: usize,
    /// The last digit that is not dropped.
    relevant: Option<usize>,
    negative: bool,
    signed: bool,
    /// Whether a digit was written.
    within: bool,
    place: usize,
    end: usize,
    out: String,
}

impl<'a> Writer<'a> {
    fn new(of: &'a Pattern, number: Vec<u8>, whole: usize, negative: bool) -> Self {
        let spaces = of.before.saturating_sub(whole);
        let point = number.iter().position(|byte| *byte == b'.');
        let relevant = point.filter(|_| of.fill && of.decimal).map(|point| {
            let last = number
                .iter()
                .rposition(|byte| !matches!(byte, b'0'))
                .unwrap_or(point)
                .max(point);
            match of.last_zero > spaces {
                true => last.max((number.len() - 1).min(of.last_zero - spaces)),
                false => last,
            }
        });
        let signed = match of.minus || of.plus {
            true => of.minus,
            false => !negative && of.fill && of.sign.is_none(),
        };
        let mut end = (of.behind + of.before).saturating_sub(1);
        if !signed && spaces == 0 {
            end += 1;
        }
        end += usize::from(spaces > 0) + usize::from(of.decimal);
        Self {
            of,
            number,
            at: 0,
            spaces,
            relevant,
            negative,
            signed,
            within: false,
            place: 0,
            end,
            out: String::new(),
        }
    }

    fn write(mut self) -> String {
        for piece in &self.of.pieces {
            let fill = self.of.fill;
            match piece {
                Piece::Digit(zero) => self.digit(*zero),
                Piece::Point => self.digit(false),
                Piece::Group if self.within => self.out.push(','),
                Piece::Group if fill => {}
                Piece::Group | Piece::Currency => self.out.push(' '),
                Piece::Sign | Piece::Roman(_) => {}
                Piece::Minus if self.negative => self.out.push('-'),
                Piece::Minus if fill => {}
                Piece::Minus => self.out.push(' '),
                Piece::Plus if !self.negative => self.out.push('+'),
                Piece::Plus if fill => {}
                Piece::Plus => self.out.push(' '),
                Piece::Either => self.out.push(if self.negative { '-' } else { '+' }),
                Piece::Ordinal(small) => self.ordinal(*small),
                Piece::Plain(letter) => self.out.push(*letter),
            }
        }
        self.out
    }

    /// Whether this is the zero of `0.5`, which `9.9` shows as a space.
    fn hidden(&self) -> bool {
        self.of.zeros_from.is_none() && self.at == 0 && self.number.first() == Some(&b'0') && self.of.behind > 0
    }

    fn digit(&mut self, zero: bool) {
        let point = |at: Option<usize>, number: &[u8]| at.and_then(|at| number.get(at)) == Some(&b'.');
        let bare = point(self.relevant, &self.number);
        let filled = self.of.zeros_from.is_some_and(|from| from <= self.place);
        let begins = self.place >= self.spaces || self.of.zeros_from == Some(self.place);
        if !self.signed && begins && (!self.hidden() || bare) {
            self.sign();
        }
        if self.place < self.spaces {
            match filled {
                true => {
                    self.out.push('0');
                    self.within = true;
                }
                false if self.of.fill => {}
                false => self.out.push(' '),
            }
        } else {
            let next = self.number.get(self.at).copied();
            match next {
                Some(b'.') => self.out.push('.'),
                Some(_) if self.relevant.is_some_and(|last| self.at > last) && !zero => {}
                Some(_) if self.hidden() => match (self.of.fill, bare) {
                    (false, _) => self.out.push(' '),
                    (true, true) => self.out.push('0'),
                    _ => {}
                },
                Some(digit) => {
                    self.out.push(char::from(digit));
                    self.within = true;
                }
                None => {}
            }
            if next.is_some() {
                self.at += 1;
            }
        }
        let end = match self.relevant == Some(self.at) {
            true => self.place,
            false => self.end,
        };
        if self.place + 1 == end {
            if self.signed && self.of.brackets {
                self.out.push(if self.negative { '>' } else { ' ' });
            } else if self.of.sign == Some(true) {
                self.out.push(if self.negative { '-' } else { '+' });
            }
        }
        self.place += 1;
    }

    fn sign(&mut self) {
        let sign = match (self.of.sign, self.of.brackets, self.negative) {
            (Some(true), ..) => return,
            (Some(false), _, negative) => Some(if negative { '-' } else { '+' }),
            (None, true, true) => Some('<'),
            (None, true, false) => (!self.of.fill).then_some(' '),
            (None, false, true) => Some('-'),
            (None, false, false) => (!self.of.fill).then_some(' '),
        };
        self.out.extend(sign);
        self.signed = true;
    }

    fn ordinal(&mut self, small: bool) {
        if self.negative || self.of.decimal || self.number.first() == Some(&b'#') {
            return;
        }
        let end = ordinal_end(&String::from_utf8_lossy(&self.number));
        self.out
            .push_str(&if small { end.to_owned() } else { end.to_uppercase() });
    }
}

/// `st`, `nd`, `rd` or `th`.
pub(super) fn ordinal_end(digits: &str) -> &'static str {
    let mut last = digits.bytes().rev();
    let (last, before) = (last.next(), last.next());
    match (before, last) {
        (Some(b'1'), _) => "th",
        (_, Some(b'1')) => "st",
        (_, Some(b'2')) => "nd",
        (_, Some(b'3')) => "rd",
        _ => "th",
    }
}

fn scientific(negative: bool, digits: &str, places: usize) -> String {
    let value: f64 = digits.parse().unwrap_or_default();
    let shown = format!("{value:.places$e}");
    let (mantissa, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let sign = if negative { '-' } else { ' ' };
    let direction = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{mantissa}e{direction}{:02}", exponent.unsigned_abs())
}

/// A number from 1 to 3999 in Roman letters.
pub(super) fn roman_of(number: u32) -> String {
    let letters = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let mut rest = number;
    let mut out = String::new();
    for (value, letters) in letters {
        while rest >= value {
            out.push_str(letters);
            rest -= value;
        }
    }
    out
}

fn roman(negative: bool, whole: &str, small: bool) -> String {
    match whole.parse::<u32>() {
        Ok(number @ 1..=3999) if !negative => match small {
            true => roman_of(number).to_lowercase(),
            false => roman_of(number),
        },
        _ => "#".repeat(ROMAN),
    }
}

/// With the point so many digits further right.
fn shift(digits: &str, places: usize) -> String {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let padded = format!("{fraction:0<places$}");
    let (moved, rest) = padded.split_at(places);
    format!("{whole}{moved}.{rest}")
}

/// Rounded half up to so many places, with all of them.
fn rounded(digits: &str, places: usize) -> String {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut kept: Vec<u8> = whole
        .bytes()
        .chain(fraction.bytes().chain(std::iter::repeat(b'0')).take(places))
        .collect();
    let up = fraction.as_bytes().get(places).is_some_and(|digit| *digit >= b'5');
    if up {
        let mut at = kept.len();
        loop {
            if at == 0 {
                kept.insert(0, b'1');
                break;
            }
            at -= 1;
            match kept.get_mut(at) {
                Some(digit) if *digit == b'9' => *digit = b'0',
                Some(digit) => {
                    *digit += 1;
                    break;
                }
                None => break,
            }
        }
    }
    let point = kept.len() - places;
    let text = String::from_utf8(kept).unwrap_or_default();
    match places {
        0 => text,
        _ => {
            let (whole, fraction) = text.split_at(point);
            format!("{whole}.{fraction}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: numbers are shown as PostgreSQL 15 shows them. Method: what `to_char` said for each.
    #[test]
    fn numbers_are_shown_in_patterns() {
        for (number, pattern, shown) in [
            ("1234.5", "FM999,990.00", "1,234.50"),
            ("0.5", "FM990.00", "0.50"),
            ("-485", "999", "-485"),
            ("485", "999", " 485"),
            ("12", "9999", "   12"),
            ("148.567", "999.9", " 148.6"),
            ("12345", "999", " ###"),
            ("5", "000", " 005"),
            ("1.10", "FM999.99", "1.1"),
            ("0", "999", "   0"),
            ("-0.05", "999", "   0"),
            ("-0.05", "9999.9", "    -.1"),
            ("7", "S999", "  +7"),
            ("-7", "999S", "  7-"),
            ("7", "999S", "  7+"),
            ("-7", "MI9999.9", "-   7.0"),
            ("-7", "9999.9MI", "   7.0-"),
            ("-7", "9999.9PR", "   <7.0>"),
            ("7", "9999.9PR", "    7.0 "),
            ("-7", "SG999", "-  7"),
            ("-7", "$9999.99", "$   -7.00"),
            ("7", "FM$9,999", "$7"),
            ("12.345", "9.99EEEE", " 1.23e+01"),
            ("-0.05", "V999", " -50"),
            ("7", "V999", " ###"),
            ("7", "999th", "   7th"),
            ("12", "FM999th", "12th"),
            ("7", "RN", "            VII"),
            ("-7", "RN", "###############"),
            ("7", "L999", "    7"),
            ("7", "FM9.9", "7."),
            ("1234567.891", "9999.9MI", "####.# "),
            ("1234567.891", "999S", "###+"),
            ("-0.05", "FM0000", "0000"),
        ] {
            assert_eq!(
                number_to_text(number, pattern).as_deref(),
                Ok(shown),
                "{number} {pattern}"
            );
        }
        assert!(number_to_text("7", "PR9999.9").is_err());
    }
}
