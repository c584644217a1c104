//! Statements that change something: who may, and what they are answered with.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;
use futures::{Stream, stream};

use tidewater_engine::{BulkLoad, Command, Done, Made, SessionOptions, Sql, Workshop};
use tidewater_security::{GrantStatement, Principal, Target};

use super::authorise::{Verdict, told_with};
use super::routed::Routed;
use super::{Prepared, QueryService, Results, parameters};
use crate::error::QueryError;
use crate::handle::Statement;
use crate::history::Note;
use crate::placeholder::{number_placeholders, placeholders, with_values};
use crate::wire::{to_wire, wire_schema};

/// What a bulk load is called where statements have a text.
const LOAD: &str = "INGEST";

/// The statement with its parameters numbered: `?` is one, but for PostgreSQL's clients, to whom it is an operator.
fn numbered<'a>(sql: &'a str, client: &SessionOptions) -> Cow<'a, str> {
    match client.postgres.is_some() {
        true => Cow::Borrowed(sql),
        false => number_placeholders(sql),
    }
}

impl QueryService {
    /// The command that a statement is, with its parameters in their places; `None` for a query.
    pub(super) fn command(
        &self,
        statement: &Statement,
        client: &SessionOptions,
    ) -> Result<Option<Command>, QueryError> {
        let numbered = numbered(&statement.sql, client);
        let Sql::Command(command) = tidewater_engine::sql::parse(&numbered)? else {
            self.0.queries.add(&statement.sql, ());
            return Ok(None);
        };
        if placeholders(&numbered) == 0 {
            return Ok(Some(*command));
        }
        let mut commands = Vec::new();
        for values in parameters::literals(&statement.parameters)? {
            let filled = with_values(&numbered, &values).map_err(|number| QueryError::Parameters {
                reason: format!("the statement has a parameter ${number} and {} are bound", values.len()),
            })?;
            match tidewater_engine::sql::parse(&filled)? {
                Sql::Command(command) => commands.push(*command),
                Sql::Query => return Ok(None),
            }
        }
        Ok(tidewater_engine::sql::together(commands))
    }

    /// Whether all rows of parameters of a statement are carried out at once, all or none of them: those that are rows of an `INSERT`. One
    /// without parameters has its own rows only, and is carried out as often as it was sent.
    pub fn takes_rows(&self, sql: &str) -> bool {
        let numbered = number_placeholders(sql);
        let twice = || match tidewater_engine::sql::parse(&numbered) {
            Ok(Sql::Command(command)) => tidewater_engine::sql::together(vec![command.as_ref().clone(), *command]),
            _ => None,
        };
        placeholders(&numbered) > 0 && twice().is_some()
    }

    /// What a client is told of a command before it runs: parameters, and no columns, by which drivers know it from a query.
    pub(super) async fn prepared_command(
        &self,
        principal: &Principal,
        sql: &str,
        client: SessionOptions,
    ) -> Result<Option<Prepared>, QueryError> {
        if let Some(schema) = self.or_note(principal, sql, self.grants_schema(sql))? {
            return Ok(Some(Prepared {
                schema: wire_schema(&schema),
                parameters: Arc::new(Schema::empty()),
            }));
        }
        let numbered = numbered(sql, &client);
        let parsed = tidewater_engine::sql::parse(&numbered).map_err(QueryError::from);
        let Sql::Command(command) = self.or_note(principal, sql, parsed)? else {
            return Ok(None);
        };
        self.or_note(principal, sql, self.may(principal, command.verb()))?;
        let count = placeholders(&numbered);
        self.or_note(principal, sql, parameters::check_count(count))?;
        let parameters = match count {
            0 => Arc::new(Schema::empty()),
            _ => {
                let types = Box::pin(self.described(principal, &numbered, &command, client)).await?;
                parameters::fields(&types, count)
            }
        };
        let schema = match command.as_ref() {
            Command::Call(call) => tidewater_engine::statement::answer_schema(call)?,
            _ => Arc::new(Schema::empty()),
        };
        Ok(Some(Prepared {
            schema: wire_schema(&schema),
            parameters,
        }))
    }

    /// The columns of what a statement answers with, which is not carried out: [`Changed::answer`] for one that changes something, else
    /// [`Self::result_schema`].
    pub async fn told_schema(&self, principal: &Principal, statement: &Statement) -> Result<SchemaRef, QueryError> {
        let grants = self.grants_schema(&statement.sql);
        if let Some(schema) = self.or_note(principal, &statement.sql, grants)? {
            return match schema.fields().is_empty() {
                true => Ok(Arc::new(status())),
                false => Ok(wire_schema(&schema)),
            };
        }
        let parsed = tidewater_engine::sql::parse(&number_placeholders(&statement.sql)).map_err(QueryError::from);
        let Sql::Command(command) = self.or_note(principal, &statement.sql, parsed)? else {
            return self.result_schema(principal, statement).await;
        };
        self.or_note(principal, &statement.sql, self.may(principal, command.verb()))?;
        Ok(match command.as_ref() {
            Command::Call(call) => wire_schema(tidewater_engine::statement::answer_schema(call)?.as_ref()),
            Command::Insert(_) | Command::Merge(_) | Command::Truncate { .. } => Arc::new(count()),
            Command::CreateTable(create) if create.query.is_some() => Arc::new(count()),
            _ => Arc::new(status()),
        })
    }

