//! What each statement is answered with: those about the session here, all others by the service.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::scalar::ScalarValue;
use futures::stream;
use uuid::Uuid;

use tidewater_security::GrantStatement;

use super::extended::same_columns;
use super::{Declared, Kept, PORTALS_MAX, Session};
use crate::postgres::connection::Wire;
use crate::postgres::failure::{Failure, state};
use crate::postgres::prepared;
use crate::postgres::rows::Cursor;
use crate::postgres::script::{CopyOut, Count, Sentence, What};
use crate::postgres::settings::{ISOLATION, READ_ONLY};
use crate::service::{Changed, Opened, Results};
use crate::wire::{to_wire, wire_schema};

/// What a statement comes to.
pub(super) enum Answer {
    /// Rows, and the first word of the tag after them.
    Rows(Results, &'static str),
    /// Rows of a COPY.
    Copy(Results, CopyOut),
    /// Nothing but a tag.
    Tag(String),
}

impl Session {
    /// Does what a statement asks for, as far as its first row.
    pub(super) async fn answer(
        &mut self,
        id: Uuid,
        sentence: &Sentence,
        kept: Option<&Kept>,
        values: Vec<ScalarValue>,
        wire: &mut Wire,
    ) -> Result<Answer, Failure> {
        let what = &sentence.what;
        if self.transaction.failed() && !what.ends() {
            return Err(Failure::new(
                state::FAILED_TRANSACTION,
                "current transaction is aborted, commands ignored until end of transaction block",
            ));
        }
        let tag = match what {
            What::Query => {
                let declared = kept.map_or(&[][..], |kept| &kept.declared);
                return self.run(id, &sentence.sql, declared, values, wire).await;
            }
            What::Begin(level) => {
                match self.transaction.begin() {
                    true => {
                        self.settings.begin();
                        if let Some(level) = level {
                            drop(self.settings.set_local(ISOLATION, level)?);
                        }
                    }
                    false => {
                        let message = "there is already a transaction in progress";
                        self.warn(wire, state::IN_TRANSACTION, message);
                    }
                }
                "BEGIN"
            }
            What::Commit | What::Rollback => self.end(*what == What::Commit, wire),
            What::Chain { commit } => {
                if !self.transaction.open() {
                    let word = if *commit { "COMMIT" } else { "ROLLBACK" };
                    let text = format!("{word} AND CHAIN can only be used in transaction blocks");
                    return Err(Failure::new(state::NO_TRANSACTION, text));
                }
                let level = self.settings.get(ISOLATION).to_owned();
                let tag = self.end(*commit, wire);
                self.transaction.begin();
                self.settings.begin();
                drop(self.settings.set_local(ISOLATION, &level)?);
                tag
            }
            What::Savepoint(name) => {
                self.transaction.savepoint(name)?;
                "SAVEPOINT"
            }
            What::RollbackTo(name) => {
                self.transaction.rollback_to(name)?;
                // Cursors that were declared since never were.
                let depth = self.transaction.depth();
                self.cursors
                    .retain(|_, declared| declared.within.is_none() || declared.within < depth);
                "ROLLBACK"
            }
            What::Release(name) => {
                self.transaction.release(name)?;
                // What was declared since is the transaction's now.
                let depth = self.transaction.depth();
                for declared in self.cursors.values_mut() {
                    declared.within = declared.within.min(depth);
                }
                "RELEASE"
            }
            What::Set { name, value, local } => {
                self.set(name, value.as_deref(), *local, wire)?;
                "SET"
            }
            What::SetTransaction(level) => {
                match (self.transaction.open(), level) {
                    (true, Some(level)) => drop(self.settings.set_local(ISOLATION, level)?),
                    (true, None) => {}
                    (false, _) => {
                        let message = "SET TRANSACTION can only be used in transaction blocks";
                        self.warn(wire, state::NO_TRANSACTION, message);
                    }
                }
                "SET"
            }
            What::Reset(name) => {
                match name {
                    Some(name) => {
                        let shown = self.settings.reset(name)?;
                        self.report(&shown, wire);
                    }
                    None => self.reset(wire),
                }
                "RESET"
            }
            What::Show(name) => return Ok(Answer::Rows(self.show(name.as_deref())?, "SHOW")),
            What::Discard { all } => {
                if *all && self.transaction.open() {
                    return Err(Failure::new(
                        state::IN_TRANSACTION,
                        "DISCARD ALL cannot run inside a transaction block",
                    ));
                }
                if *all {
                    self.statements.clear();
                    self.portals.clear();
                    self.cursors.clear();
                    self.reset(wire);
                }
                if *all { "DISCARD ALL" } else { "DISCARD" }
            }
            What::Deallocate(name) => {
                match name {
                    None => self.statements.clear(),
                    Some(name) => drop(self.statements.remove(name).ok_or_else(|| no_statement(name))?),
                }
                if name.is_none() { "DEALLOCATE ALL" } else { "DEALLOCATE" }
            }
            What::Prepare { name, types, sql } => {
                let declared = prepared::declared(types)?;
                self.vacant(name)?;
                // Least of all an EXECUTE, which may name itself.
                let found = self.scripts.sentences(sql)?;
                if !matches!(found.as_ref(), [one] if one.what == What::Query) {
                    return Err(Failure::new(
                        state::SYNTAX,
                        "syntax error: PREPARE keeps queries and changes of data",
                    ));
                }
                self.keep(name.clone(), sql, declared).await?;
                "PREPARE"
            }
            What::Execute { name, values } => {
                let (own, sql) = self.filled(name, values)?;
                if let (Some(told), Some(inner)) = (&own.columns, &own.sentence) {
                    let (_, now) = self.tell(&inner.sql, &own.declared).await?;
                    same_columns(told, &now.unwrap_or_else(|| Arc::new(Schema::empty())), true)?;
                }
                return self.run(id, &sql, &[], Vec::new(), wire).await;
            }
            What::Declare { name, sql, hold } => {
                self.declare(id, (name.as_str(), sql.as_str(), *hold), wire).await?;
                "DECLARE CURSOR"
            }
            What::Fetch { name, count, skip } => {
                // What runs goes on by the grants of its beginning, but not for who is not let in any more.
                let lets = self.service.authenticator().still_lets(&self.principal);
                lets.map_err(|error| Failure::of(&error.into(), &sentence.sql))?;
                let declared = self.cursors.get(name).ok_or_else(|| no_cursor(name))?;
                if declared.failed {
                    let text = format!("portal \"{name}\" cannot be run");
                    return Err(Failure::new(state::CURSOR_FAILED, text));
                }
                self.place.works_on(Some(declared.id));
                let rows = match count {
                    Count::All => usize::MAX,
                    Count::Rows(rows) => *rows,
                };
                return Ok(Answer::Rows(
                    declared.cursor.take(rows),
                    if *skip { "MOVE" } else { "FETCH" },
                ));
            }
            What::Close(name) => {
                match name {
                    None => self.cursors.clear(),
                    Some(name) => drop(self.cursors.remove(name).ok_or_else(|| no_cursor(name))?),
                }
                if name.is_none() {
                    "CLOSE CURSOR ALL"
                } else {
                    "CLOSE CURSOR"
                }
            }
            What::CopyOut(copy) => {
                // Before it runs: what is refused has done nothing.
                if changes(&copy.query) {
                    return Err(Failure::new(state::NOT_SUPPORTED, "COPY takes a query"));
                }
                return match self.run(id, &copy.query, &[], Vec::new(), wire).await? {
                    Answer::Rows(rows, _) => Ok(Answer::Copy(rows, copy.clone())),
                    _ => Err(Failure::new(state::NOT_SUPPORTED, "COPY takes a query")),
                };
            }
            What::Nothing(tag) => tag,
        };
        Ok(Answer::Tag(tag.to_owned()))
    }

