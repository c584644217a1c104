//! PostgreSQL's regular expressions as those of the regex crate (PostgreSQL 15, 9.7.3): what a dot and the end of a line are, escapes,
//! brackets, options. What that crate cannot do, back references and looking around, it refuses; of alternatives it takes the first
//! that matches, where PostgreSQL takes the longest.

use std::iter::Peekable;
use std::str::Chars;

use datafusion::common::{Result, exec_err};
use regex::{Error, Regex, RegexBuilder};

use crate::error::EngineError;

/// Bytes of a pattern that was made ready.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Groups of a pattern: at worst the places of all of them are carried along with each letter.
const GROUPS_MAX: usize = 100;

/// Letters of options at the beginning of a pattern, `(?i)…`.
const EMBEDDED: &str = "bceimnpqstwx";

/// How a pattern is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pg_catalog) struct Options {
    any_case: bool,
    /// Whether a dot, and a bracket that excludes letters, match the end of a line.
    across_lines: bool,
    /// Whether `^` and `$` match at each line.
    at_lines: bool,
    spaced: bool,
    literal: bool,
    /// Whether all matches are meant.
    pub(super) all: bool,
}

impl Options {
    /// By their letters.
    pub(in crate::pg_catalog) fn of(letters: &str) -> Result<Self> {
        let mut options = Self {
            any_case: false,
            across_lines: true,
            at_lines: false,
            spaced: false,
            literal: false,
            all: false,
        };
        for letter in letters.chars() {
            options.take(letter)?;
        }
        Ok(options)
    }

    fn take(&mut self, letter: char) -> Result<()> {
        match letter {
            'g' => self.all = true,
            'i' => self.any_case = true,
            'c' => self.any_case = false,
            'm' | 'n' => (self.across_lines, self.at_lines) = (false, true),
            'p' => (self.across_lines, self.at_lines) = (false, false),
            'w' => (self.across_lines, self.at_lines) = (true, true),
            's' => (self.across_lines, self.at_lines) = (true, false),
            'x' => self.spaced = true,
            't' => self.spaced = false,
            'q' => self.literal = true,
            'e' => {}
            'b' => return exec_err!("invalid regular expression: basic regular expressions are not supported"),
            other => return exec_err!("invalid regular expression option: \"{other}\""),
        }
        Ok(())
    }
}

/// The pattern, made ready.
pub(in crate::pg_catalog) fn compiled(pattern: &str, options: Options) -> Result<Regex> {
    let mut builder = RegexBuilder::new(&translated(pattern, options)?);
    let too_large = |what, max| -> Result<Regex> { Err(EngineError::PatternTooLarge { what, max }.into()) };
    match builder.size_limit(PATTERN_BYTES_MAX).build() {
        // The whole counts as one.
        Ok(pattern) if pattern.captures_len() > GROUPS_MAX + 1 => too_large("groups", GROUPS_MAX),
        Ok(pattern) => Ok(pattern),
        Err(Error::CompiledTooBig(_)) => too_large("bytes, made ready", PATTERN_BYTES_MAX),
        Err(error) => exec_err!("invalid regular expression: {error}"),
    }
}

/// The pattern as the regex crate writes it.
pub(in crate::pg_catalog) fn translated(pattern: &str, mut options: Options) -> Result<String> {
    let mut rest = pattern;
    if let Some(literal) = rest.strip_prefix("***=") {
        (rest, options.literal) = (literal, true);
    } else if let Some(advanced) = rest.strip_prefix("***:") {
        rest = advanced;
    }
    if !options.literal
        && let Some((letters, behind)) = rest.strip_prefix("(?").and_then(|rest| rest.split_once(')'))
        && !letters.is_empty()
        && letters.chars().all(|letter| EMBEDDED.contains(letter))
    {
        for letter in letters.chars() {
            options.take(letter)?;
        }
        rest = behind;
    }
    let body = match options.literal {
        true => regex::escape(rest),
        false => Written::of(rest, options),
    };
    let flags: String = [
        (options.any_case, 'i'),
        (options.across_lines && !options.literal && rest.contains('.'), 's'),
        (options.at_lines, 'm'),
        (options.spaced && !options.literal, 'x'),
    ]
    .into_iter()
    .filter_map(|(is_set, letter)| is_set.then_some(letter))
    .collect();
    Ok(match flags.is_empty() {
        true => body,
        false => format!("(?{flags}){body}"),
    })
}

