//! The text of a statement by its tokens, each with its place, and the text with changes at such places: for what has to be changed before
//! the parser reads it.

use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

/// The tokens of a text but for blanks and comments.
pub(super) struct Tokens<'a> {
    all: Vec<TokenWithSpan>,
    places: Places<'a>,
}

impl<'a> Tokens<'a> {
    /// None for what cannot be cut into tokens, which is told by the parser.
    pub(super) fn of(sql: &'a str, dialect: &dyn Dialect) -> Option<Self> {
        let all = Tokenizer::new(dialect, sql).tokenize_with_location().ok()?;
        let all = all
            .into_iter()
            .filter(|token| !matches!(token.token, Token::Whitespace(_)));
        Some(Self {
            all: all.collect(),
            places: Places::new(sql),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Those from one on.
    pub(super) fn rest(&self, at: usize) -> &[TokenWithSpan] {
        self.all.get(at..).unwrap_or_default()
    }

    /// Those before one.
    pub(super) fn before(&self, at: usize) -> &[TokenWithSpan] {
        self.all.get(..at).unwrap_or_default()
    }

    /// Where a token begins, in bytes.
    pub(super) fn begin(&self, token: &TokenWithSpan) -> usize {
        self.places.offset(token.span.start)
    }

    /// Where what follows it begins, in bytes.
    pub(super) fn end(&self, token: &TokenWithSpan) -> usize {
        self.places.offset(token.span.end)
    }
}

/// Whether a token is this word, without quotes.
pub(super) fn is(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

/// A text that is written anew with changes, from its beginning on.
pub(super) struct Changed<'a> {
    sql: &'a str,
    written: String,
    copied: usize,
}

impl<'a> Changed<'a> {
    pub(super) fn new(sql: &'a str) -> Self {
        Self {
            sql,
            written: String::with_capacity(sql.len()),
            copied: 0,
        }
    }

    /// Puts a text in the place of so many bytes. What stands before the last change stays as it is.
    pub(super) fn put(&mut self, begin: usize, length: usize, text: &str) {
        let end = begin.saturating_add(length);
        if let Some(before) = self.sql.get(self.copied..begin)
            && self.sql.is_char_boundary(end)
        {
            self.written.push_str(before);
            self.written.push_str(text);
            self.copied = end;
        }
    }

    pub(super) fn written(mut self) -> String {
        self.written.push_str(self.sql.get(self.copied..).unwrap_or_default());
        self.written
    }
}

/// Characters from one to the next of which it is known where it is.
const MARK: usize = 64;

/// Where lines begin: the tokenizer counts lines and characters from one. A statement may have one line and a million places in it, so
/// none is looked for from its beginning on.
pub(super) struct Places<'a> {
    sql: &'a str,
    /// Characters before each line.
    lines: Vec<usize>,
    /// Where every [`MARK`]th character is.
    marks: Vec<usize>,
}

impl<'a> Places<'a> {
    pub(super) fn new(sql: &'a str) -> Self {
        let (mut lines, mut marks) = (vec![0], Vec::with_capacity(sql.len() / MARK + 1));
        for (count, (at, letter)) in sql.char_indices().enumerate() {
            if count.is_multiple_of(MARK) {
                marks.push(at);
            }
            if letter == '\n' {
                lines.push(count + 1);
            }
        }
        Self { sql, lines, marks }
    }

    pub(super) fn offset(&self, place: Location) -> usize {
        let index = |number: u64| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        let line = self.lines.get(index(place.line));
        let count = line.map(|before| before.saturating_add(index(place.column)));
        let mark = count.and_then(|count| Some((self.marks.get(count / MARK)?, count % MARK)));
        let found = mark.and_then(|(mark, behind)| {
            let mut letters = self.sql.get(*mark..)?.char_indices();
            letters.nth(behind).map(|(at, _)| mark + at)
        });
        found.unwrap_or(self.sql.len())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;

    use super::*;

    // Goal: a text is the same but for what is changed in it. Method: tokens on several lines, letters of several bytes, a comment, and
    // changes at the beginning, within, at the end and before another one.
    #[test]
    fn what_is_changed() {
        let sql = "é AS -- x\n  \"ä\", x";
        let tokens = Tokens::of(sql, &GenericDialect {}).expect("tokens");
        let [first, word, name, comma, last] = tokens.rest(0) else {
            panic!("{} tokens", tokens.len());
        };
        assert!(is(word, "as") && !is(name, "ä") && comma.token == Token::Comma);
        assert_eq!((tokens.before(1).len(), tokens.rest(9).len()), (1, 0));
        let mut changed = Changed::new(sql);
        changed.put(tokens.begin(first), "é".len(), "b");
        changed.put(tokens.begin(name), 0, "(");
        changed.put(tokens.end(name), 0, ")");
        changed.put(tokens.begin(word), 2, "never");
        changed.put(tokens.end(last), 0, ";");
        assert_eq!(changed.written(), "b AS -- x\n  (\"ä\"), x;");
        assert!(Tokens::of("'x", &GenericDialect {}).is_none());
    }

    // Goal: a place is where its line and character are, however long the line. Method: every character of lines of letters of all lengths,
    // and places behind the end.
    #[test]
    fn places_are_found() {
        let line = "aä€𝄞".repeat(MARK);
        let sql = format!("\n{line}\r\nx\n");
        let places = Places::new(&sql);
        let (mut number, mut column) = (1, 1);
        for (at, letter) in sql.char_indices() {
            assert_eq!(places.offset(Location::new(number, column)), at);
            (number, column) = if letter == '\n' {
                (number + 1, 1)
            } else {
                (number, column + 1)
            };
        }
        for (number, column) in [(4, 1), (4, 9), (5, 1), (u64::MAX, u64::MAX), (1, u64::MAX)] {
            assert_eq!(places.offset(Location::new(number, column)), sql.len());
        }
    }
}