    /// The columns of a statement about the session.
    pub(super) fn own_columns(&self, what: &What) -> Result<Option<SchemaRef>, Failure> {
        match what {
            What::Show(name) => Ok(Some(self.show(name.as_deref())?.schema)),
            What::Fetch { name, skip: false, .. } => {
                let declared = self.cursors.get(name).ok_or_else(|| no_cursor(name))?;
                Ok(Some(Arc::clone(&declared.cursor.schema)))
            }
            What::Execute { name, .. } => {
                let kept = self.statements.get(name).ok_or_else(|| no_statement(name))?;
                Ok(kept.columns.clone())
            }
            _ => Ok(None),
        }
    }

    /// The statement that `EXECUTE` names, and its text with these values.
    pub(super) fn filled(&self, name: &str, values: &[String]) -> Result<(Arc<Kept>, String), Failure> {
        let kept = self.statements.get(name).cloned().ok_or_else(|| no_statement(name))?;
        let sql = match &kept.sentence {
            Some(sentence) if sentence.what == What::Query => {
                prepared::filled(name, &sentence.sql, &kept.declared, values)?
            }
            _ => {
                let text = format!("prepared statement \"{name}\" is none that EXECUTE runs");
                return Err(Failure::new(state::NOT_SUPPORTED, text));
            }
        };
        Ok((kept, sql))
    }

