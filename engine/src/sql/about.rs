//! Which tables and views a statement is about, told from its text alone.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, ObjectName, Query, TableFactor, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::{GenericDialect, PostgreSqlDialect};
use datafusion::sql::sqlparser::parser::Parser;
use tidewater_core::TableName;

use super::names::text;
use super::{Action, Command, Merge, Name, Object, RowTarget, literal};
use crate::lake::base_name;
use crate::session::changes;

impl Command {
    /// The tables and views that it makes, changes or drops; `default_schema` is the schema of names without one. For a branch, the table
    /// whose it is. What is no name is left out: carried out, the statement says so.
    pub fn changes(&self, default_schema: &str) -> Vec<TableName> {
        let named = |name: &Name| whole(name, default_schema);
        let target = |name: &Name, target: Option<&RowTarget>| match target {
            Some(target) => Some(target.table.clone()),
            None => named(name),
        };
        let found = match self {
            Self::CreateTable(create) => [named(&create.name), None],
            Self::CreateView(create) => [named(&create.name), None],
            Self::AlterView { name, .. } => [named(name), None],
            Self::AlterTable { name, .. } | Self::CommentColumn { table: name, .. } => [named(name), None],
            Self::Rename { from, to, .. } => {
                let from = named(from);
                let within = from.as_ref().map(|from| from.namespace().to_string());
                let to = whole(to, within.as_deref().unwrap_or(default_schema));
                [from, to]
            }
            Self::Drop { what, name, .. } | Self::SetProperties { what, name, .. } => match what {
                Object::Table | Object::View => [named(name), None],
                Object::Schema => [None, None],
            },
            Self::CreateSchema { .. } => [None, None],
            Self::Truncate { name, target: found } => [target(name, found.as_ref()), None],
            Self::Insert(insert) => [target(&insert.table, insert.target.as_ref()), None],
            Self::Merge(merge) => [target(&merge.table, merge.target.as_ref()), None],
            Self::Call(call) => {
                let table = call.named.get("table").or_else(|| call.positional.first());
                let table = table.and_then(literal).and_then(|table| super::name(&table).ok());
                [table.as_ref().and_then(named), None]
            }
        };
        found.into_iter().flatten().collect()
    }

    /// The tables and views that it names to read them.
    pub fn reads(&self, default_schema: &str) -> BTreeSet<TableName> {
        let mut read = Read::default();
        match self {
            Self::CreateTable(create) => {
                if let Some(query) = &create.query {
                    read.visit(query);
                }
            }
            Self::CreateView(create) => read.visit(&create.query),
            Self::AlterView { query, .. } => read.visit(query),
            Self::Insert(insert) => {
                read.visit(&insert.query);
                let conflict = insert.on_conflict.as_ref();
                if let Some(update) = conflict.and_then(|conflict| conflict.update.as_ref()) {
                    let values = update.values.iter().map(|(_, value)| value);
                    values.chain(&update.condition).for_each(|value| read.visit(value));
                }
            }
            Self::Merge(merge) => read.merge(merge),
            _ => {}
        }
        read.tables(default_schema)
    }
}

/// The table of a name; that of `t` for `t@audit`.
fn whole(name: &Name, default_schema: &str) -> Option<TableName> {
    name.with_last(base_name(name.last())).table(default_schema).ok()
}

/// What queries name.
#[derive(Default)]
struct Read {
    relations: Vec<Name>,
    /// Names of their own (`WITH`) and of functions, which stand for no table.
    own: BTreeSet<String>,
}

impl Read {
    fn visit(&mut self, what: &impl Visit) {
        let _: ControlFlow<()> = what.visit(self);
    }

    fn merge(&mut self, merge: &Merge) {
        if let Some(source) = &merge.source {
            let from = format!("SELECT * FROM {}", source.from);
            // It was read before, as a part of the statement, in one of these.
            let read = Parser::parse_sql(&GenericDialect {}, &from);
            if let Ok(statements) = read.or_else(|_| Parser::parse_sql(&PostgreSqlDialect {}, &from)) {
                self.visit(&statements);
            }
        }
        let mut expressions: Vec<&Expr> = merge.on.iter().collect();
        for clause in &merge.clauses {
            expressions.extend(&clause.condition);
            if let Action::Update(values) | Action::Insert(values) = &clause.action {
                expressions.extend(values.iter().map(|(_, value)| value));
            }
        }
        for expression in expressions {
            self.visit(expression);
        }
    }