    /// Whether somebody may change anything at all, as long as no grant says what.
    fn may(&self, principal: &Principal, verb: &str) -> Result<(), QueryError> {
        if self.access(principal)?.is_some() {
            return Ok(());
        }
        match self.0.authenticator.may_write(principal) {
            true => Ok(()),
            false => Err(QueryError::ReadOnly {
                user: principal.name.clone(),
                statement: verb.to_owned(),
            }),
        }
    }

    /// Takes the rows of a client in, all of them or none: how many there were. It is a statement among the others in the history.
    pub async fn load<S>(&self, principal: &Principal, load: &BulkLoad, rows: S) -> Result<u64, QueryError>
    where
        S: Stream<Item = Result<RecordBatch, QueryError>> + Unpin,
    {
        // It has no text of its own.
        let statement = Statement::new(format!("{LOAD} INTO {}", load.table));
        let mut note = self.note(principal, &statement);
        note.about([load.table.clone()]);
        let loaded = Box::pin(self.load_noted(principal, load, rows, &mut note)).await;
        note.end(loaded)
    }

    async fn load_noted<S>(
        &self,
        principal: &Principal,
        load: &BulkLoad,
        rows: S,
        note: &mut Note,
    ) -> Result<u64, QueryError>
    where
        S: Stream<Item = Result<RecordBatch, QueryError>> + Unpin,
    {
        self.may(principal, LOAD)?;
        let options = self.seen_by(principal, self.settings())?;
        let may = self.may_load(principal, &options, load).await;
        let about = may.map_err(|error| told_with(&options, LOAD, error))?;
        let mut load = load.clone();
        let engine = about.bind_load(&self.0.engine, &mut load);
        let at_work = self.0.running.enter(note.id(), principal)?;
        note.may_be_cut(at_work.cause());
        note.kept().await?;
        let runner = Routed::by(Arc::clone(&self.0.runner));
        let shop = Workshop {
            engine: &engine,
            runner: &runner,
            options: &options,
            // It takes as long as its rows go on coming: who hands them in does not wait for ever for the next ones.
            deadline: None,
        };
        let done = at_work.run(Box::pin(shop.load(&load, rows))).await;
        note.routed(&runner.route());
        let done = done?;
        let rows = done.rows.unwrap_or_default();
        note.changed(rows, done.snapshot_id);
        if let Some(Made::Object(uuid)) = done.made
            && let Err(error) = self
                .give(principal, &options, Target::of_name(&load.table), Some(uuid))
                .await
        {
            tracing::warn!(user = %principal.name, table = %load.table, %error, "what was made could not be granted to its maker");
        }
        Ok(rows)
    }

    /// Carries a statement out if it changes something; `None` for a query, of which nothing is done. Cancelling it before its
    /// commit leaves everything as it was.
    pub async fn change(&self, principal: &Principal, statement: &Statement) -> Result<Option<Changed>, QueryError> {
        self.change_as(principal, statement, self.settings(), self.deadline())
            .await
    }