    async fn run(
        &mut self,
        id: Uuid,
        sql: &str,
        declared: &[u32],
        values: Vec<ScalarValue>,
        wire: &mut Wire,
    ) -> Result<Answer, Failure> {
        if self.transaction.open() && changes(sql) {
            let failure = Failure::new(
                state::READ_ONLY_TRANSACTION,
                "a transaction block only reads: each statement that changes something is a transaction of its own",
            );
            return Err(failure.hint(
                "switch the client to autocommit; of dbt, write `autocommit: true` into the output of its profile",
            ));
        }
        if self.settings.get(READ_ONLY) == "on" && changes(sql) {
            let failure = Failure::new(
                state::READ_ONLY_TRANSACTION,
                "cannot execute a statement that changes something in a read-only transaction",
            );
            return Err(failure.hint(format!("SET {READ_ONLY} = off")));
        }
        let options = self.options(sql, declared).await?;
        self.tell_silent(wire, &options);
        let meant = self.on_path(sql, &options).await?;
        self.place.works_on(Some(id));
        let opened = self
            .service
            .open(&self.principal, id, &meant, values, &options, self.deadline());
        match opened.await.map_err(|error| Failure::of(&error, sql))? {
            Opened::Rows(rows, how) => {
                if let Some(how) = how {
                    self.tell_cache(wire, &how);
                }
                for warning in &rows.warnings {
                    self.warn(wire, state::WARNING, warning);
                }
                Ok(Answer::Rows(rows, if is_explain(sql) { "EXPLAIN" } else { "SELECT" }))
            }
            Opened::Changed(changed) => {
                for warning in changed.warnings() {
                    self.warn(wire, state::WARNING, warning);
                }
                match changed.procedure() {
                    Some(rows) => Ok(Answer::Rows(results(rows)?, "CALL")),
                    None => Ok(Answer::Tag(tag(&changed))),
                }
            }
        }
    }

    fn end(&mut self, commit: bool, wire: &mut Wire) -> &'static str {
        let (open, failed) = self.transaction.end();
        if !open {
            self.warn(wire, state::NO_TRANSACTION, "there is no transaction in progress");
        }
        for name in self.settings.end(commit && !failed) {
            self.report(&name, wire);
        }
        self.portals.clear();
        let keeps = commit && !failed;
        self.cursors
            .retain(|_, declared| declared.hold && (keeps || declared.within.is_none()));
        for declared in self.cursors.values_mut() {
            declared.within = None;
        }
        if commit && !failed { "COMMIT" } else { "ROLLBACK" }
    }

    /// Sets or resets one setting; for the transaction only, if it says so.
    fn set(&mut self, name: &str, value: Option<&str>, local: bool, wire: &mut Wire) -> Result<(), Failure> {
        // What a transaction is ends with it, however it was said.
        let local = local || (self.transaction.open() && name.eq_ignore_ascii_case(ISOLATION));
        if local && !self.transaction.open() {
            // What cannot be set is refused all the same.
            let mut nowhere = self.settings.clone();
            match value {
                Some(value) => nowhere.set(name, value)?,
                None => nowhere.reset(name)?,
            };
            let message = "SET LOCAL can only be used in transaction blocks";
            self.warn(wire, state::NO_TRANSACTION, message);
            return Ok(());
        }
        let shown = match (value, local) {
            (Some(value), true) => self.settings.set_local(name, value)?,
            (Some(value), false) => self.settings.set(name, value)?,
            (None, true) => self.settings.reset_local(name)?,
            (None, false) => self.settings.reset(name)?,
        };
        self.report(&shown, wire);
        Ok(())
    }

