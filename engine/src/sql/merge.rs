//! `MERGE INTO`, with Spark's `UPDATE SET *` and `INSERT *`.

use datafusion::sql::sqlparser::ast::{Expr, TableFactor};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::grammar::{Grammar, Parsed};
use super::{Action, Clause, Command, Merge, Name, Source, When, names};

impl Grammar<'_> {
    pub(super) fn merge(&mut self) -> Parsed<Command> {
        self.word("INTO");
        let table = self.name()?;
        let alias = self.alias()?;
        self.need("USING")?;
        let factor = self.parser.parse_table_factor()?;
        let source = self.source(factor)?;
        self.need("ON")?;
        let on = self.expression()?;
        let called = table.called(alias.as_deref());
        let mut clauses = Vec::new();
        while self.word("WHEN") {
            clauses.push(self.clause(&called)?);
        }
        if clauses.is_empty() {
            return self.expected("WHEN");
        }
        Ok(Command::Merge(Box::new(Merge {
            verb: "MERGE",
            table,
            target: None,
            alias,
            source: Some(source),
            source_key: Vec::new(),
            on: Some(on),
            clauses,
        })))
    }

    fn source(&mut self, mut factor: TableFactor) -> Parsed<Source> {
        let alias = match &mut factor {
            TableFactor::Table { name, alias, .. } => match alias.take() {
                Some(alias) => Some(alias),
                None => {
                    let name = match Name::new(name.clone()) {
                        Ok(name) => name,
                        Err(error) => return self.expected(&error.to_string()),
                    };
                    return Ok(Source {
                        from: factor.to_string(),
                        alias: Some(name.last().to_owned()),
                    });
                }
            },
            TableFactor::Derived { alias, .. } => alias.take(),
            _ => return self.expected("a table or a query in parentheses as the source before"),
        };
        let Some(alias) = alias else {
            return self.expected("an alias of the source before");
        };
        if !alias.columns.is_empty() {
            return self.expected("names of columns within the source's query, not after its alias; before");
        }
        Ok(Source {
            from: factor.to_string(),
            alias: Some(names::text(alias.name)),
        })
    }

    fn clause(&mut self, called: &[String]) -> Parsed<Clause> {
        let when = if self.word("MATCHED") {
            When::Matched
        } else {
            self.need("NOT")?;
            self.need("MATCHED")?;
            if self.words(&["BY", "SOURCE"]) {
                When::NotMatchedBySource
            } else {
                self.words(&["BY", "TARGET"]);
                When::NotMatched
            }
        };
        let condition = self.condition("AND")?;
        self.need("THEN")?;
        let action = match when {
            When::NotMatched => self.insert_action()?,
            When::Matched | When::NotMatchedBySource => self.change_action(when, called)?,
        };
        Ok(Clause {
            when,
            condition,
            action,
        })
    }

    fn change_action(&mut self, when: When, called: &[String]) -> Parsed<Action> {
        if self.word("DELETE") {
            return Ok(Action::Delete);
        }
        if self.words(&["DO", "NOTHING"]) {
            return Ok(Action::Nothing);
        }
        self.need("UPDATE")?;
        self.need("SET")?;
        if when == When::Matched && self.parser.consume_token(&Token::Mul) {
            return Ok(Action::UpdateAll);
        }
        Ok(Action::Update(self.assignments(called)?))
    }

    fn insert_action(&mut self) -> Parsed<Action> {
        if self.words(&["DO", "NOTHING"]) {
            return Ok(Action::Nothing);
        }
        self.need("INSERT")?;
        if self.parser.consume_token(&Token::Mul) {
            return Ok(Action::InsertAll);
        }
        let columns = match self.parser.peek_token().token {
            Token::LParen => self.parenthesised(Self::path)?,
            _ => return self.expected("columns in parentheses, or *"),
        };
        let columns: Vec<String> = columns.into_iter().filter_map(|mut path| path.pop()).collect();
        self.need("VALUES")?;
        self.parser.expect_token(&Token::LParen)?;
        let values: Vec<Expr> = self.parser.parse_comma_separated(Parser::parse_expr)?;
        self.parser.expect_token(&Token::RParen)?;
        if values.len() != columns.len() {
            return self.expected(&format!("as many values as columns ({}) before", columns.len()));
        }
        Ok(Action::Insert(columns.into_iter().zip(values).collect()))
    }
}
