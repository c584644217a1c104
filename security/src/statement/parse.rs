//! From text to a statement. The grammar is PostgreSQL's, with `MANAGE GRANTS` and `WAREHOUSE` beside.

use super::{GrantStatement, PolicyChange, Target, Whom};
use crate::error::SecurityError;
use crate::policy::{PUBLIC, Privilege, PrivilegeSet};

type Result<T> = std::result::Result<T, SecurityError>;

/// Longest statement that is looked at: a thousand columns by name.
const STATEMENT_BYTES_MAX: usize = 256 << 10;

/// The one catalog, as statements may call it.
const CATALOG: &str = "lake";

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A word, in lower case.
    Word(String),
    /// A name in quotes.
    Quoted(String),
    Mark(char),
}

pub(super) fn statement(sql: &str) -> Result<Option<GrantStatement>> {
    if !begins(sql) {
        return Ok(None);
    }
    if sql.len() > STATEMENT_BYTES_MAX {
        return Err(bad(format!("it is longer than {STATEMENT_BYTES_MAX} bytes")));
    }
    let (tokens, written) = tokens(sql)?;
    let mut words = Words { tokens, written, at: 0 };
    let statement = if words.take(&["create", "role"]) {
        let if_not_exists = words.take(&["if", "not", "exists"]);
        let role = words.name("the role's name")?;
        GrantStatement::Change(PolicyChange::CreateRole { role, if_not_exists })
    } else if words.take(&["drop", "role"]) {
        let if_exists = words.take(&["if", "exists"]);
        let role = words.name("the role's name")?;
        GrantStatement::Change(PolicyChange::DropRole { role, if_exists })
    } else if words.take(&["show", "roles"]) {
        GrantStatement::ShowRoles
    } else if words.take(&["show", "grants"]) {
        let (mut to, mut on) = (None, None);
        loop {
            if to.is_none() && (words.take(&["to"]) || words.take(&["for"])) {
                to = Some(words.whom()?);
            } else if on.is_none() && words.take(&["on"]) {
                on = Some(words.target()?);
            } else {
                break;
            }
        }
        GrantStatement::ShowGrants { to, on }
    } else if words.take(&["grant"]) {
        GrantStatement::Change(words.grant(true)?)
    } else if words.take(&["revoke"]) {
        GrantStatement::Change(words.grant(false)?)
    } else {
        return Ok(None);
    };
    words.mark(';');
    match words.tokens.get(words.at) {
        None => Ok(Some(statement)),
        Some(_) => Err(words.expected("the end of the statement")),
    }
}

/// Whether the first words can begin one: all other statements are not taken apart.
fn begins(sql: &str) -> bool {
    let text = after_comments(sql);
    let mut words = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty());
    let mut word = || words.next().unwrap_or_default().to_ascii_lowercase();
    match word().as_str() {
        "grant" | "revoke" => true,
        "create" | "drop" => word() == "role",
        "show" => matches!(word().as_str(), "grants" | "roles"),
        _ => false,
    }
}

/// The text behind the blanks and comments that drivers put before a statement.
fn after_comments(sql: &str) -> &str {
    let mut text = sql.trim_start();
    loop {
        let rest = if let Some(rest) = text.strip_prefix("--") {
            rest.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(rest) = text.strip_prefix("/*") {
            rest.split_once("*/").map_or("", |(_, rest)| rest)
        } else {
            return text;
        };
        text = rest.trim_start();
    }
}

/// The parts of a statement, and each as it is written.
fn tokens(sql: &str) -> Result<(Vec<Token>, Vec<&str>)> {
    let (mut tokens, mut written, mut rest) = (Vec::new(), Vec::new(), after_comments(sql));
    while let Some(first) = rest.chars().next() {
        let (begin, count) = (rest, tokens.len());
        if first.is_whitespace() || rest.starts_with("--") || rest.starts_with("/*") {
            rest = after_comments(rest);
        } else if first == '"' || first == '`' {
            let (name, after) = quoted(rest, first)?;
            tokens.push(Token::Quoted(name));
            rest = after;
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-' || c == '@'));
            // Names of users may be addresses or have dashes; a comment is no part of one.
            let end = end.unwrap_or(rest.len()).min(rest.find("--").unwrap_or(rest.len()));
            let (word, after) = rest.split_at(end);
            tokens.push(Token::Word(word.to_lowercase()));
            rest = after;
        } else if matches!(first, ',' | '.' | '(' | ')' | ';') {
            tokens.push(Token::Mark(first));
            rest = rest.get(1..).unwrap_or_default();
        } else {
            return Err(bad(format!("{first:?} has no meaning here")));
        }
        if tokens.len() > count {
            let end = begin.len().saturating_sub(rest.len());
            written.push(begin.get(..end).unwrap_or(begin));
        }
    }
    Ok((tokens, written))
}

/// A name in quotes, doubled where the quote is part of it.
fn quoted(text: &str, quote: char) -> Result<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            name.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == quote) {
            name.push(c);
            chars.next();
        } else {
            return Ok((name, text.get(at + 1..).unwrap_or_default()));
        }
    }
    Err(bad("a name in quotes does not end".into()))
}

struct Words<'a> {
    tokens: Vec<Token>,
    /// Each of them as it is written.
    written: Vec<&'a str>,
    at: usize,
}

