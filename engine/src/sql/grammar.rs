//! The first words of a statement, and what all of its kinds share.

use std::collections::BTreeMap;

use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::ast::{Expr, Ident, UnaryOperator, Value};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, PostgreSqlDialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::names::{self, Name};
use super::{Call, Command, Object, Sql};
use crate::error::{EngineError, Result};

/// Statements nest no deeper, so that none exhausts the stack.
const RECURSION_MAX: usize = 50;

pub(super) type Parsed<T> = std::result::Result<T, ParserError>;

pub(super) fn parse(typed: &str) -> Result<Sql> {
    crate::complexity::check(typed)?;
    // Tables at a version become single names, which the planner knows.
    let sql = crate::session::at_versions(typed)?;
    let command = match command_of(&sql, &GenericDialect {}) {
        Ok(Some(command)) => Ok(Some(command)),
        // What is wrong with it otherwise is told as of any other.
        other if sql.contains(['?', '@']) || sql.contains("|/") => match command_of(&sql, &PostgreSqlDialect {}) {
            Ok(Some(command)) if takes_operators(&command) => Ok(Some(command)),
            _ => other,
        },
        other => other,
    };
    let unreadable = |error| {
        let error = DataFusionError::SQL(Box::new(error), None);
        EngineError::from(crate::session::as_typed(typed, error))
    };
    Ok(match command.map_err(unreadable)? {
        Some(command) => Sql::Command(Box::new(command)),
        None => Sql::Query,
    })
}

/// Whether a command may have operators that only PostgreSQL's grammar knows (`?` of documents, `@`, `|/`): it is put together as a query
/// of the session that it is of. A view is read by others too.
fn takes_operators(command: &Command) -> bool {
    match command {
        Command::Insert(_) | Command::Merge(_) => true,
        Command::CreateTable(create) => create.query.is_some(),
        _ => false,
    }
}

/// The command that a text is in a dialect; `None` for what is no command.
fn command_of(sql: &str, dialect: &dyn Dialect) -> Parsed<Option<Command>> {
    let tokens = Tokenizer::new(dialect, sql).tokenize_with_location()?;
    let mut grammar = Grammar::new(dialect, tokens.into_iter().flat_map(with_exponent).collect());
    let command = grammar.command()?;
    if command.is_some() {
        grammar.end()?;
    }
    Ok(command)
}

/// A number with an exponent is a double, as nobody writes it otherwise, where those with a point alone are exact.
fn with_exponent(token: TokenWithSpan) -> Vec<TokenWithSpan> {
    match &token.token {
        Token::Number(number, _) if number.contains(['e', 'E']) => {
            let text = Token::SingleQuotedString(number.clone());
            vec![
                TokenWithSpan::new(Token::make_word("DOUBLE", None), token.span),
                TokenWithSpan::new(text, token.span),
            ]
        }
        _ => vec![token],
    }
}

pub(super) fn name(text: &str) -> Result<Name> {
    let tokens = Tokenizer::new(&GenericDialect {}, text)
        .tokenize_with_location()
        .map_err(|error| unreadable(error.into()))?;
    let mut grammar = Grammar::new(&GenericDialect {}, tokens);
    let name = grammar.name().map_err(unreadable)?;
    grammar.end().map_err(unreadable)?;
    Ok(name)
}

fn unreadable(error: ParserError) -> EngineError {
    EngineError::from(DataFusionError::SQL(Box::new(error), None))
}

/// Our own grammar on top of the SQL parser's.
pub(super) struct Grammar<'a> {
    pub(super) parser: Parser<'a>,
    /// Closing brackets of types that came with the one before.
    pub(super) closing: usize,
}

