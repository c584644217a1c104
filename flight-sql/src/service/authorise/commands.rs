//! What a command takes: privileges on what it changes, and SELECT on what it reads for that.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, Query, TableFactor, Visit, Visitor};
use uuid::Uuid;

use tidewater_core::reserved::is_reserved;
use tidewater_core::{Namespace, TableName};
use tidewater_engine::sql::{Action, AlterTable, Call, Existing, Merge, Name, Object, Overwrite, RowTarget};
use tidewater_engine::{BulkLoad, Command, EngineError, IfExists, Made, SessionOptions};
use tidewater_security::policy::Privilege::{Admin, Alter, Create, Delete, Drop, Insert, Select, Update};
use tidewater_security::{Access, PolicyChange, Principal, Privilege, PrivilegeSet, Target, Whom};
use tidewater_table::marks::is_mark;
use tidewater_table::{CatalogFault, Meant, TableError};

use super::about::About;
use super::{denied, denied_on};
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

    /// What somebody made is theirs: nobody else could let them at it.
    pub(in crate::service) async fn give_to_maker(
        &self,
        principal: &Principal,
        options: &SessionOptions,
        command: &Command,
        made: Made,
    ) -> Result<(), QueryError> {
        let target = match command {
            Command::CreateTable(create) => Target::of_name(&self.table_name(options, &create.name)?),
            Command::CreateView(create) => Target::of_name(&self.table_name(options, &create.name)?),
            Command::CreateSchema { name, .. } => Target::Namespace(name.schema()?.levels().to_vec()),
            _ => return Ok(()),
        };
        let uuid = match made {
            Made::Object(uuid) => Some(uuid),
            Made::Schema => None,
        };
        self.give(principal, options, target, uuid).await
    }

    /// The same of this, if the table or view of that name still has this uuid.
    pub(in crate::service) async fn give(
        &self,
        principal: &Principal,
        options: &SessionOptions,
        made: Target,
        uuid: Option<Uuid>,
    ) -> Result<(), QueryError> {
        let (Some(access), Some(policy)) = (&options.access, &self.0.policy) else {
            return Ok(());
        };
        let on = match &made {
            Target::Object { namespace, name } => access.on_object(namespace, name, None),
            Target::Namespace(levels) => access.on_namespace(levels),
            Target::Warehouse => return Ok(()),
        };
        if on.has(Admin) {
            return Ok(());
        }
        let change = PolicyChange::Grant {
            privileges: PrivilegeSet::from(Admin),
            columns: Vec::new(),
            on: made,
            uuid,
            to: vec![Whom::User(principal.name.clone())],
        };
        Ok(policy.change(&change).await?)
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
            Command::SetProperties { what, name, properties } => match what {
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

    /// Refuses subqueries in these expressions over tables of which nothing may be read. Which columns they name is seen in the plan of the
    /// statement, before it does anything.
    async fn reads_in(&self, expressions: impl IntoIterator<Item = &Expr>) -> Result<(), QueryError> {
        let mut sources = Sources::default();
        for expression in expressions {
            let _: ControlFlow<()> = expression.visit(&mut sources);
        }
        for source in sources.found {
            // One that cannot be planned by itself is told of where the statement is.
            if let Err(error @ QueryError::Security(_)) = self.reads(&format!("SELECT 1 FROM {source}")).await {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Refuses a query that reads what they may not, before anything is done. The plans that are carried out are judged once more.
    async fn reads(&self, query: &str) -> Result<(), QueryError> {
        let service = self.service;
        let options = service.0.sessions.options(query, self.options.clone()).await;
        let session = service.0.engine.session(tidewater_engine::Class::Interactive, &options);
        let plan = Box::pin(service.0.engine.plan(&session, query)).await;
        Ok(plan.map(drop)?)
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

    fn on_warehouse(&self, privilege: Privilege) -> Result<(), QueryError> {
        match self.access.on_warehouse().has(privilege) {
            true => Ok(()),
            false => Err(denied_on(self.principal, privilege, "the warehouse")),
        }
    }

    /// Refuses properties by which ingest and models know their tables: who could set them would be given other people's rows.
    fn marks<'k>(&self, mut properties: impl Iterator<Item = &'k String>) -> Result<(), QueryError> {
        match properties.find(|property| is_mark(property)) {
            Some(_) if self.access.on_warehouse().has(Admin) => Ok(()),
            Some(mark) => {
                let what = format!("the warehouse, which the property {mark:?} takes");
                Err(denied_on(self.principal, Admin, &what))
            }
            None => Ok(()),
        }
    }

    /// Refuses schemas of processes and nodes: whoever made one would have all that is in it.
    fn unreserved(&self, schema: &Namespace) -> Result<(), QueryError> {
        match is_reserved(schema.levels()) && !self.access.on_warehouse().has(Admin) {
            true => {
                let what = format!("the warehouse, which the schema {schema} takes");
                Err(denied_on(self.principal, Admin, &what))
            }
            false => Ok(()),
        }
    }

    fn creates_in(&self, namespace: &Namespace) -> Result<(), QueryError> {
        self.on_schema(namespace, Create)
    }

    fn on_schema(&self, namespace: &Namespace, privilege: Privilege) -> Result<(), QueryError> {
        let levels = namespace.levels();
        if !self.access.sees_namespace(levels) {
            return Err(missing(format!("namespace {namespace}")));
        }
        match self.access.on_namespace(levels).has(privilege) {
            true => Ok(()),
            false => Err(denied_on(self.principal, privilege, &format!("schema {namespace}"))),
        }
    }

    /// Refuses what a table or view is in the way of, in the words for what is not there if it may not be known of. Answers which one it is.
    async fn on(&self, what: Object, name: &TableName, needs: &[Privilege]) -> Result<Meant, QueryError> {
        let not_there = || match what {
            Object::View => missing(format!("view {name}")),
            _ => EngineError::TableNotFound { table: name.clone() }.into(),
        };
        if !QueryService::sees(Some(self.access), name) && !self.exists_for_replacing(needs) {
            return Err(not_there());
        }
        let found = self.uuid(name).await?;
        // What comes to bear the name until the statement is carried out was granted to nobody by that name.
        let uuid = Some(found.unwrap_or_default());
        let levels = name.namespace().levels();
        for one in needs {
            if !self.access.on_object(levels, name.name(), uuid).has(*one) {
                return Err(match found {
                    Some(_) => denied(self.principal, *one, name),
                    None => not_there(),
                });
            }
        }
        Ok(Meant {
            name: name.clone(),
            uuid: found,
        })
    }

    /// What makes way for something new, which takes these, if anything is there.
    async fn makes(&self, what: Object, name: &TableName, needs: &[Privilege]) -> Result<About, QueryError> {
        match self.uuid(name).await? {
            Some(_) => Ok(About::Meant(self.on(what, name, needs).await?)),
            None => Ok(About::New),
        }
    }

    /// Whoever replaces something was told by its being there that it is.
    fn exists_for_replacing(&self, needs: &[Privilege]) -> bool {
        needs.contains(&Drop) && needs.len() > 1
    }

    /// The uuid of what bears the name now.
    async fn uuid(&self, name: &TableName) -> Result<Option<Uuid>, QueryError> {
        let catalog = self.service.0.engine.catalog();
        let failed = |fault: CatalogFault| QueryError::from(EngineError::from(TableError::from(fault)));
        if let Some(table) = catalog.load_table(name).await.map_err(failed)? {
            return Ok(Some(table.metadata.uuid()));
        }
        let view = catalog.load_view(name).await.map_err(failed)?;
        Ok(view.map(|view| view.uuid))
    }
}

/// What stands behind FROM, calls of functions (`changes('s.t')`) among it.
#[derive(Default)]
struct Sources {
    found: BTreeSet<String>,
    /// Names that each of the queries around gives to queries of its own (`WITH`), which were visited too.
    own: Vec<BTreeSet<String>>,
}

impl Sources {
    fn is_own(&self, name: &ObjectName) -> bool {
        let [part] = name.0.as_slice() else {
            return false;
        };
        let name = part.as_ident().map(called);
        name.is_some_and(|name| self.own.iter().any(|own| own.contains(&name)))
    }
}

impl Visitor for Sources {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let own = query.with.iter().flat_map(|with| &with.cte_tables);
        self.own.push(own.map(|own| called(&own.alias.name)).collect());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.own.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            // A table that is called so too is seen in the plan of the statement.
            TableFactor::Table { name, args: None, .. } if self.is_own(name) => {}
            TableFactor::Table { name, args: None, .. } => {
                self.found.insert(name.to_string());
            }
            TableFactor::Table { .. } | TableFactor::Function { .. } => {
                self.found.insert(factor.to_string());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// A name as it counts.
fn called(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_ascii_lowercase(),
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

fn missing(what: String) -> QueryError {
    EngineError::from(TableError::from(CatalogFault::NotFound { what })).into()
}