    /// The same for a client with settings of its own.
    pub(super) async fn change_as(
        &self,
        principal: &Principal,
        statement: &Statement,
        client: SessionOptions,
        deadline: Duration,
    ) -> Result<Option<Changed>, QueryError> {
        let client = self.seen_by(principal, client)?;
        if self.0.queries.get(&statement.sql).is_some() {
            return Ok(None);
        }
        let grants = match GrantStatement::parse(&statement.sql) {
            Ok(grants) => grants,
            Err(error) => return self.note(principal, statement).end(Err(error.into())),
        };
        if let Some(grants) = grants {
            let (note, verb) = (self.note(principal, statement), grants.verb());
            if let Err(error) = note.kept().await {
                return note.end(Err(error));
            }
            let change = match &grants {
                GrantStatement::Change(change) => Some(change.clone()),
                _ => None,
            };
            return note.end(match self.grants(principal, &client, grants).await {
                Ok(done) => Ok(Some(Changed {
                    verb,
                    done,
                    warnings: change.map_or_else(Vec::new, |change| self.strangers(&change)),
                })),
                Err(error) => Err(told_with(&client, &statement.sql, error)),
            });
        }
        let mut command = match self.command(statement, &client) {
            Ok(Some(command)) => command,
            Ok(None) => return Ok(None),
            Err(error) => return self.note(principal, statement).end(Err(error)),
        };
        let mut note = self.note(principal, statement);
        if let Err(error) = self.may(principal, command.verb()) {
            return note.end(Err(error));
        }
        let at_work = match self.0.running.enter(note.id(), principal) {
            Ok(at_work) => at_work,
            Err(error) => return note.end(Err(error)),
        };
        note.may_be_cut(at_work.cause());
        let options = self.0.sessions.options(&statement.sql, client).await;
        let verb = command.verb();
        // What is written to is settled once, before it is asked who may.
        if let Err(error) = Box::pin(self.0.engine.settle(&options, &mut command)).await {
            return note.end(Err(told_with(&options, &statement.sql, error.into())));
        }
        let schema = options.default_schema.as_deref();
        let schema = schema.unwrap_or_else(|| self.default_schema());
        note.about(command.changes(schema).into_iter().chain(command.reads(schema)));
        let engine = match self.may_change(principal, &options, &command).await {
            Ok(Verdict::Goes(about)) => about.bind(&self.0.engine, &mut command),
            Ok(Verdict::DoesNothing) => {
                let done = Done::default();
                let warnings = Vec::new();
                return note.end(Ok(Some(Changed { verb, done, warnings })));
            }
            Err(error) => return note.end(Err(told_with(&options, &statement.sql, error))),
        };
        if let Err(error) = note.kept().await {
            return note.end(Err(error));
        }
        let runner = Routed::by(Arc::clone(&self.0.runner));
        let shop = Workshop {
            engine: &engine,
            runner: &runner,
            options: &options,
            deadline: Some(deadline),
        };
        let work = async { Ok(Box::pin(shop.execute(&command)).await?) };
        let done = at_work.run(self.caller(principal).scope(work)).await;
        note.routed(&runner.route());
        let done = match done {
            Ok(done) => done,
            Err(error) => return note.end(Err(told_with(&options, &statement.sql, error))),
        };
        note.changed(done.rows.unwrap_or_default(), done.snapshot_id);
        // Grants go with what they are on, and are known here by its name.
        if matches!(command, Command::Rename { .. })
            && options.access.is_some()
            && let Some(policy) = &self.0.policy
            && let Err(error) = policy.refresh().await
        {
            tracing::warn!(user = %principal.name, verb, %error, "what was renamed is there for its users a moment later");
        }
        // What was there before stays whose it was, whatever the statement says if it is.
        if let Some(made) = done.made
            && let Err(error) = self.give_to_maker(principal, &options, &command, made).await
        {
            // It is made: who made it has to be given it by somebody else.
            tracing::warn!(user = %principal.name, verb, %error, "what was made could not be granted to its maker");
        }
        tracing::info!(user = %principal.name, verb, rows = done.rows, snapshot = done.snapshot_id, "statement carried out");
        let warnings = Vec::new();
        note.end(Ok(Some(Changed { verb, done, warnings })))
    }

    /// The answer that a ticket holds already.
    pub fn answered(&self, statement: &Statement) -> Result<Option<Results>, QueryError> {
        if statement.answer.is_empty() {
            return Ok(None);
        }
        let reader = StreamReader::try_new(statement.answer.as_ref(), None).map_err(QueryError::encoding)?;
        let schema = reader.schema();
        let batches: Vec<Result<RecordBatch, QueryError>> =
            reader.map(|batch| batch.map_err(QueryError::encoding)).collect();
        Ok(Some(Results {
            schema,
            batches: Box::pin(stream::iter(batches)),
            warnings: Vec::new(),
            basis: None,
        }))
    }
}

/// What a statement changed.
#[derive(Debug)]
pub struct Changed {
    verb: &'static str,
    done: Done,
    warnings: Vec<String>,
}

impl Changed {
    /// The first words of the statement.
    pub fn verb(&self) -> &'static str {
        self.verb
    }

    /// What whoever asked has to know beside that it was done.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How many rows it was about, if it was about rows.
    pub fn count(&self) -> Option<u64> {
        self.done.rows
    }

    /// A procedure's rows.
    pub fn procedure(&self) -> Option<&RecordBatch> {
        self.done.answer.as_ref()
    }

    /// Rows that were added, changed or deleted; 0 for what is not about rows.
    pub fn rows(&self) -> i64 {
        i64::try_from(self.done.rows.unwrap_or_default()).unwrap_or(i64::MAX)
    }

    /// As rows for a client that asked for rows: a procedure's own, else how many there were, else what was done.
    pub fn answer(&self) -> Result<(SchemaRef, Bytes), QueryError> {
        let batch = match (&self.done.answer, self.done.rows) {
            (Some(answer), _) => answer.clone(),
            (None, Some(_)) => one(count(), Arc::new(Int64Array::from(vec![self.rows()])))?,
            (None, None) => one(status(), Arc::new(StringArray::from(vec![self.verb])))?,
        };
        let schema = wire_schema(&batch.schema());
        let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(QueryError::encoding)?;
        for part in to_wire(&batch, &schema).map_err(QueryError::encoding)? {
            writer.write(&part).map_err(QueryError::encoding)?;
        }
        Ok((schema, writer.into_inner().map_err(QueryError::encoding)?.into()))
    }
}

/// How many rows were changed.
fn count() -> Schema {
    Schema::new(vec![Field::new("count", DataType::Int64, false)])
}

/// What was done where there are no rows to count.
fn status() -> Schema {
    Schema::new(vec![Field::new("status", DataType::Utf8, false)])
}

fn one(schema: Schema, value: ArrayRef) -> Result<RecordBatch, QueryError> {
    RecordBatch::try_new(Arc::new(schema), vec![value]).map_err(QueryError::encoding)
}
