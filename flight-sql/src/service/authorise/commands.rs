//! What a command takes: privileges on what it changes, and SELECT on what it reads for that.

mod checks;
mod reads;

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::Expr;

use tidewater_core::TableName;
use tidewater_engine::sql::{Action, AlterTable, Call, Existing, Merge, Name, Object, Overwrite, RowTarget};
use tidewater_engine::{BulkLoad, Command, IfExists, SessionOptions};
use tidewater_security::policy::Privilege::{Admin, Alter, Create, Delete, Drop, Insert, Select, Update};
use tidewater_security::{Access, Principal, Privilege};
use tidewater_table::Meant;

use super::about::About;
use crate::error::QueryError;
use crate::service::QueryService;

/// How many arguments of `rewrite_data_files` have their place before its condition.
const BEFORE_CONDITION: usize = 4;

/// Whether a command goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::service) enum Verdict {
    /// It does, on this alone.
    Goes(About),
    /// What it is about is not there for whoever asks, which is no error of this command.
    DoesNothing,
}

impl QueryService {
    /// Refuses a command that this principal may not carry out.
    pub(in crate::service) async fn may_change(
        &self,
        principal: &Principal,
        options: &SessionOptions,
        command: &Command,
    ) -> Result<Verdict, QueryError> {
        let Some(access) = options.access.clone() else {
            return Ok(Verdict::Goes(About::Anything));
        };
        let may = May {
            service: self,
            principal,
            access: &access,
            options,
        };
        Box::pin(may.command(command)).await
    }

    /// The same for rows that a client brings.
    pub(in crate::service) async fn may_load(
        &self,
        principal: &Principal,
        options: &SessionOptions,
        load: &BulkLoad,
    ) -> Result<About, QueryError> {
        let Some(access) = options.access.clone() else {
            return Ok(About::Anything);
        };
        let may = May {
            service: self,
            principal,
            access: &access,
            options,
        };
        if load.create {
            may.creates_in(load.table.namespace())?;
            return match load.if_exists {
                IfExists::Replace => may.makes(Object::Table, &load.table, REPLACES).await,
                IfExists::Append => may.makes(Object::Table, &load.table, &[Insert]).await,
                IfExists::Fail => Ok(About::Anything),
            };
        }
        // As for `INSERT`, whatever the load does with a table that is there: how it is refused must not tell that there is one.
        let inserts = may.on(Object::Table, &load.table, &[Insert]).await?;
        Ok(About::Meant(match load.if_exists {
            IfExists::Replace => may.on(Object::Table, &load.table, REPLACES).await?,
            IfExists::Append | IfExists::Fail => inserts,
        }))
    }

    pub(super) fn table_name(&self, options: &SessionOptions, name: &Name) -> Result<TableName, QueryError> {
        let schema = options
            .default_schema
            .as_deref()
            .unwrap_or_else(|| self.default_schema());
        Ok(name.table(schema)?)
    }
}

/// What a table takes that makes way for another one.
const REPLACES: &[Privilege] = &[Drop, Insert, Delete];

struct May<'a> {
    service: &'a QueryService,
    principal: &'a Principal,
    access: &'a Access,
    options: &'a SessionOptions,
}