/// A pattern on its way.
struct Written<'a> {
    letters: Peekable<Chars<'a>>,
    options: Options,
    done: String,
}

impl<'a> Written<'a> {
    fn of(pattern: &'a str, options: Options) -> String {
        let mut written = Self {
            letters: pattern.chars().peekable(),
            options,
            done: String::with_capacity(pattern.len() + 8),
        };
        while let Some(letter) = written.letters.next() {
            match letter {
                '\\' => written.escape(),
                '[' => written.bracket(),
                '{' if !written.letters.peek().is_some_and(char::is_ascii_digit) => written.done.push_str("\\{"),
                other => written.done.push(other),
            }
        }
        written.done
    }

    /// What stands behind a backslash, outside of brackets.
    fn escape(&mut self) {
        let Some(letter) = self.letters.next() else {
            self.done.push('\\');
            return;
        };
        match letter {
            'm' => self.done.push_str(r"\b{start}"),
            'M' => self.done.push_str(r"\b{end}"),
            'y' => self.done.push_str(r"\b"),
            'Y' => self.done.push_str(r"\B"),
            'Z' => self.done.push_str(r"\z"),
            other => self.letter(other),
        }
    }

    /// A letter that an escape stands for, wherever it is.
    fn letter(&mut self, letter: char) {
        match letter {
            'B' => self.done.push_str(r"\\"),
            'b' => self.done.push_str(r"\x08"),
            'e' => self.done.push_str(r"\x1b"),
            '0' => self.done.push_str(r"\x00"),
            'x' => {
                let mut digits = String::new();
                while let Some(digit) = self.letters.next_if(char::is_ascii_hexdigit) {
                    digits.push(digit);
                }
                self.done.push_str(&format!("\\x{{{digits}}}"));
            }
            other if other.is_alphanumeric() => self.done.extend(['\\', other]),
            other => self.done.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }

    fn bracket(&mut self) {
        let rest: String = self.letters.clone().take("[:<:]]".len()).collect();
        for (word, meant) in [("[:<:]]", r"\b{start}"), ("[:>:]]", r"\b{end}")] {
            if rest == word {
                self.done.push_str(meant);
                self.letters.nth(word.len() - 1);
                return;
            }
        }
        self.done.push('[');
        if self.letters.next_if_eq(&'^').is_some() {
            self.done.push('^');
            if !self.options.across_lines {
                self.done.push_str("\\n");
            }
        }
        if self.letters.next_if_eq(&']').is_some() {
            self.done.push_str("\\]");
        }
        while let Some(letter) = self.letters.next() {
            match (letter, self.letters.peek()) {
                (']', _) => {
                    self.done.push(']');
                    return;
                }
                ('[', Some(':')) => self.class(),
                ('[', Some('.' | '=')) => self.element(),
                ('\\', _) => match self.letters.next() {
                    Some(escaped) => self.letter(escaped),
                    None => self.done.push('\\'),
                },
                // Sets within sets are the regex crate's alone.
                ('[' | '&' | '~', _) => self.done.extend(['\\', letter]),
                ('-', Some('-')) => self.done.push_str("\\-"),
                (other, _) => self.done.push(other),
            }
        }
    }

    /// `[:alpha:]`, whose first bracket is read.
    fn class(&mut self) {
        self.done.push('[');
        while let Some(letter) = self.letters.next() {
            self.done.push(letter);
            if letter == ':' && self.letters.peek() == Some(&']') && !self.done.ends_with("[:") {
                self.letters.next();
                self.done.push(']');
                return;
            }
        }
    }

    /// `[.a.]` or `[=a=]`, whose first bracket is read: the letter in it.
    fn element(&mut self) {
        let mark = self.letters.next();
        while let Some(letter) = self.letters.next() {
            if Some(letter) == mark && self.letters.next_if_eq(&']').is_some() {
                return;
            }
            self.done.push_str(&regex::escape(letter.encode_utf8(&mut [0; 4])));
        }
    }
}

#[cfg(test)]
mod tests {
    use tidewater_core::Coded;

