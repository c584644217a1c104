//! Views: list, create, load, replace, rename, drop.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use iceberg::ViewUpdate;
use iceberg::spec::{Schema, ViewVersion};
use serde::Deserialize;
use serde_json::json;

use super::authorise::{Made, sees_object};
use super::extract::{Body, InNamespace, InView, Keyed, Query};
use super::load::view_answer;
use super::page::{Paging, cut};
use super::respond::{Answer, json, no_content};
use super::tables::{Meaning, Rename, TableIdentifier, rename_to};
use super::{Shared, place};
use crate::command::{Ident, Op, Outcome, Relation};
use crate::commit::{NewView, ViewRequirement, ViewWork};
use crate::error::CatalogError;
use crate::names::checked_ident;
use crate::service::{Service, find_view, require_free, require_namespace, require_uuid};

/// `GET /v1/namespaces/{namespace}/views`
pub(super) async fn list(
    State(service): Shared,
    InNamespace(namespace): InNamespace,
    Query(paging): Query<Paging>,
) -> Answer {
    let state = service.fresh_state().await?;
    require_namespace(&state, &namespace)?;
    let found = state.views_in(&namespace, paging.after()?);
    let found = found.filter(|row| sees_object(&row.name));
    let (page, token) = cut(found, paging.limit()?, |row| row.name.name.clone());
    let identifiers: Vec<&Ident> = page.into_iter().map(|row| &row.name).collect();
    json(&json!({"identifiers": identifiers, "next-page-token": token}))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct CreateView {
    name: String,
    location: Option<String>,
    schema: Schema,
    view_version: ViewVersion,
    #[serde(default)]
    properties: Option<HashMap<String, String>>,
}

/// `POST /v1/namespaces/{namespace}/views`
pub(super) async fn create(
    State(service): Shared,
    InNamespace(namespace): InNamespace,
    body: Body<CreateView>,
) -> Answer {
    let CreateView {
        name,
        location,
        schema,
        view_version,
        properties,
    } = body.value;
    let new = NewView {
        view: checked_ident(namespace, name)?,
        uuid: service.rng.uuid_v7(service.clock.now_ms()),
        schema,
        version: view_version,
        properties: properties.unwrap_or_default(),
        location,
    };
    place::check_new(&service, &new.view, new.location.as_deref()).await?;
    let choice = place::choice_of(new.location.as_deref());
    let ticket = body.ticket;
    let worker = Arc::clone(&service);
    let outcome = service.detached("create-view", async move {
        let work = async {
            require_free(&worker.fresh_state().await?, Relation::View, &new.view)?;
            worker.create_view(&ticket, new, choice).await
        };
        worker.once(&ticket, work).await
    });
    answer_committed(&service, outcome.await?).await
}

/// The view that a commit made or moved, from the file that this commit wrote.
pub(super) async fn answer_committed(service: &Service, outcome: Outcome) -> Answer {
    match outcome {
        Outcome::Committed(views) => match views.first() {
            Some(view) => {
                let answer = view_answer(&*service.cache.load(&view.metadata_location).await?)?;
                Ok(Made::by(&views).told_with(answer))
            }
            None => Err(CatalogError::internal("a commit without a view")),
        },
        other => Err(CatalogError::internal(format!("unexpected outcome {other:?}"))),
    }
}

/// `GET /v1/namespaces/{namespace}/views/{view}`
pub(super) async fn load(State(service): Shared, InView(view): InView) -> Answer {
    let state = service.fresh_state().await?;
    let location = &find_view(&state, &view)?.pointer.metadata_location;
    view_answer(&*service.cache.load(location).await?)
}

/// `HEAD /v1/namespaces/{namespace}/views/{view}`
pub(super) async fn exists(State(service): Shared, InView(view): InView) -> Answer {
    find_view(&service.fresh_state().await?, &view)?;
    Ok(no_content())
}

/// A replacement as clients send it.
#[derive(Debug, Deserialize)]
pub(super) struct CommitView {
    identifier: Option<TableIdentifier>,
    #[serde(default)]
    requirements: Vec<ViewRequirement>,
    updates: Vec<ViewUpdate>,
}

/// `POST /v1/namespaces/{namespace}/views/{view}`
pub(super) async fn commit(State(service): Shared, InView(view): InView, body: Body<CommitView>) -> Answer {
    let named = body.value.identifier.map(TableIdentifier::checked).transpose()?;
    if let Some(named) = named.filter(|named| *named != view) {
        return Err(CatalogError::bad_request(format!(
            "the path names {view}, the body {named}"
        )));
    }
    let work = ViewWork {
        view,
        requirements: body.value.requirements,
        updates: body.value.updates,
        choice: place::choice(),
    };
    place::check_view(&service, &work).await?;
    let ticket = body.ticket;
    let worker = Arc::clone(&service);
    let run = async move { worker.once(&ticket, worker.commit_view(&ticket, work)).await };
    let outcome = service.detached("commit-view", run).await?;
    answer_committed(&service, outcome).await
}

/// `POST /v1/views/rename`
pub(super) async fn rename(State(service): Shared, Query(meaning): Query<Meaning>, body: Body<Rename>) -> Answer {
    rename_to(&service, Relation::View, meaning, body).await
}

/// `DELETE /v1/namespaces/{namespace}/views/{view}`
pub(super) async fn drop(
    State(service): Shared,
    InView(view): InView,
    Query(meaning): Query<Meaning>,
    Keyed(ticket): Keyed,
) -> Answer {
    let worker = Arc::clone(&service);
    let run = async move {
        let work = async {
            // As for a rename: until the end of this turn nothing else comes to bear the name.
            let _turn = worker.queue.turn([&view]).await?;
            if let Some(uuid) = meaning.uuid {
                require_uuid(&worker.fresh_state().await?, Relation::View, &view, uuid)?;
            }
            let op = Op::DropView { view: view.clone() };
            worker.propose(&ticket, op).await
        };
        worker.once(&ticket, work).await
    };
    service.detached("drop-view", run).await?;
    Ok(no_content())
}
