//! Tables: list, create, commit, rename, drop.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use http::{HeaderMap, HeaderName};
use iceberg::spec::{Schema, SortOrder, UnboundPartitionSpec};
use iceberg::{TableRequirement, TableUpdate};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::authorise::{Made, retention, sees_object};
use super::extract::{Body, InNamespace, InTable, Keyed, Query};
use super::load::{Snapshots, staged_answer, table_answer};
use super::page::{Paging, cut};
use super::respond::{Answer, json, no_content};
use super::{Shared, place};
use crate::command::{DropOp, Ident, Op, Outcome, Relation};
use crate::commit::{Choice, NewTable, TableWork};
use crate::credentials::{Grant, Wish};
use crate::error::{CatalogError, Result};
use crate::metadata::encode;
use crate::names::checked_ident;
use crate::service::{Service, Ticket, find, require_free, require_namespace, require_uuid};

/// `GET /v1/namespaces/{namespace}/tables`
pub(super) async fn list(
    State(service): Shared,
    InNamespace(namespace): InNamespace,
    Query(paging): Query<Paging>,
) -> Answer {
    let state = service.fresh_state().await?;
    require_namespace(&state, &namespace)?;
    let found = state.tables_in(&namespace, paging.after()?);
    let found = found.filter(|row| sees_object(&row.name));
    let (page, token) = cut(found, paging.limit()?, |row| row.name.name.clone());
    let identifiers: Vec<&Ident> = page.into_iter().map(|row| &row.name).collect();
    json(&json!({"identifiers": identifiers, "next-page-token": token}))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct CreateTable {
    name: String,
    location: Option<String>,
    schema: Schema,
    partition_spec: Option<UnboundPartitionSpec>,
    write_order: Option<SortOrder>,
    #[serde(default)]
    stage_create: Option<bool>,
    #[serde(default)]
    properties: Option<HashMap<String, String>>,
}

/// `POST /v1/namespaces/{namespace}/tables`
pub(super) async fn create(
    State(service): Shared,
    InNamespace(namespace): InNamespace,
    headers: HeaderMap,
    body: Body<CreateTable>,
) -> Answer {
    let wish = Wish::of(&headers);
    let CreateTable {
        name,
        location,
        schema,
        partition_spec,
        write_order,
        stage_create,
        properties,
    } = body.value;
    let new = NewTable {
        table: checked_ident(namespace, name)?,
        uuid: service.rng.uuid_v7(service.clock.now_ms()),
        schema,
        spec: partition_spec,
        sort_order: write_order,
        properties: properties.unwrap_or_default(),
        location,
    };
    place::check_new(&service, &new.table, new.location.as_deref()).await?;
    let choice = place::choice_of(new.location.as_deref());
    if stage_create.unwrap_or(false) {
        return stage(&service, new, choice, wish).await;
    }
    let ticket = body.ticket;
    let table = new.table.clone();
    let worker = Arc::clone(&service);
    let outcome = service.detached("create-table", async move {
        let work = async {
            require_free(&worker.fresh_state().await?, Relation::Table, &new.table)?;
            let table = new.table.clone();
            let metadata = new.metadata(&worker.warehouse)?;
            worker.create(&ticket, &table, metadata, choice).await
        };
        worker.once(&ticket, work).await
    });
    answer_committed(&service, outcome.await?, Some((&table, wish))).await
}

/// Says what the table would be. Nothing is kept: a commit that demands `assert-create` makes it.
async fn stage(service: &Service, new: NewTable, choice: Choice, wish: Wish) -> Answer {
    require_free(&service.fresh_state().await?, Relation::Table, &new.table)?;
    let table = new.table.clone();
    let metadata = new.metadata(&service.warehouse)?;
    // A location that is another table's would be refused at the commit; a credential for it would be out by then.
    service.check_place(&service.fresh_state().await?, &table, metadata.location(), choice)?;
    let grant = service
        .grant_to_maker(wish, &table, metadata.uuid(), metadata.location())
        .await?;
    let raw = encode(&metadata).map_err(|error| CatalogError::internal(error.to_string()))?;
    staged_answer(&raw, &grant)
}

/// The table that a commit made or moved, from the file that this commit wrote.
pub(super) async fn answer_committed(service: &Service, outcome: Outcome, made: Option<(&Ident, Wish)>) -> Answer {
    match outcome {
        Outcome::Committed(tables) => match tables.first() {
            Some(table) => {
                let file = service.cache.load(&table.metadata_location).await?;
                let grant = grant_of(service, made, table.id).await?;
                let answer = table_answer(&file, Snapshots::All, &grant)?;
                Ok(Made::by(&tables).told_with(answer))
            }
            None => Err(CatalogError::internal("a commit without a table")),
        },
        other => Err(CatalogError::internal(format!("unexpected outcome {other:?}"))),
    }
}

/// For a table that is there by now; its row has the location that was checked when it was made. Nothing for another one that bears its name.
async fn grant_of(service: &Service, made: Option<(&Ident, Wish)>, id: Uuid) -> Result<Grant> {
    let Some((table, wish)) = made.filter(|(_, wish)| *wish != Wish::default()) else {
        return Ok(Grant::default());
    };
    let row = service.table(table).await?;
    if row.id != id {
        return Ok(Grant::default());
    }
    service
        .grant_to_maker(wish, table, row.pointer.uuid, &row.pointer.location)
        .await
}

/// A commit as clients send it, alone or in a transaction.
#[derive(Debug, Deserialize)]
pub(super) struct CommitTable {
    identifier: Option<TableIdentifier>,
    #[serde(default)]
    requirements: Vec<TableRequirement>,
    #[serde(default)]
    updates: Vec<TableUpdate>,
}

/// The name of a table in a body.
#[derive(Debug, Deserialize)]
pub(super) struct TableIdentifier {
    namespace: Vec<String>,
    name: String,
}

impl TableIdentifier {
    pub(super) fn checked(self) -> Result<Ident> {
        checked_ident(self.namespace, self.name)
    }
}

impl CommitTable {
    /// The commit of the caller of the request at work, to the table of the path or to the one it names itself.
    pub(super) fn into_work(self, path: Option<Ident>, may_rebase: bool) -> Result<TableWork> {
        let named = self.identifier.map(TableIdentifier::checked).transpose()?;
        let table = match (path, named) {
            (Some(path), Some(named)) if path != named => {
                return Err(CatalogError::bad_request(format!(
                    "the path names {path}, the body {named}"
                )));
            }
            (Some(table), _) | (None, Some(table)) => table,
            (None, None) => return Err(CatalogError::bad_request("a table change has no identifier")),
        };
        Ok(TableWork {
            retention: retention(&table),
            table,
            requirements: self.requirements,
            updates: self.updates,
            may_rebase,
            choice: place::choice(),
        })
    }
}

/// On a commit, with `false`: refuse an append that lost its race, for its writer has to look at what came in between.
const REBASE_APPENDS: HeaderName = HeaderName::from_static("x-tidewater-rebase-appends");

pub(super) fn may_rebase(headers: &HeaderMap) -> bool {
    headers.get(REBASE_APPENDS).is_none_or(|wish| wish != "false")
}

/// Commits, and gives the same answer when the same request comes again.
pub(super) async fn commit_once(service: &Arc<Service>, ticket: Ticket, works: Vec<TableWork>) -> Result<Outcome> {
    let worker = Arc::clone(service);
    let run = async move { worker.once(&ticket, worker.commit(&ticket, works, Vec::new())).await };
    service.detached("commit", run).await
}

/// `POST /v1/namespaces/{namespace}/tables/{table}`
pub(super) async fn commit(
    State(service): Shared,
    InTable(table): InTable,
    headers: HeaderMap,
    body: Body<CommitTable>,
) -> Answer {
    let works = vec![body.value.into_work(Some(table), may_rebase(&headers))?];
    place::check_tables(&service, &works).await?;
    let outcome = commit_once(&service, body.ticket, works).await?;
    answer_committed(&service, outcome, None).await
}

#[derive(Debug, Deserialize)]
pub(super) struct Rename {
    source: TableIdentifier,
    destination: TableIdentifier,
}

/// What a call that goes by a name says of what it means.
#[derive(Debug, Deserialize)]
pub(super) struct Meaning {
    /// It is to be done only while the name is that of the table or view with this uuid.
    pub(super) uuid: Option<Uuid>,
}

/// `POST /v1/tables/rename`
pub(super) async fn rename(State(service): Shared, Query(meaning): Query<Meaning>, body: Body<Rename>) -> Answer {
    rename_to(&service, Relation::Table, meaning, body).await
}

/// Renames a table or view; a name that is taken is refused in words that tell both names.
pub(super) async fn rename_to(service: &Arc<Service>, kind: Relation, meaning: Meaning, body: Body<Rename>) -> Answer {
    let (from, to) = (body.value.source.checked()?, body.value.destination.checked()?);
    let (worker, ticket) = (Arc::clone(service), body.ticket);
    let run = async move {
        let work = async {
            // What comes to bear a name does so in the name's turn: until the end of this one nothing else does.
            let _turns = worker.queue.turn([&from, &to]).await?;
            if let Some(uuid) = meaning.uuid {
                require_uuid(&worker.fresh_state().await?, kind, &from, uuid)?;
            }
            let (source, destination) = (from.clone(), to.clone());
            let op = match kind {
                Relation::Table => Op::RenameTable {
                    from: source,
                    to: destination,
                },
                Relation::View => Op::RenameView {
                    from: source,
                    to: destination,
                },
            };
            let taken = |by| CatalogError::RenameTaken {
                from: from.clone(),
                to: to.clone(),
                by,
            };
            worker.propose(&ticket, op).await.map_err(|error| match error {
                CatalogError::TableExists { .. } => taken(Relation::Table),
                CatalogError::ViewExists { .. } => taken(Relation::View),
                CatalogError::NameTaken { by, .. } => taken(by),
                other => other,
            })
        };
        worker.once(&ticket, work).await
    };
    service.detached("rename", run).await?;
    Ok(no_content())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dropping {
    purge_requested: Option<String>,
    /// It is to be dropped only while the name is that of the table with this uuid.
    uuid: Option<Uuid>,
}

/// `DELETE /v1/namespaces/{namespace}/tables/{table}`
pub(super) async fn drop(
    State(service): Shared,
    InTable(table): InTable,
    Query(dropping): Query<Dropping>,
    Keyed(ticket): Keyed,
) -> Answer {
    let Dropping { purge_requested, uuid } = dropping;
    // Some clients write it `True`.
    let purge = purge_requested.is_some_and(|wish| wish.eq_ignore_ascii_case("true"));
    let work = async {
        // What came to bear the name since is left alone.
        let id = {
            let state = service.fresh_state().await?;
            if let Some(uuid) = uuid {
                require_uuid(&state, Relation::Table, &table, uuid)?;
            }
            find(&state, &table).ok().map(|row| row.id)
        };
        let op = Op::Drop(DropOp::Table {
            table: table.clone(),
            id,
            job: service.rng.uuid_v7(service.clock.now_ms()),
            terms: service.retention.terms(purge),
        });
        service.propose(&ticket, op).await
    };
    service.once(&ticket, work).await?;
    Ok(no_content())
}