    use super::*;

    // Goal: patterns match what they match in PostgreSQL 15. Method: what it said of each of these.
    #[test]
    fn patterns_are_those_of_postgres() {
        for (pattern, options, text, found) in [
            ("a.b", "", "a\nb", Some("a\nb")),
            ("a.b", "n", "a\nb", None),
            ("^b", "", "a\nb", None),
            ("^b", "n", "a\nb", Some("b")),
            ("a[^x]b", "n", "a\nb", None),
            ("a[^x]b", "w", "a\nb", Some("a\nb")),
            (r"\mfoo\M", "", "a foo b", Some("foo")),
            ("[[:<:]]foo[[:>:]]", "", "a foo b", Some("foo")),
            (r"b\Z", "", "ab", Some("b")),
            ("a{", "", "a{", Some("a{")),
            ("a{2}", "", "aa", Some("aa")),
            ("a.c", "q", "abc a.c", Some("a.c")),
            ("***=a.c", "", "abc a.c", Some("a.c")),
            ("(?i)ABC", "", "abc", Some("abc")),
            ("ABC", "ic", "abc", None),
            ("a b", "x", "ab", Some("ab")),
            ("[]a]+", "", "x]a", Some("]a")),
            ("[a[b]+", "", "[ab", Some("[ab")),
            ("[a&&b]+", "", "&b", Some("&b")),
            ("[--/]+", "", "-./", Some("-./")),
            ("[[:digit:]x]+", "", "a1x2", Some("1x2")),
            ("[[.-.]a]+", "", "-a", Some("-a")),
            (r"[\d\-]+", "", "1-2", Some("1-2")),
            (r"\x41b", "", "Ab", None),
            (r"\x41z", "", "Az", Some("Az")),
            (r"a\.b", "", "axb a.b", Some("a.b")),
        ] {
            let pattern_of = compiled(pattern, Options::of(options).expect("options")).expect(pattern);
            let matched = pattern_of.find(text).map(|found| found.as_str());
            assert_eq!(matched, found, "{text:?} by {pattern:?} with {options:?}: {pattern_of}");
        }
        for (pattern, options) in [("(a)\\1", ""), ("a(?=b)", ""), ("a(", ""), ("a", "b"), ("a", "?")] {
            let read = Options::of(options).and_then(|options| compiled(pattern, options));
            assert!(read.is_err(), "{pattern} with {options:?}");
        }
    }

    // Goal: a short pattern that is large, made ready, is refused with its code, and one that is not is read. Method: repetitions within
    // repetitions, and groups, one more than there may be and as many.
    #[test]
    fn large_patterns_are_refused() {
        let read = |pattern: &str| compiled(pattern, Options::of("").expect("options"));
        for pattern in ["(a{1,1000}){1,1000}".to_owned(), "(a)".repeat(GROUPS_MAX + 1)] {
            let refused = EngineError::from(read(&pattern).expect_err(&pattern));
            assert_eq!(refused.code(), "ENG-0026", "{refused}");
        }
        for pattern in [
            "(a{1,100}){1,10}".to_owned(),
            "(a)".repeat(GROUPS_MAX),
            "(?:a)".repeat(GROUPS_MAX + 1),
        ] {
            assert!(read(&pattern).is_ok(), "{pattern}");
        }
    }
}
