//! Namespaces.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use super::authorise::{Made, sees_namespace};
use super::extract::{Body, InNamespace, Keyed, Query};
use super::page::{Paging, cut};
use super::respond::{Answer, json, no_content};
use crate::command::{Op, Outcome};
use crate::error::{CatalogError, Result};
use crate::names::{checked_namespace, parse_namespace};
use crate::service::require_namespace;
use crate::state::State as CatalogState;

/// Most properties of a namespace, and most bytes of one: they stand in the log and in memory of every node.
const PROPERTIES_MAX: usize = 1_000;
const PROPERTY_BYTES_MAX: usize = 8 << 10;

#[derive(Debug, Deserialize)]
pub(super) struct Under {
    #[serde(default)]
    parent: String,
}

/// `GET /v1/namespaces`
pub(super) async fn list(State(service): Shared, Query(under): Query<Under>, Query(paging): Query<Paging>) -> Answer {
    let state = service.fresh_state().await?;
    let parent = match under.parent.as_str() {
        "" => Vec::new(),
        joined => parse_namespace(joined)?,
    };
    if !parent.is_empty() {
        // What one may not know of is not there.
        let levels: &[String] = if sees_namespace(&parent) { &parent } else { &[] };
        require_namespace(&state, levels).map_err(|_| CatalogError::NoSuchNamespace {
            namespace: parent.join("."),
        })?;
    }
    let level = |levels: &[String]| levels.last().cloned().unwrap_or_default();
    let after = paging.after()?;
    let found = state
        .namespaces_under(&parent)
        .filter(|row| after.is_none_or(|after| level(&row.levels).as_str() > after))
        .filter(|row| sees_namespace(&row.levels));
    let (page, token) = cut(found, paging.limit()?, |row| level(&row.levels));
    let namespaces: Vec<&Vec<String>> = page.into_iter().map(|row| &row.levels).collect();
    json(&json!({"namespaces": namespaces, "next-page-token": token}))
}

#[derive(Debug, Deserialize)]
pub(super) struct NewNamespace {
    namespace: Vec<String>,
    #[serde(default)]
    properties: Option<BTreeMap<String, String>>,
}

/// `POST /v1/namespaces`
pub(super) async fn create(State(service): Shared, body: Body<NewNamespace>) -> Answer {
    let namespace = checked_namespace(body.value.namespace)?;
    let properties = body.value.properties.unwrap_or_default();
    check_properties(&properties)?;
    let op = Op::CreateNamespace {
        namespace: namespace.clone(),
        properties: properties.clone(),
    };
    let ticket = body.ticket;
    let is_repeated = match ticket.key {
        Some(key) => service
            .fresh_state()
            .await?
            .replay(key.as_u128(), ticket.print)
            .is_some(),
        None => false,
    };
    service.once(&ticket, service.propose(&ticket, op)).await?;
    let answer = json(&json!({"namespace": namespace, "properties": properties}))?;
    // Nothing but its name tells it from one that another made since.
    Ok(match is_repeated {
        true => answer,
        false => Made::Namespace.told_with(answer),
    })
}

/// `GET /v1/namespaces/{namespace}`
pub(super) async fn load(State(service): Shared, InNamespace(namespace): InNamespace) -> Answer {
    let state = service.fresh_state().await?;
    require_namespace(&state, &namespace)?;
    let properties = state.namespace(&namespace).map(|row| &row.properties);
    json(&json!({"namespace": namespace, "properties": properties}))
}

/// `HEAD /v1/namespaces/{namespace}`
pub(super) async fn exists(State(service): Shared, InNamespace(namespace): InNamespace) -> Answer {
    require_namespace(&service.fresh_state().await?, &namespace)?;
    Ok(no_content())
}

/// `DELETE /v1/namespaces/{namespace}`
pub(super) async fn drop(
    State(service): Shared,
    InNamespace(namespace): InNamespace,
    Keyed(ticket): Keyed,
) -> Result<Response> {
    let op = Op::DropNamespace { namespace };
    service.once(&ticket, service.propose(&ticket, op)).await?;
    Ok(no_content())
}

#[derive(Debug, Deserialize)]
pub(super) struct Properties {
    #[serde(default)]
    removals: Vec<String>,
    #[serde(default)]
    updates: BTreeMap<String, String>,
}

/// `POST /v1/namespaces/{namespace}/properties`
pub(super) async fn update(
    State(service): Shared,
    InNamespace(namespace): InNamespace,
    body: Body<Properties>,
) -> Answer {
    let Properties { mut removals, updates } = body.value;
    removals.sort_unstable();
    removals.dedup();
    if let Some(key) = removals.iter().find(|key| updates.contains_key(*key)) {
        return Err(CatalogError::Unprocessable {
            reason: format!("property {key:?} is both removed and updated"),
        });
    }
    check_properties(&updates)?;
    let work = async {
        check_total(&service.fresh_state().await?, &namespace, &removals, &updates)?;
        let op = Op::UpdateNamespace {
            namespace,
            removals,
            updates,
        };
        service.propose(&body.ticket, op).await
    };
    match service.once(&body.ticket, work).await? {
        Outcome::NamespaceUpdated {
            updated,
            removed,
            missing,
        } => json(&json!({"updated": updated, "removed": removed, "missing": missing})),
        other => Err(CatalogError::internal(format!("unexpected outcome {other:?}"))),
    }
}

/// Refuses to let a namespace grow beyond its limit by small steps.
fn check_total(
    state: &CatalogState,
    namespace: &[String],
    removals: &[String],
    updates: &BTreeMap<String, String>,
) -> Result<()> {
    let Some(row) = state.namespace(namespace) else {
        return Ok(());
    };
    let stay = |name: &&String| !updates.contains_key(*name) && removals.binary_search(name).is_err();
    if row.properties.keys().filter(stay).count() + updates.len() > PROPERTIES_MAX {
        return Err(CatalogError::TooLarge {
            what: "the number of properties",
            limit: PROPERTIES_MAX,
        });
    }
    Ok(())
}

fn check_properties(properties: &BTreeMap<String, String>) -> Result<()> {
    if properties.len() > PROPERTIES_MAX {
        return Err(CatalogError::TooLarge {
            what: "the number of properties",
            limit: PROPERTIES_MAX,
        });
    }
    if properties
        .iter()
        .any(|(name, value)| name.len() + value.len() > PROPERTY_BYTES_MAX)
    {
        return Err(CatalogError::TooLarge {
            what: "a property",
            limit: PROPERTY_BYTES_MAX,
        });
    }
    Ok(())
}