impl May<'_> {
    async fn command(&self, command: &Command) -> Result<Verdict, QueryError> {
        let about = match command {
            Command::CreateTable(create) => {
                let name = self.name(&create.name)?;
                self.creates_in(name.namespace())?;
                // Whoever has a location has what others left there.
                if create.location.is_some() {
                    self.on_warehouse(Admin)?;
                }
                let about = match create.existing {
                    Existing::Replace => self.makes(Object::Table, &name, REPLACES).await?,
                    Existing::Refuse | Existing::Keep => About::Anything,
                };
                self.marks(create.properties.keys())?;
                if let Some(query) = &create.query {
                    self.reads(&query.to_string()).await?;
                }
                about
            }
            Command::CreateView(create) => {
                let name = self.name(&create.name)?;
                self.creates_in(name.namespace())?;
                let about = match create.existing {
                    Existing::Replace => self.makes(Object::View, &name, &[Alter]).await?,
                    Existing::Refuse | Existing::Keep => About::Anything,
                };
                self.reads(&create.query.to_string()).await?;
                about
            }
            // As what it stands for: the view replaced.
            Command::AlterView { name, query } => {
                let name = self.name(name)?;
                self.creates_in(name.namespace())?;
                let meant = self.on(Object::View, &name, &[Alter]).await?;
                self.reads(&query.to_string()).await?;
                About::Meant(meant)
            }
            Command::CreateSchema { name, .. } => {
                let schema = name.schema()?;
                self.unreserved(&schema)?;
                match schema.parent() {
                    Some(parent) => self.creates_in(&parent)?,
                    None => self.on_warehouse(Create)?,
                }
                About::Anything
            }
            Command::Drop {
                what, name, if_exists, ..
            } => {
                let gone = match what {
                    Object::Schema => {
                        let schema = name.schema()?;
                        // With all that is in it, which is not judged one by one.
                        let gone = self.unreserved(&schema).and_then(|()| self.on_schema(&schema, Drop));
                        gone.map(|()| About::Anything)
                    }
                    _ => self.on(*what, &self.name(name)?, &[Drop]).await.map(About::Meant),
                };
                return no_error(gone, *if_exists);
            }
            Command::AlterTable {
                name,
                if_exists,
                changes,
            } => {
                let gone = self.on(Object::Table, &self.name(name)?, &[Alter]).await;
                let gone = gone.and_then(|meant| {
                    self.marks(changes.iter().flat_map(set_by))?;
                    Ok(About::Meant(meant))
                });
                return no_error(gone, *if_exists);
            }
            Command::Rename { what, from, to } => {
                let from = self.name(from)?;
                let to = to.table(&from.namespace().to_string())?;
                // Whoever may do everything in a schema may do everything with what comes to it.
                About::Meant(match to.namespace() == from.namespace() {
                    true => self.on(*what, &from, &[Alter]).await?,
                    false => {
                        let meant = self.on(*what, &from, &[Admin]).await?;
                        self.creates_in(to.namespace())?;
                        meant
                    }
                })
            }
            Command::SetProperties {
                what, name, properties, ..
            } => match what {
                Object::Schema => {
                    self.on_schema(&name.schema()?, Alter)?;
                    About::Anything
                }
                _ => {
                    let meant = self.on(*what, &self.name(name)?, &[Alter]).await?;
                    self.marks(properties.keys())?;
                    About::Meant(meant)
                }
            },
            Command::CommentColumn { table, .. } => {
                About::Meant(self.on(Object::Table, &self.name(table)?, &[Alter]).await?)
            }
            Command::Truncate { name, target } => {
                let table = self.written(name, target.as_ref())?;
                About::Meant(self.on(Object::Table, &table, &[Delete]).await?)
            }
            Command::Insert(insert) => {
                let mut needs = vec![Insert];
                if !matches!(insert.overwrite, Overwrite::Nothing) {
                    needs.push(Delete);
                }
                if let Some(conflict) = &insert.on_conflict {
                    needs.push(Select);
                    if conflict.update.is_some() {
                        needs.push(Update);
                    }
                }
                let table = self.written(&insert.table, insert.target.as_ref())?;
                let meant = self.on(Object::Table, &table, &needs).await?;
                self.reads(&insert.query.to_string()).await?;
                if let Some(update) = insert
                    .on_conflict
                    .as_ref()
                    .and_then(|conflict| conflict.update.as_ref())
                {
                    let values = update.values.iter().map(|(_, value)| value);
                    self.reads_in(values.chain(&update.condition)).await?;
                }
                About::Meant(meant)
            }
            Command::Merge(merge) => About::Meant(self.merge(merge).await?),
            // A metadata file may name any files below the warehouse: whoever registers one reads what they like.
            Command::Call(call) if call.procedure == "register_table" => {
                self.on_warehouse(Admin)?;
                About::Anything
            }
            Command::Call(call) => {
                let named = call.named.get("table").or_else(|| call.positional.first());
                let text = named.and_then(|value| match value {
                    Expr::Value(value) => value.value.clone().into_string(),
                    _ => None,
                });
                // A procedure that is not about a table, or says so in a way that cannot be read, is not for everybody.
                match text {
                    Some(text) => {
                        let table = self.name(&tidewater_engine::sql::name(&text)?)?;
                        About::Meant(self.on(Object::Table, &table, procedure_needs(call)).await?)
                    }
                    None => {
                        self.on_warehouse(Admin)?;
                        About::Anything
                    }
                }
            }
        };
        Ok(Verdict::Goes(about))
    }

    async fn merge(&self, merge: &Merge) -> Result<Meant, QueryError> {
        let mut needs = BTreeSet::new();
        let mut expressions: Vec<&Expr> = merge.on.iter().collect();
        for clause in &merge.clauses {
            expressions.extend(&clause.condition);
            match &clause.action {
                Action::Delete => drop(needs.insert(Delete)),
                Action::Update(values) => {
                    needs.insert(Update);
                    expressions.extend(values.iter().map(|(_, value)| value));
                }
                Action::UpdateAll => drop(needs.insert(Update)),
                Action::Insert(values) => {
                    needs.insert(Insert);
                    expressions.extend(values.iter().map(|(_, value)| value));
                }
                Action::InsertAll => drop(needs.insert(Insert)),
                Action::Nothing => {}
            }
        }
        // Whoever chooses rows by what is in them learns what is in them.
        if !expressions.is_empty() || merge.source.is_some() {
            needs.insert(Select);
        }
        let needs: Vec<Privilege> = needs.into_iter().collect();
        let table = self.written(&merge.table, merge.target.as_ref())?;
        let meant = self.on(Object::Table, &table, &needs).await?;
        if let Some(source) = &merge.source {
            let query = match &source.alias {
                // What is carried out takes all of its columns along.
                Some(alias) => format!("SELECT * FROM {} AS \"{alias}\"", source.from),
                // Of these it names those that the statement names.
                None => format!("SELECT 1 FROM {}", source.from),
            };
            self.reads(&query).await?;
        }
        self.reads_in(expressions).await?;
        Ok(meant)
    }

    fn name(&self, name: &Name) -> Result<TableName, QueryError> {
        self.service.table_name(self.options, name)
    }

    /// The table that rows go to: for a branch, the table whose it is.
    fn written(&self, name: &Name, target: Option<&RowTarget>) -> Result<TableName, QueryError> {
        match target {
            Some(target) => Ok(target.table.clone()),
            None => self.name(name),
        }
    }
}

