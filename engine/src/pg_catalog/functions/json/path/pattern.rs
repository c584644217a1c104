//! A regular expression of a path, and what looking for it may take.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

/// Places of a pattern that a letter of a text is held against in about a step.
const PLACES_A_STEP: usize = 32;

/// A pattern that was made ready.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    places: usize,
}

impl Pattern {
    pub(super) fn of(regex: Regex) -> Self {
        let places = places(regex.as_str());
        Self { regex, places }
    }

    /// Steps that looking for it in a text counts for: at worst each of its letters is held against the whole pattern.
    pub(super) fn cost(&self, text: &str) -> usize {
        text.len().saturating_mul(1 + self.places / PLACES_A_STEP)
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

/// Letters and sets of letters that a pattern has where each repetition is written out.
fn places(pattern: &str) -> usize {
    let mut letters = pattern.chars().peekable();
    // Those of the groups around, those of this group, and those of its last part.
    let mut around = Vec::new();
    let (mut here, mut last) = (0_usize, 0_usize);
    while let Some(letter) = letters.next() {
        match letter {
            '(' => {
                around.push(here);
                (here, last) = (0, 0);
            }
            ')' => {
                last = here;
                here = around.pop().unwrap_or_default().saturating_add(last);
            }
            '{' => {
                let repeated = last.saturating_mul(times(&mut letters));
                here = here.saturating_sub(last).saturating_add(repeated);
                last = repeated;
            }
            '*' | '+' | '?' | '|' => {}
            other => {
                match other {
                    '[' => skip_set(&mut letters),
                    '\\' => skip_escape(&mut letters),
                    _ => {}
                }
                last = 1;
                here = here.saturating_add(1);
            }
        }
    }
    around.into_iter().fold(here, usize::saturating_add)
}

/// How often something is repeated at most, or at least where that has no end. The first brace is read.
fn times(letters: &mut Peekable<Chars<'_>>) -> usize {
    let written: String = letters.by_ref().take_while(|letter| *letter != '}').collect();
    let numbers = written
        .split(',')
        .filter_map(|number| number.trim().parse::<usize>().ok());
    numbers.max().unwrap_or(1).max(1)
}

/// A set of letters whose first bracket is read.
fn skip_set(letters: &mut Peekable<Chars<'_>>) {
    let mut depth = 1_usize;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                letters.next();
            }
            '[' => depth += 1,
            ']' if depth == 1 => return,
            ']' => depth -= 1,
            _ => {}
        }
    }
}

/// An escape whose backslash is read: a letter, and its name or number in braces.
fn skip_escape(letters: &mut Peekable<Chars<'_>>) {
    let named = letters.next().is_some_and(|letter| "bpPuUx".contains(letter));
    if named && letters.next_if_eq(&'{').is_some() {
        while letters.next().is_some_and(|letter| letter != '}') {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a pattern costs what it has written out, however short it is. Method: patterns whose letters were counted by hand.
    #[test]
    fn patterns_are_written_out() {
        for (pattern, expected) in [
            ("", 0),
            ("abc", 3),
            ("a|b", 2),
            (r"^\d{4}-\d{2}$", 9),
            (r"[a-z\]{3}]{5}x", 6),
            ("[[:alpha:]x]{2}", 2),
            ("(a|b){10}c", 21),
            ("((ab){10}){10}", 200),
            ("a{2}{3}", 6),
            ("a{2,}b{1,7}c+", 10),
            (r"\x{2019}{3}", 3),
            (r"\b{start}a", 2),
            ("a{99999999999999999999}", 1),
            ("(a", 1),
        ] {
            assert_eq!(places(pattern), expected, "{pattern}");
        }
        let pattern = Pattern::of(Regex::new("(a|b){320}c").expect("a pattern"));
        assert_eq!(pattern.cost("abab"), 4 * 21);
        assert!(pattern.is_in(&format!("{}c", "ab".repeat(160))) && !pattern.is_in("abc"));
    }
}