impl Words<'_> {
    /// Takes these words if they are next.
    fn take(&mut self, words: &[&str]) -> bool {
        let next = self.tokens.get(self.at..self.at + words.len()).unwrap_or_default();
        let are = next.len() == words.len()
            && next
                .iter()
                .zip(words)
                .all(|(token, word)| matches!(token, Token::Word(is) if is == word));
        if are {
            self.at += words.len();
        }
        are
    }

    fn mark(&mut self, mark: char) -> bool {
        let is = self.tokens.get(self.at) == Some(&Token::Mark(mark));
        if is {
            self.at += 1;
        }
        is
    }

    fn name(&mut self, what: &str) -> Result<String> {
        match self.tokens.get(self.at) {
            Some(Token::Word(name) | Token::Quoted(name)) if !name.is_empty() => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.expected(what)),
        }
    }

    fn expected(&self, what: &str) -> SecurityError {
        let found = match self.tokens.get(self.at) {
            None => "its end".to_owned(),
            Some(Token::Word(word)) => format!("{word:?}"),
            Some(Token::Quoted(name)) => format!("\"{name}\""),
            Some(Token::Mark(mark)) => format!("{mark:?}"),
        };
        bad(format!("expected {what}, found {found}"))
    }

    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut found = vec![one(self)?];
        while self.mark(',') {
            found.push(one(self)?);
        }
        Ok(found)
    }

    fn whom(&mut self) -> Result<Whom> {
        if self.take(&["role"]) {
            return Ok(Whom::Role(self.name("the role's name")?));
        }
        if self.take(&["user"]) {
            return Ok(Whom::User(self.name("the user's name")?));
        }
        match self.name("whom")? {
            name if name == PUBLIC => Ok(Whom::Role(name)),
            name => Ok(Whom::Either(name)),
        }
    }

    fn dotted(&mut self, what: &str) -> Result<Vec<String>> {
        let mut parts = vec![self.name(what)?];
        while self.mark('.') {
            parts.push(self.name(what)?);
        }
        Ok(parts)
    }

    fn target(&mut self) -> Result<Target> {
        if self.take(&["warehouse"]) {
            return Ok(Target::Warehouse);
        }
        if self.take(&["database"]) || self.take(&["catalog"]) {
            return match self.name("the catalog's name")? {
                name if name == CATALOG => Ok(Target::Warehouse),
                name => Err(bad(format!("there is no database {name:?}: the only one is {CATALOG}"))),
            };
        }
        if self.take(&["schema"]) || self.take(&["namespace"]) {
            let parts = self.dotted("the schema's name")?;
            // A level in quotes may have dots between levels, as other statements write it.
            let levels = parts.iter().flat_map(|part| part.split('.')).map(str::to_owned);
            return Ok(Target::Namespace(levels.collect()));
        }
        let _kind = self.take(&["table"]) || self.take(&["view"]);
        let mut parts = self.dotted("the table's name")?;
        if parts.len() > 2 && parts.first().is_some_and(|first| first == CATALOG) {
            parts.remove(0);
        }
        let name = parts.pop().unwrap_or_default();
        let namespace = parts
            .iter()
            .flat_map(|part| part.split('.'))
            .map(str::to_owned)
            .collect();
        Ok(Target::Object { namespace, name })
    }

    /// What follows `GRANT`, or `REVOKE`.
    fn grant(&mut self, gives: bool) -> Result<PolicyChange> {
        let on = self
            .tokens
            .iter()
            .any(|token| matches!(token, Token::Word(word) if word == "on"));
        let toward = if gives { "to" } else { "from" };
        if !on {
            let _word = self.take(&["role"]);
            let roles = self.list(|words| words.name("a role"))?;
            let whom = self.whoms(toward)?;
            return Ok(match gives {
                true => PolicyChange::AddMember { roles, to: whom },
                false => PolicyChange::RemoveMember { roles, from: whom },
            });
        }
        let (mut privileges, mut columns) = (PrivilegeSet::NONE, Vec::new());
        for (one, of) in self.list(Self::privilege)? {
            match of {
                None => privileges = privileges.and(one),
                Some(names) => columns.extend(names),
            }
        }
        if !self.take(&["on"]) {
            return Err(self.expected("ON"));
        }
        let on = self.target()?;
        if !columns.is_empty() && !matches!(on, Target::Object { .. }) {
            return Err(bad("only tables and views have columns".into()));
        }
        let whom = self.whoms(toward)?;
        Ok(match gives {
            true => PolicyChange::Grant {
                privileges,
                columns,
                on,
                uuid: None,
                to: whom,
            },
            false => PolicyChange::Revoke {
                privileges,
                columns,
                on,
                from: whom,
            },
        })
    }

    fn whoms(&mut self, toward: &str) -> Result<Vec<Whom>> {
        match self.take(&[toward]) {
            true => self.list(Self::whom),
            false => Err(self.expected(&toward.to_uppercase())),
        }
    }

    /// A privilege, with the columns behind it.
    fn privilege(&mut self) -> Result<(PrivilegeSet, Option<Vec<String>>)> {
        if self.take(&["all"]) {
            let _word = self.take(&["privileges"]);
            return Ok((PrivilegeSet::all(), None));
        }
        let one = match self.take(&["manage"]) {
            true if self.take(&["grants"]) => Privilege::ManageGrants,
            true => return Err(self.expected("GRANTS")),
            false => {
                let written = match self.tokens.get(self.at) {
                    Some(Token::Word(_)) => self.written.get(self.at).copied(),
                    _ => None,
                };
                let name = self.name("a privilege")?;
                // What was typed is what a refusal shows.
                written.unwrap_or(&name).parse::<Privilege>().map_err(bad)?
            }
        };
        if !self.mark('(') {
            return Ok((one.into(), None));
        }
        if one != Privilege::Select {
            return Err(bad(format!(
                "{one} is granted on whole tables; SELECT can be granted on columns"
            )));
        }
        let columns = self.list(|words| words.name("a column"))?;
        match self.mark(')') {
            true => Ok((PrivilegeSet::NONE, Some(columns))),
            false => Err(self.expected("')'")),
        }
    }
}

fn bad(reason: String) -> SecurityError {
    SecurityError::BadStatement { reason }
}