    fn tables(self, default_schema: &str) -> BTreeSet<TableName> {
        let own = |name: &Name| name.within().len() == 1 && self.own.contains(name.last());
        let relations = self.relations.iter().filter(|name| !own(name));
        relations.filter_map(|name| whole(name, default_schema)).collect()
    }
}

impl Visitor for Read {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let own = query.with.iter().flat_map(|with| &with.cte_tables);
        self.own.extend(own.map(|table| text(table.alias.name.clone())));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table {
            name, args: Some(args), ..
        } = factor
            && let Ok(function) = Name::new(name.clone())
        {
            self.own.insert(function.last().to_owned());
            let table = changes(name, args).and_then(|table| Name::new(table).ok());
            self.relations.extend(table);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.relations.extend(Name::new(relation.clone()).ok());
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Sql, parse};

    // Goal: of each statement it is told what it changes and what it reads. Method: one of each kind, with names of each form.
    #[test]
    fn statements_tell_their_tables() {
        for (sql, changes, reads) in [
            ("CREATE TABLE a (id bigint)", "s.a", ""),
            (
                "CREATE TABLE x.a AS SELECT * FROM b JOIN y.c USING (id)",
                "x.a",
                "s.b y.c",
            ),
            (
                "CREATE VIEW v AS WITH b AS (SELECT * FROM c) SELECT * FROM b",
                "s.v",
                "s.c",
            ),
            ("ALTER VIEW v AS SELECT * FROM b", "s.v", "s.b"),
            ("CREATE SCHEMA x", "", ""),
            ("DROP TABLE x.a", "x.a", ""),
            ("DROP VIEW v", "s.v", ""),
            ("DROP SCHEMA x", "", ""),
            ("ALTER TABLE a ADD COLUMN no bigint", "s.a", ""),
            ("ALTER TABLE x.a RENAME TO b", "x.a x.b", ""),
            ("TRUNCATE TABLE lake.x.a", "x.a", ""),
            ("INSERT INTO a VALUES (1)", "s.a", ""),
            (
                "INSERT INTO a SELECT * FROM x.b WHERE id IN (SELECT id FROM c)",
                "s.a",
                "s.c x.b",
            ),
            ("INSERT INTO a SELECT value FROM generate_series(1, 3)", "s.a", ""),
            ("INSERT INTO a SELECT id FROM changes('x.b', 1)", "s.a", "x.b"),
            (
                "INSERT INTO a VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET no = (SELECT max(no) FROM b)",
                "s.a",
                "s.b",
            ),
            ("UPDATE a SET no = 1 WHERE id = 1", "s.a", ""),
            ("UPDATE a SET no = (SELECT max(id) FROM changes('b'))", "s.a", "s.b"),
            ("UPDATE a SET no = (SELECT max(no) FROM b) WHERE id = 1", "s.a", "s.b"),
            ("DELETE FROM a USING b WHERE a.id = b.id", "s.a", "s.b"),
            (
                "MERGE INTO a USING x.b AS b ON a.id = b.id WHEN MATCHED THEN DELETE",
                "s.a",
                "x.b",
            ),
            ("CALL system.rewrite_manifests('x.a')", "x.a", ""),
            ("CALL system.rewrite_manifests(table => 'a')", "s.a", ""),
        ] {
            let Ok(Sql::Command(command)) = parse(sql) else {
                panic!("{sql} is no command");
            };
            let told = |names: Vec<TableName>| {
                let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                names.join(" ")
            };
            assert_eq!(told(command.changes("s")), changes, "{sql}");
            assert_eq!(told(command.reads("s").into_iter().collect()), reads, "{sql}");
        }
    }
}