/// What a procedure about a table takes: `ALTER`, and `SELECT` where its answer tells what is in the table. Whoever chooses files by what is
/// in them is answered how many there were; and orphans are answered with their folders, which other engines make of values.
fn procedure_needs(call: &Call) -> &'static [Privilege] {
    let by_place = call.procedure == "rewrite_data_files" && call.positional.len() > BEFORE_CONDITION;
    let chooses = by_place || call.named.contains_key("where");
    match chooses || call.procedure == "remove_orphan_files" {
        true => &[Alter, Select],
        false => &[Alter],
    }
}

/// Names of the properties that a change of a table sets or removes.
fn set_by(change: &AlterTable) -> impl Iterator<Item = &String> {
    let properties = match change {
        AlterTable::Properties(properties) => Some(properties),
        _ => None,
    };
    properties.into_iter().flat_map(|properties| properties.keys())
}

/// What is not there is none of the statement's errors if it says so.
fn no_error(gone: Result<About, QueryError>, if_exists: bool) -> Result<Verdict, QueryError> {
    match gone {
        Ok(about) => Ok(Verdict::Goes(about)),
        Err(error) => match (&error, if_exists) {
            (QueryError::Security(_), _) | (_, false) => Err(error),
            (_, true) => Ok(Verdict::DoesNothing),
        },
    }
}
