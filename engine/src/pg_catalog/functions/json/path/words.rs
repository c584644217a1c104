//! The words and signs of a path.

use std::iter::Peekable;
use std::str::Chars;

use super::budget::Budget;
use super::number::{Number, OVERFLOW};

/// Signs, those of two letters before those that they begin with.
const SIGNS: &[&str] = &[
    "&&", "||", "==", "<>", "!=", "<=", ">=", "**", "?", "(", ")", "[", "]", "{", "}", ",", "+", "-", "*", "/", "%",
    "<", ">", "!", ".", "$", "@",
];

/// Letters that end a word.
const SPECIAL: &str = "?%$.[]{}()|&!=<>@#,*:-+/\\\" \t\n\r\u{c}";

/// Steps that reading the numbers of a path counts for: a few may be as large as there are.
const NUMBERS_STEPS_MAX: usize = 1_000_000;

#[derive(Debug, Clone)]
pub(super) enum Token {
    Word(String),
    /// In quotes, without them.
    Text(String),
    Variable(String),
    Number(String, Number),
    Sign(&'static str),
}

/// The tokens of a path, or what is wrong with it.
pub(super) fn tokens(path: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let budget = Budget::of(NUMBERS_STEPS_MAX, 0);
    let mut rest = path;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
        let Some(letter) = rest.chars().next() else {
            return Ok(found);
        };
        if let Some(comment) = rest.strip_prefix("/*") {
            rest = match comment.split_once("*/") {
                Some((_, behind)) => behind,
                None => return Err("unexpected end of comment at end of jsonpath input".to_owned()),
            };
            continue;
        }
        if let Some(quoted) = rest.strip_prefix('"') {
            let (text, behind) = unquoted(quoted)?;
            found.push(Token::Text(text));
            rest = behind;
            continue;
        }
        if let Some(named) = rest.strip_prefix('$') {
            if let Some(quoted) = named.strip_prefix('"') {
                let (name, behind) = unquoted(quoted)?;
                found.push(Token::Variable(name));
                rest = behind;
                continue;
            }
            let (name, behind) = word(named);
            if !name.is_empty() {
                found.push(Token::Variable(name.to_owned()));
                rest = behind;
                continue;
            }
        }
        let (own, behind) = word(rest);
        let digits = number(rest);
        if digits > 0 {
            let (text, behind) = rest.split_at(digits);
            if let Some(junk) = behind.chars().next().filter(|letter| !SPECIAL.contains(*letter)) {
                return Err(format!(
                    "trailing junk after numeric literal at or near \"{text}{junk}\" of jsonpath input"
                ));
            }
            let number = Number::parse(text).ok_or_else(|| OVERFLOW.to_owned())?;
            budget.pay(number.cost())?;
            found.push(Token::Number(text.to_owned(), number));
            rest = behind;
        } else if !own.is_empty() {
            found.push(Token::Word(own.to_owned()));
            rest = behind;
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            found.push(Token::Sign(sign));
            rest = rest.strip_prefix(*sign).unwrap_or_default();
        } else {
            return Err(format!("syntax error at or near \"{letter}\" of jsonpath input"));
        }
    }
}

/// A word and what is behind it.
fn word(text: &str) -> (&str, &str) {
    let end = text.find(|letter: char| SPECIAL.contains(letter)).unwrap_or(text.len());
    text.split_at(end)
}

/// How many bytes of a number a text begins with.
fn number(text: &str) -> usize {
    let digits = |from: usize| {
        let rest = text.as_bytes().get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut end = match text.starts_with('0') {
        true => 1,
        false => digits(0),
    };
    let fraction = digits(end + 1);
    if text.as_bytes().get(end) == Some(&b'.') && (end > 0 || fraction > 0) {
        end += 1 + fraction;
    }
    if end == 0 {
        return 0;
    }
    if matches!(text.as_bytes().get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.as_bytes().get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    end
}

/// The text before the next quote, and what is behind it.
fn unquoted(quoted: &str) -> Result<(String, &str), String> {
    let unfinished = || "unterminated quoted string at end of jsonpath input".to_owned();
    let mut out = String::new();
    let mut letters = quoted.chars().peekable();
    loop {
        match letters.next().ok_or_else(unfinished)? {
            '"' => {
                let behind: usize = letters.map(char::len_utf8).sum();
                let at = quoted.len().saturating_sub(behind);
                return Ok((out, quoted.get(at..).unwrap_or_default()));
            }
            '\\' => out.push(match letters.next().ok_or_else(unfinished)? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                'x' => coded(&mut letters, 2).ok_or("invalid hexadecimal character sequence at or near \"\\x\"")?,
                'u' => unicode(&mut letters).ok_or("invalid Unicode escape sequence at or near \"\\u\"")?,
                other => other,
            }),
            letter => out.push(letter),
        }
    }
}

fn digits(letters: &mut Peekable<Chars<'_>>, count: usize) -> Option<u32> {
    let mut code = 0;
    for _ in 0..count {
        code = code * 16 + letters.next()?.to_digit(16)?;
    }
    Some(code)
}

/// The letter of so many digits. None is of zero, which no text holds.
fn coded(letters: &mut Peekable<Chars<'_>>, count: usize) -> Option<char> {
    char::from_u32(digits(letters, count)?).filter(|letter| *letter != '\0')
}

fn unicode(letters: &mut Peekable<Chars<'_>>) -> Option<char> {
    if letters.next_if_eq(&'{').is_some() {
        let mut code = 0_u32;
        for count in 0..=6 {
            match letters.next()? {
                '}' if count > 0 => return char::from_u32(code).filter(|letter| *letter != '\0'),
                digit => code = code * 16 + digit.to_digit(16)?,
            }
        }
        return None;
    }
    let first = digits(letters, 4)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).filter(|letter| *letter != '\0');
    }
    // The second half of a pair.
    letters.next_if_eq(&'\\')?;
    letters.next_if_eq(&'u')?;
    let second = digits(letters, 4)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x10000 + ((first - 0xd800) << 10) + second)
}
