//! The words of one statement, read as far as it takes to know what it asks of the session.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::copying::{Said, unsupported};
use super::{CopyOut, Count, What};
use crate::postgres::failure::{Failure, state};
use crate::postgres::settings::{READ_ONLY, SEARCH_PATH, quoted};

/// The isolations that a transaction may ask for.
const ISOLATIONS: [&str; 4] = ["serializable", "repeatable read", "read committed", "read uncommitted"];

/// The words of a statement, and how far they were read.
pub(super) struct Words<'a> {
    /// The statement.
    sql: &'a str,
    tokens: &'a [&'a TokenWithSpan],
    /// Where each of them begins, in bytes.
    starts: &'a [usize],
    at: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(sql: &'a str, tokens: &'a [&'a TokenWithSpan], starts: &'a [usize]) -> Self {
        Self {
            sql,
            tokens,
            starts,
            at: 0,
        }
    }

    /// What the statement asks for.
    pub(super) fn read(mut self) -> Result<What, Failure> {
        let first = self.word();
        let what = match first.as_str() {
            "BEGIN" => What::Begin(isolation(&self.rest().to_lowercase())),
            "START" if self.takes("TRANSACTION") => What::Begin(isolation(&self.rest().to_lowercase())),
            "COMMIT" | "END" => self.ended(true),
            "ROLLBACK" | "ABORT" => {
                self.skip(&["WORK", "TRANSACTION"]);
                match self.takes("TO") {
                    false => self.ended(false),
                    true => {
                        self.skip(&["SAVEPOINT"]);
                        What::RollbackTo(self.name()?)
                    }
                }
            }
            "SAVEPOINT" => What::Savepoint(self.name()?),
            "RELEASE" => {
                self.skip(&["SAVEPOINT"]);
                What::Release(self.name()?)
            }
            "SET" => self.set()?,
            "RESET" => match self.setting()? {
                name if name.eq_ignore_ascii_case("all") => What::Reset(None),
                name => What::Reset(Some(name)),
            },
            "SHOW" => self.show()?,
            "DISCARD" => What::Discard { all: self.takes("ALL") },
            "DEALLOCATE" => {
                self.skip(&["PREPARE"]);
                What::Deallocate(self.name_or_all()?)
            }
            "PREPARE" => {
                let name = self.name()?;
                let types = match self.peek() {
                    Some(Token::LParen) => self.parenthesized()?,
                    _ => Vec::new(),
                };
                self.wants("AS")?;
                let sql = self.rest();
                What::Prepare { name, types, sql }
            }
            "EXECUTE" => {
                let name = self.name()?;
                let values = match self.peek() {
                    Some(Token::LParen) => self.parenthesized()?,
                    _ => Vec::new(),
                };
                What::Execute { name, values }
            }
            "DECLARE" => self.declare()?,
            "FETCH" => self.fetch(false)?,
            "MOVE" => self.fetch(true)?,
            "CLOSE" => What::Close(self.name_or_all()?),
            "COPY" => self.copy()?,
            "UNLISTEN" => What::Nothing("UNLISTEN"),
            "LISTEN" | "NOTIFY" | "LOCK" | "VACUUM" | "CLUSTER" | "REINDEX" => {
                return Err(Failure::new(state::NOT_SUPPORTED, format!("{first} is not supported")));
            }
            _ => What::Query,
        };
        Ok(what)
    }

    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at).map(|token| &token.token)
    }

    /// The next word in capitals; nothing where there is none.
    fn word(&mut self) -> String {
        match self.peek() {
            Some(Token::Word(word)) if word.quote_style.is_none() => {
                self.at += 1;
                word.value.to_uppercase()
            }
            _ => String::new(),
        }
    }

    fn takes(&mut self, wanted: &str) -> bool {
        let at = self.at;
        let found = self.word() == wanted;
        if !found {
            self.at = at;
        }
        found
    }

    fn skip(&mut self, words: &[&str]) {
        while words.iter().any(|word| self.takes(word)) {}
    }

    fn wants(&mut self, wanted: &str) -> Result<(), Failure> {
        match self.takes(wanted) {
            true => Ok(()),
            false => Err(self.wrong(wanted)),
        }
    }

    fn wrong(&self, wanted: &str) -> Failure {
        let found = self
            .peek()
            .map_or_else(|| "the end".to_owned(), |token| format!("\"{token}\""));
        Failure::new(state::SYNTAX, format!("syntax error: expected {wanted}, found {found}"))
    }

    /// Whatever follows is about how, not what.
    fn ends(&mut self, what: What) -> What {
        self.at = self.tokens.len();
        what
    }

    /// The end of a transaction block.
    fn ended(&mut self, commit: bool) -> What {
        self.skip(&["WORK", "TRANSACTION"]);
        let chain = self.takes("AND") && !self.takes("NO") && self.takes("CHAIN");
        self.ends(match (chain, commit) {
            (true, commit) => What::Chain { commit },
            (false, true) => What::Commit,
            (false, false) => What::Rollback,
        })
    }

    fn name(&mut self) -> Result<String, Failure> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(match word.quote_style {
                    None => word.value.to_lowercase(),
                    Some(_) => word.value.clone(),
                })
            }
            _ => Err(self.wrong("a name")),
        }
    }

    fn name_or_all(&mut self) -> Result<Option<String>, Failure> {
        match self.takes("ALL") {
            true => Ok(None),
            false => self.name().map(Some),
        }
    }

    /// The name of a setting, which may have a point in it.
    fn setting(&mut self) -> Result<String, Failure> {
        if self.takes("TIME") {
            self.wants("ZONE")?;
            return Ok("TimeZone".into());
        }
        let mut name = self.name()?;
        while self.peek() == Some(&Token::Period) {
            self.at += 1;
            name.push('.');
            name.push_str(&self.name()?);
        }
        Ok(name)
    }

    fn set(&mut self) -> Result<What, Failure> {
        let local = self.takes("LOCAL");
        if !local {
            self.skip(&["SESSION"]);
        }
        if self.takes("TRANSACTION") {
            return Ok(What::SetTransaction(isolation(&self.rest().to_lowercase())));
        }
        if self.takes("CHARACTERISTICS") {
            let modes = self.rest().to_lowercase();
            let set = |name: &str, value: String| What::Set {
                name: name.into(),
                value: Some(value),
                local: false,
            };
            // Of two modes the one that does something.
            return Ok(match (access(&modes), isolation(&modes)) {
                (Some(access), _) => set(READ_ONLY, access.into()),
                (None, Some(level)) => set("default_transaction_isolation", level),
                (None, None) => What::Nothing("SET"),
            });
        }
        let by_words = self.takes("NAMES");
        let zone = !by_words
            && self
                .tokens
                .get(self.at)
                .is_some_and(|token| token.token.to_string().eq_ignore_ascii_case("time"));
        let name = match by_words {
            true => "client_encoding".to_owned(),
            false => self.setting()?,
        };
        if !by_words && !zone && !self.takes("TO") {
            match self.peek() {
                Some(Token::Eq) => self.at += 1,
                _ => return Err(self.wrong("TO or =")),
            }
        }
        if self.takes("DEFAULT") || (zone && self.takes("LOCAL")) {
            return Ok(What::Set {
                name,
                value: None,
                local,
            });
        }
        let mut value = String::new();
        while let Some(token) = self.peek() {
            self.at += 1;
            match token {
                Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => {
                    let text = text.replace("''", "'");
                    // A literal is one name of the list, as it is written.
                    match name == SEARCH_PATH {
                        true => value.push_str(&quoted(&text)),
                        false => value.push_str(&text),
                    }
                }
                Token::Comma => value.push_str(", "),
                Token::Word(word)
                    if word.quote_style.is_none() && !value.is_empty() && !value.ends_with([' ', '-', '+']) =>
                {
                    value.push(' ');
                    value.push_str(&word.value);
                }
                other => value.push_str(&other.to_string()),
            }
        }
        match value.is_empty()
            && self
                .tokens
                .last()
                .is_none_or(|last| !matches!(last.token, Token::SingleQuotedString(_)))
        {
            true => Err(self.wrong("a value")),
            false => Ok(What::Set {
                name,
                value: Some(value),
                local,
            }),
        }
    }

    /// The isolation that modes of transactions say.
    fn show(&mut self) -> Result<What, Failure> {
        let at = self.at;
        let first = self.word();
        match first.as_str() {
            "TABLES" | "SCHEMAS" | "DATABASES" | "COLUMNS" | "CREATE" | "FUNCTIONS" | "VIEWS" | "FULL" | "EXTENDED"
            | "GRANTS" | "ROLES" => {
                return Ok(self.ends(What::Query));
            }
            "ALL" => return Ok(What::Show(None)),
            "TRANSACTION" => {
                self.wants("ISOLATION")?;
                self.wants("LEVEL")?;
                return Ok(What::Show(Some("transaction_isolation".into())));
            }
            "SESSION" if self.takes("AUTHORIZATION") => return Ok(What::Show(Some("session_authorization".into()))),
            _ => self.at = at,
        }
        Ok(What::Show(Some(self.setting()?)))
    }

    fn declare(&mut self) -> Result<What, Failure> {
        let name = self.name()?;
        self.skip(&["BINARY", "INSENSITIVE", "ASENSITIVE", "NO", "SCROLL"]);
        self.wants("CURSOR")?;
        let hold = self.takes("WITH");
        if hold || self.takes("WITHOUT") {
            self.wants("HOLD")?;
        }
        self.wants("FOR")?;
        Ok(What::Declare {
            name,
            sql: self.rest(),
            hold,
        })
    }

    fn fetch(&mut self, skip: bool) -> Result<What, Failure> {
        self.skip(&["FORWARD", "NEXT"]);
        let count = match self.peek() {
            Some(Token::Number(number, _)) => {
                self.at += 1;
                Count::Rows(number.parse().map_err(|_| self.wrong("a number"))?)
            }
            _ if self.takes("ALL") => Count::All,
            _ => Count::Rows(1),
        };
        for word in ["PRIOR", "FIRST", "LAST", "ABSOLUTE", "RELATIVE", "BACKWARD"] {
            if self.takes(word) {
                return Err(Failure::new(state::NOT_SUPPORTED, "cursors go forward only"));
            }
        }
        self.skip(&["FROM", "IN"]);
        Ok(What::Fetch {
            name: self.name()?,
            count,
            skip,
        })
    }

    fn copy(&mut self) -> Result<What, Failure> {
        let query = match self.peek() {
            Some(Token::LParen) => self.within()?,
            _ => {
                let mut table = Vec::new();
                while let Some(token @ (Token::Word(_) | Token::Period)) = self.peek() {
                    let word = matches!(token, Token::Word(word) if word.quote_style.is_none());
                    if word
                        && ["TO", "FROM"]
                            .iter()
                            .any(|end| token.to_string().eq_ignore_ascii_case(end))
                    {
                        break;
                    }
                    table.push(token.to_string());
                    self.at += 1;
                }
                let columns = match self.peek() {
                    Some(Token::LParen) => self.within()?,
                    _ => "*".into(),
                };
                // They may end in a comment, hence the line.
                format!("SELECT {columns}\nFROM {}", table.concat())
            }
        };
        if self.takes("FROM") {
            let message = "COPY FROM is not supported: INSERT, or ADBC's bulk load through Flight SQL, take rows in";
            return Err(Failure::new(state::NOT_SUPPORTED, message));
        }
        self.wants("TO")?;
        if !self.takes("STDOUT") {
            return Err(Failure::new(
                state::DENIED,
                "COPY TO a file of the server is not allowed: use STDOUT",
            ));
        }
        self.skip(&["WITH"]);
        let mut copy = CopyOut {
            query,
            binary: false,
            csv: false,
            header: false,
            delimiter: '\t',
            null: String::new(),
            quote: '"',
            escape: '"',
        };
        let mut said = Said::default();
        while let Some(token) = self.peek() {
            let word = token.to_string().to_uppercase();
            self.at += 1;
            match word.as_str() {
                "CSV" => copy.csv = true,
                "HEADER" => copy.header = self.header()?,
                "FORMAT" => match self.said().as_str() {
                    "text" => {}
                    "csv" => copy.csv = true,
                    "binary" => copy.binary = true,
                    other => {
                        let text = format!("COPY format \"{other}\" not recognized");
                        return Err(Failure::new(state::INVALID_PARAMETER, text));
                    }
                },
                "BINARY" => copy.binary = true,
                "DELIMITER" => {
                    self.skip(&["AS"]);
                    said.delimiter = Some(self.literal()?);
                }
                "NULL" => {
                    self.skip(&["AS"]);
                    said.null = Some(self.literal()?);
                }
                "QUOTE" => {
                    self.skip(&["AS"]);
                    said.quote = Some(self.literal()?);
                }
                "ESCAPE" => {
                    self.skip(&["AS"]);
                    said.escape = Some(self.literal()?);
                }
                "ENCODING" => said.encoding = Some(self.literal()?),
                "FORCE_QUOTE" | "FORCE" => {
                    return Err(unsupported("COPY puts values in quotes where they need it only"));
                }
                "(" | ")" | "," => {}
                _ => {
                    return Err(Failure::new(
                        state::SYNTAX,
                        format!("option \"{word}\" of COPY is not known"),
                    ));
                }
            }
        }
        said.put(&mut copy)?;
        Ok(What::CopyOut(copy))
    }

    /// Whether a `COPY` begins with the names of the columns, which it does where nothing is said behind `HEADER`.
    fn header(&mut self) -> Result<bool, Failure> {
        let at = self.at;
        match self.said().to_lowercase().as_str() {
            "true" | "on" | "1" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            "match" => Err(unsupported("cannot use \"match\" with HEADER in COPY TO")),
            _ => {
                self.at = at;
                Ok(true)
            }
        }
    }

    /// The next word, number or text, as it counts; nothing where there is none.
    fn said(&mut self) -> String {
        let said = match self.peek() {
            Some(Token::Word(word)) if word.quote_style.is_none() => word.value.to_lowercase(),
            Some(Token::Word(word)) => word.value.clone(),
            Some(Token::SingleQuotedString(text)) => text.clone(),
            Some(Token::Number(number, _)) => number.clone(),
            _ => return String::new(),
        };
        self.at += 1;
        said
    }

    fn literal(&mut self) -> Result<String, Failure> {
        match self.peek() {
            Some(Token::SingleQuotedString(text)) => {
                self.at += 1;
                Ok(text.replace("''", "'"))
            }
            Some(Token::EscapedStringLiteral(text)) => {
                self.at += 1;
                Ok(text.clone())
            }
            _ => Err(self.wrong("a text")),
        }
    }

    /// What follows, as it was written.
    fn rest(&mut self) -> String {
        let text = match self.tokens.get(self.at) {
            Some(_) => self.written(self.at, self.tokens.len()),
            None => String::new(),
        };
        self.at = self.tokens.len();
        text
    }

    /// The parts between commas of what stands in parentheses here, as they were written. None is empty, unless nothing stands there.
    fn parenthesized(&mut self) -> Result<Vec<String>, Failure> {
        let mut parts = Vec::new();
        let mut depth = 0_usize;
        let mut begin = self.at + 1;
        while let Some(token) = self.peek() {
            match token {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
                _ => {}
            }
            let comma = depth == 1 && *token == Token::Comma;
            if comma || depth == 0 {
                match begin < self.at {
                    true => parts.push(self.written(begin, self.at)),
                    false if comma || !parts.is_empty() => return Err(self.wrong("an expression")),
                    false => {}
                }
                begin = self.at + 1;
            }
            self.at += 1;
            if depth == 0 {
                return Ok(parts);
            }
        }
        Err(self.wrong("\")\""))
    }

    /// What stands in parentheses here, as it was written. In what is put together of its parts, a comment between them would take those
    /// that follow.
    fn within(&mut self) -> Result<String, Failure> {
        let begin = self.at + 1;
        self.parenthesized()?;
        Ok(self.written(begin, self.at - 1))
    }

    /// Tokens of the statement from one up to another, as they were written.
    fn written(&self, from: usize, to: usize) -> String {
        let place = |at: usize| self.starts.get(at).copied().unwrap_or(self.sql.len());
        let text = self.sql.get(place(from)..place(to)).unwrap_or_default();
        text.trim_end().to_owned()
    }
}

/// The level of isolation among the modes of a transaction.
fn isolation(modes: &str) -> Option<String> {
    let (_, said) = modes.split_once("isolation level ")?;
    let level = ISOLATIONS.iter().find(|level| said.trim_start().starts_with(**level));
    level.map(|level| (*level).to_owned())
}

/// Whether it only reads, as the modes of a transaction say.
fn access(modes: &str) -> Option<&'static str> {
    let (only, write) = (modes.rfind("read only"), modes.rfind("read write"));
    match (only, write) {
        (None, None) => None,
        (only, write) if only > write => Some("on"),
        _ => Some("off"),
    }
}
