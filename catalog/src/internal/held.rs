//! Whose location files lie in that a table names.

use axum::extract::State;

use crate::command::Ident;
use crate::commit::physical;
use crate::error::CatalogError;
use crate::rest::{Answer, Body, Shared, json};
use tidewater_catalog_client::dto;

/// Most folders in one call.
const FOLDERS_MAX: usize = 10_000;

/// `POST /internal/v1/locations/held`: changes nothing.
pub(super) async fn ask(State(service): Shared, body: Body<dto::HeldAsked>) -> Answer {
    let dto::HeldAsked {
        namespace,
        name,
        folders,
    } = body.value;
    if folders.len() > FOLDERS_MAX {
        return Err(CatalogError::TooLarge {
            what: "the list of folders",
            limit: FOLDERS_MAX,
        });
    }
    let state = service.fresh_state().await?;
    let id = state.table(&Ident { namespace, name }).map(|row| row.id);
    // What has no place here is nobody's, and cannot be read either.
    let held = |folder: &String| physical(folder).is_some_and(|place| state.is_anothers(&format!("{place}/"), id));
    let held = folders.iter().map(held).collect();
    json(&dto::HeldTold { held })
}