    async fn declare(
        &mut self,
        id: Uuid,
        (name, sql, hold): (&str, &str, bool),
        wire: &mut Wire,
    ) -> Result<(), Failure> {
        if !hold && !self.transaction.open() {
            return Err(Failure::new(
                state::NO_TRANSACTION,
                "DECLARE CURSOR can only be used in transaction blocks",
            ));
        }
        // Before it runs: what is refused has done nothing.
        if changes(sql) {
            return Err(Failure::new(state::SYNTAX, "a cursor is of a query"));
        }
        if self.cursors.contains_key(name) {
            return Err(Failure::new(
                state::CURSOR_EXISTS,
                format!("cursor \"{name}\" already exists"),
            ));
        }
        if self.cursors.len() >= PORTALS_MAX {
            return Err(Failure::new(
                state::LIMIT,
                format!("a session has {PORTALS_MAX} cursors at most"),
            ));
        }
        match self.run(id, sql, &[], Vec::new(), wire).await? {
            Answer::Rows(rows, _) => {
                let declared = Declared {
                    cursor: Cursor::new(rows),
                    id,
                    hold,
                    within: self.transaction.depth(),
                    failed: false,
                };
                self.cursors.insert(name.to_owned(), declared);
                Ok(())
            }
            _ => Err(Failure::new(state::SYNTAX, "a cursor is of a query")),
        }
    }

    fn reset(&mut self, wire: &mut Wire) {
        self.settings.reset_all();
        for name in crate::postgres::settings::REPORTED {
            self.report(name, wire);
        }
    }

    /// Clients are told of the settings that they read rows by.
    fn report(&self, name: &str, wire: &mut Wire) {
        if crate::postgres::settings::REPORTED.contains(&name) {
            wire.replies.parameter_status(name, self.settings.get(name));
        }
    }

    fn show(&self, name: Option<&str>) -> Result<Results, Failure> {
        let columns = match name {
            Some(name) => {
                let (shown, value) = self.settings.show(name)?;
                vec![(shown, vec![value])]
            }
            None => {
                let all = self.settings.all();
                let empty = vec![String::new(); all.len()];
                let (names, values) = all.into_iter().unzip();
                vec![
                    ("name".into(), names),
                    ("setting".into(), values),
                    ("description".into(), empty),
                ]
            }
        };
        let fields: Vec<Field> = columns
            .iter()
            .map(|(name, _)| Field::new(name, DataType::Utf8, true))
            .collect();
        let arrays = columns
            .into_iter()
            .map(|(_, values)| Arc::new(StringArray::from(values)) as ArrayRef)
            .collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays);
        results(&batch.map_err(|error| Failure::new(state::INTERNAL, error.to_string()))?)
    }
}

fn results(batch: &RecordBatch) -> Result<Results, Failure> {
    let schema = wire_schema(&batch.schema());
    let parts = to_wire(batch, &schema).map_err(|error| Failure::new(state::INTERNAL, error.to_string()))?;
    Ok(Results {
        schema,
        batches: Box::pin(stream::iter(parts.into_iter().map(Ok))),
        warnings: Vec::new(),
        basis: None,
    })
}

/// Whether a statement changes something; one that cannot be read is told by whoever plans it.
fn changes(sql: &str) -> bool {
    matches!(tidewater_engine::sql::parse(sql), Ok(tidewater_engine::Sql::Command(_)))
        || matches!(GrantStatement::parse(sql), Ok(Some(GrantStatement::Change(_))))
}

fn is_explain(sql: &str) -> bool {
    sql.get(..7).is_some_and(|word| word.eq_ignore_ascii_case("explain"))
}

fn tag(changed: &Changed) -> String {
    match (changed.verb(), changed.count()) {
        ("INSERT", count) => format!("INSERT 0 {}", count.unwrap_or_default()),
        (verb @ ("UPDATE" | "DELETE" | "MERGE"), count) => format!("{verb} {}", count.unwrap_or_default()),
        (verb, _) => verb.to_owned(),
    }
}

pub(super) fn no_statement(name: &str) -> Failure {
    Failure::new(
        state::NO_STATEMENT,
        format!("prepared statement \"{name}\" does not exist"),
    )
}

pub(super) fn no_cursor(name: &str) -> Failure {
    Failure::new(state::NO_CURSOR, format!("cursor \"{name}\" does not exist"))
}
