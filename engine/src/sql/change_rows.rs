//! `INSERT`, `UPDATE` and `DELETE`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, Expr, ObjectName, Query, SetExpr, With, visit_relations,
};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::grammar::{Grammar, Parsed};
use super::{Action, Clause, Command, ConflictUpdate, Insert, Merge, Name, OnConflict, Overwrite, Source, When};

/// Words that follow a table, and so are no alias of it.
const AFTER_TABLE: &[&str] = &["SET", "WHERE", "FROM", "USING", "ON", "WHEN", "VALUES", "SELECT"];

impl Grammar<'_> {
    /// `WITH q AS (…) INSERT …`, which is `INSERT … WITH q AS (…) …`. `None` for what else begins so: it is read as a query, or refused
    /// as one.
    pub(super) fn behind_with(&mut self) -> Parsed<Option<Command>> {
        let with_token = self.parser.get_current_token().clone().into();
        let recursive = self.word("RECURSIVE");
        let Ok(cte_tables) = self.parser.parse_comma_separated(Parser::parse_cte) else {
            return Ok(None);
        };
        if !self.word("INSERT") {
            return Ok(None);
        }
        let with = With {
            with_token,
            recursive,
            cte_tables,
        };
        self.insert(Some(with)).map(Some)
    }

    /// An `INSERT`, with the names that `WITH` before it gives to queries.
    pub(super) fn insert(&mut self, with: Option<With>) -> Parsed<Command> {
        let overwrite = self.word("OVERWRITE");
        if overwrite {
            self.word("INTO");
        } else {
            self.need("INTO")?;
        }
        self.word("TABLE");
        let table = self.name()?;
        let alias = match self.word("AS") {
            true => Some(self.identifier()?),
            false => None,
        };
        let overwrite = match (overwrite, self.word("PARTITION")) {
            (true, true) => {
                let named = self.parenthesised(Self::partition_value)?;
                let values: Vec<(String, Expr)> = named.into_iter().flatten().collect();
                match values.is_empty() {
                    // No value is named that rows could be found by: it is about the partitions that the new ones get.
                    true => Overwrite::Touched,
                    false => Overwrite::Partition(values),
                }
            }
            (true, false) => Overwrite::Touched,
            (false, true) => {
                return self
                    .expected("OVERWRITE before a PARTITION: INSERT INTO finds the partition of each row itself; no");
            }
            (false, false) => Overwrite::Nothing,
        };
        let columns = match (self.parser.peek_token().token, self.parser.peek_nth_token(1).token) {
            (Token::LParen, Token::Word(word)) if !is_query(&word.value) => self.identifiers()?,
            _ => Vec::new(),
        };
        let query = self.parser.parse_query()?;
        let on_conflict = match self.words(&["ON", "CONFLICT"]) {
            true => Some(self.on_conflict(&table.called(alias.as_deref()))?),
            false => None,
        };
        let update = on_conflict.as_ref().and_then(|conflict| conflict.update.as_ref());
        if with.is_some() && update.is_some_and(asks) {
            // It would take the names for those of tables.
            return self.expected("no query behind ON CONFLICT of an INSERT behind WITH; the end of the statement");
        }
        let query = match with {
            Some(with) => within(with, query),
            None => query,
        };
        Ok(Command::Insert(Box::new(Insert {
            table,
            target: None,
            alias,
            columns,
            query,
            overwrite,
            on_conflict,
        })))
    }

    /// `a = 1`, or `a` alone, whose values the rows have.
    fn partition_value(&mut self) -> Parsed<Option<(String, Expr)>> {
        let column = self.identifier()?;
        match self.parser.consume_token(&Token::Eq) {
            true => Ok(Some((column, self.expression()?))),
            false => Ok(None),
        }
    }

    fn on_conflict(&mut self, called: &[String]) -> Parsed<OnConflict> {
        let key = match self.parser.peek_token().token {
            Token::LParen => self.identifiers()?,
            _ => Vec::new(),
        };
        self.need("DO")?;
        if self.word("NOTHING") {
            return Ok(OnConflict { key, update: None });
        }
        self.need("UPDATE")?;
        self.need("SET")?;
        let values = self.assignments(called)?;
        let condition = self.condition("WHERE")?;
        Ok(OnConflict {
            key,
            update: Some(ConflictUpdate { values, condition }),
        })
    }

    pub(super) fn update(&mut self) -> Parsed<Command> {
        let table = self.name()?;
        let alias = self.alias()?;
        self.need("SET")?;
        let values = self.assignments(&table.called(alias.as_deref()))?;
        let source = self.joined("FROM")?;
        Ok(Command::Merge(Box::new(Merge {
            verb: "UPDATE",
            table,
            target: None,
            alias,
            source,
            source_key: Vec::new(),
            on: self.condition("WHERE")?,
            clauses: vec![matched(Action::Update(values))],
        })))
    }

    pub(super) fn delete(&mut self) -> Parsed<Command> {
        self.need("FROM")?;
        let table = self.name()?;
        let alias = self.alias()?;
        let source = self.joined("USING")?;
        Ok(Command::Merge(Box::new(Merge {
            verb: "DELETE",
            table,
            target: None,
            alias,
            source,
            source_key: Vec::new(),
            on: self.condition("WHERE")?,
            clauses: vec![matched(Action::Delete)],
        })))
    }

    /// Other tables after this word.
    fn joined(&mut self, word: &str) -> Parsed<Option<Source>> {
        if !self.word(word) {
            return Ok(None);
        }
        let tables = self.parser.parse_comma_separated(Parser::parse_table_and_joins)?;
        let tables: Vec<String> = tables.iter().map(ToString::to_string).collect();
        Ok(Some(Source {
            from: tables.join(", "),
            alias: None,
        }))
    }

    pub(super) fn condition(&mut self, word: &str) -> Parsed<Option<Expr>> {
        match self.word(word) {
            true => self.expression().map(Some),
            false => Ok(None),
        }
    }

    pub(super) fn alias(&mut self) -> Parsed<Option<String>> {
        if self.word("AS") {
            return self.identifier().map(Some);
        }
        match self.parser.peek_token().token {
            Token::Word(word)
                if word.quote_style.is_some()
                    || !AFTER_TABLE.iter().any(|after| word.value.eq_ignore_ascii_case(after)) =>
            {
                self.identifier().map(Some)
            }
            _ => Ok(None),
        }
    }

    /// `a = 1, b = 2`; what the table is `called` may stand before a column.
    pub(super) fn assignments(&mut self, called: &[String]) -> Parsed<Vec<(String, Expr)>> {
        let parsed = self.parser.parse_comma_separated(Parser::parse_assignment)?;
        let mut values: Vec<(String, Expr)> = Vec::with_capacity(parsed.len());
        for Assignment { target, value } in parsed {
            let pairs = match (target, value) {
                (AssignmentTarget::ColumnName(name), value) => vec![(name, value)],
                (AssignmentTarget::Tuple(names), Expr::Tuple(of)) if names.len() == of.len() => {
                    names.into_iter().zip(of).collect()
                }
                (AssignmentTarget::Tuple(_), _) => return self.expected("as many values as columns before"),
            };
            for (name, value) in pairs {
                let column = self.assigned(name, called)?;
                if values.iter().any(|(known, _)| *known == column) {
                    return self.expected(&format!("column {column} once before"));
                }
                values.push((column, value));
            }
        }
        Ok(values)
    }

    fn assigned(&mut self, name: ObjectName, called: &[String]) -> Parsed<String> {
        let path = match Name::new(name) {
            Ok(name) => name.into_parts(),
            Err(error) => return self.expected(&error.to_string()),
        };
        match path.as_slice() {
            [column] => Ok(column.clone()),
            [.., table, column] if called.contains(table) => Ok(column.clone()),
            _ => self.expected(&format!(
                "a column of {}, as fields within one cannot be set alone, not {} before",
                called.join(" or "),
                path.join(".")
            )),
        }
    }
}

pub(super) fn matched(action: Action) -> Clause {
    Clause {
        when: When::Matched,
        condition: None,
        action,
    }
}

/// Whether a query is behind one of the values or the condition.
fn asks(update: &ConflictUpdate) -> bool {
    let values = update.values.iter().map(|(_, value)| value);
    values.chain(&update.condition).any(|value| {
        let found: ControlFlow<()> = visit_relations(value, |_| ControlFlow::Break(()));
        found.is_break()
    })
}

/// The query within these names, of which it may have some itself.
fn within(with: With, mut query: Box<Query>) -> Box<Query> {
    if query.with.is_none() {
        query.with = Some(with);
        return query;
    }
    Box::new(Query {
        with: Some(with),
        body: Box::new(SetExpr::Query(query)),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    })
}

fn is_query(word: &str) -> bool {
    ["SELECT", "WITH", "VALUES"]
        .iter()
        .any(|first| word.eq_ignore_ascii_case(first))
}