impl Grammar<'_> {
    fn new(dialect: &dyn Dialect, tokens: Vec<TokenWithSpan>) -> Grammar<'_> {
        let parser = Parser::new(dialect)
            .with_recursion_limit(RECURSION_MAX)
            .with_tokens_with_locations(tokens);
        Grammar { parser, closing: 0 }
    }

    /// `None` for what is no command.
    fn command(&mut self) -> Parsed<Option<Command>> {
        let command = if self.word("CREATE") {
            self.create()?
        } else if self.word("DROP") {
            self.dropped()?
        } else if self.word("ALTER") {
            self.alter()?
        } else if self.word("TRUNCATE") {
            self.word("TABLE");
            Command::Truncate {
                name: self.name()?,
                target: None,
            }
        } else if self.word("COMMENT") {
            self.comment()?
        } else if self.word("INSERT") {
            self.insert(None)?
        } else if self.word("UPDATE") {
            self.update()?
        } else if self.word("DELETE") {
            self.delete()?
        } else if self.word("MERGE") {
            self.merge()?
        } else if self.word("CALL") {
            self.call()?
        } else if self.word("WITH") {
            return self.behind_with();
        } else {
            return Ok(None);
        };
        Ok(Some(command))
    }

    fn end(&mut self) -> Parsed<()> {
        while self.parser.consume_token(&Token::SemiColon) {}
        match self.parser.peek_token().token {
            Token::EOF => Ok(()),
            _ => self.expected("the end of the statement"),
        }
    }

    fn dropped(&mut self) -> Parsed<Command> {
        let what = self.object()?;
        let if_exists = self.words(&["IF", "EXISTS"]);
        let name = self.name()?;
        let purge = what == Object::Table && self.word("PURGE");
        let cascade = !self.word("RESTRICT") && self.word("CASCADE");
        // Nothing depends on a table or a view but views, which are texts and stay.
        let all = purge || (cascade && what == Object::Schema);
        Ok(Command::Drop {
            what,
            name,
            if_exists,
            all,
        })
    }

    fn comment(&mut self) -> Parsed<Command> {
        self.need("ON")?;
        if self.word("COLUMN") {
            let name = self.name()?;
            self.need("IS")?;
            let text = self.text_or_null()?;
            let Some((table, column)) = name.without_last() else {
                return self.expected("table.column");
            };
            let column = vec![column];
            return Ok(Command::CommentColumn { table, column, text });
        }
        let what = self.object()?;
        let name = self.name()?;
        self.need("IS")?;
        let properties = BTreeMap::from([("comment".to_owned(), self.text_or_null()?)]);
        Ok(Command::SetProperties {
            what,
            name,
            properties,
            is_comment: true,
        })
    }

    fn call(&mut self) -> Parsed<Command> {
        let name = self.name()?.into_parts();
        let procedure = match name.as_slice() {
            [.., schema, procedure] if schema == "system" => procedure.clone(),
            _ => return self.expected("CALL system.PROCEDURE(…)"),
        };
        let (mut positional, mut named) = (Vec::new(), BTreeMap::new());
        self.parser.expect_token(&Token::LParen)?;
        while !self.parser.consume_token(&Token::RParen) {
            let by_name = matches!(self.parser.peek_nth_token(1).token, Token::RArrow);
            if by_name {
                let name = self.identifier()?;
                self.parser.expect_token(&Token::RArrow)?;
                let value = self.parser.parse_expr()?;
                if named.insert(name.clone(), value).is_some() {
                    return self.expected(&format!("{name} once"));
                }
            } else {
                positional.push(self.parser.parse_expr()?);
            }
            if !self.parser.consume_token(&Token::Comma) {
                self.parser.expect_token(&Token::RParen)?;
                break;
            }
        }
        Ok(Command::Call(Call {
            procedure,
            positional,
            named,
        }))
    }

    pub(super) fn object(&mut self) -> Parsed<Object> {
        if self.word("TABLE") {
            Ok(Object::Table)
        } else if self.word("VIEW") {
            Ok(Object::View)
        } else if self.word("SCHEMA") || self.word("NAMESPACE") || self.word("DATABASE") {
            Ok(Object::Schema)
        } else {
            self.expected("TABLE, VIEW or SCHEMA")
        }
    }

    /// Takes this word if it comes next. Quoted ones are names, not words.
    pub(super) fn word(&mut self, word: &str) -> bool {
        self.words(&[word])
    }

    /// Takes these words if all of them come next.
    pub(super) fn words(&mut self, words: &[&str]) -> bool {
        let there = words.iter().enumerate().all(|(at, word)| {
            matches!(self.parser.peek_nth_token(at).token,
                Token::Word(next) if next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word))
        });
        if there {
            for _ in words {
                self.parser.next_token();
            }
        }
        there
    }

    pub(super) fn need(&mut self, word: &str) -> Parsed<()> {
        match self.word(word) {
            true => Ok(()),
            false => self.expected(word),
        }
    }

    pub(super) fn expected<T>(&mut self, what: &str) -> Parsed<T> {
        let found = self.parser.peek_token();
        self.parser.expected(what, found)
    }

    pub(super) fn name(&mut self) -> Parsed<Name> {
        let name = self.parser.parse_object_name(false)?;
        Name::new(name).map_err(|error| ParserError::ParserError(error.to_string()))
    }

    pub(super) fn identifier(&mut self) -> Parsed<String> {
        Ok(names::text(self.parser.parse_identifier()?))
    }

    /// A column's path: `address.city`.
    pub(super) fn path(&mut self) -> Parsed<Vec<String>> {
        Ok(self.name()?.into_parts())
    }

    /// Names in parentheses.
    pub(super) fn identifiers(&mut self) -> Parsed<Vec<String>> {
        self.parser.expect_token(&Token::LParen)?;
        let names = self.parser.parse_comma_separated(Parser::parse_identifier)?;
        self.parser.expect_token(&Token::RParen)?;
        Ok(names.into_iter().map(names::text).collect())
    }

    /// A list whose items may be in parentheses or not.
    pub(super) fn list<T>(&mut self, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.parser.consume_token(&Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    pub(super) fn parenthesised<T>(&mut self, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.parser.expect_token(&Token::LParen)?;
        let items = self.list(item)?;
        self.parser.expect_token(&Token::RParen)?;
        Ok(items)
    }

    pub(super) fn text(&mut self) -> Parsed<String> {
        self.parser.parse_literal_string()
    }

    fn text_or_null(&mut self) -> Parsed<Option<String>> {
        match self.parser.parse_keyword(Keyword::NULL) {
            true => Ok(None),
            false => self.text().map(Some),
        }
    }

    pub(super) fn integer(&mut self) -> Parsed<i64> {
        match literal(&self.parser.parse_expr()?).and_then(|text| text.parse().ok()) {
            Some(number) => Ok(number),
            None => self.expected("a whole number"),
        }
    }

    /// `('key' = 'value', …)`; keys may be bare, with dots.
    pub(super) fn properties(&mut self) -> Parsed<BTreeMap<String, String>> {
        let pairs = self.parenthesised(|grammar| {
            let key = grammar.property_key()?;
            grammar.parser.expect_token(&Token::Eq)?;
            let value = grammar.parser.parse_expr()?;
            match literal(&value) {
                Some(value) => Ok((key, value)),
                None => grammar.expected("a literal"),
            }
        })?;
        Ok(pairs.into_iter().collect())
    }

    pub(super) fn property_key(&mut self) -> Parsed<String> {
        if let Token::SingleQuotedString(key) = self.parser.peek_token().token {
            self.parser.next_token();
            return Ok(key);
        }
        let mut key = self.parser.parse_identifier()?.value;
        loop {
            if self.parser.consume_token(&Token::Period) {
                key.push('.');
            } else if self.parser.consume_token(&Token::Minus) {
                key.push('-');
            } else {
                return Ok(key);
            }
            key.push_str(&self.parser.parse_identifier()?.value);
        }
    }

    /// An expression's text, as it is to be read again.
    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        self.parser.parse_expr()
    }
}

/// The text of a literal.
pub(crate) fn literal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => Some(number.to_string()),
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => Some(text.clone()),
            Value::Boolean(truth) => Some(truth.to_string()),
            _ => None,
        },
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => literal(expr).map(|text| format!("-{text}")),
        Expr::TypedString(typed) => match &typed.value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        Expr::Identifier(Ident {
            value,
            quote_style: Some(_),
            ..
        }) => Some(value.clone()),
        _ => None,
    }
}
