//! Who may do what, for fronts that have to know it and for whoever changes it.

use axum::Extension;
use axum::extract::State;
use serde::Deserialize;

use crate::error::Result;
use crate::policy::known;
use crate::rest::{Answer, Body, Caller, Query, Shared, json};
use tidewater_catalog_client::dto;
use tidewater_security::{PolicyChange, SecurityError};

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    /// The version that the caller has.
    known: Option<u64>,
}

/// `GET /internal/v1/policy`
pub(super) async fn load(State(service): Shared, caller: Extension<Caller>, Query(wanted): Query<Wanted>) -> Answer {
    of_installation(&caller)?;
    let state = service.fresh_state().await?;
    let version = state.policy_version();
    let mut policy = match wanted.known == Some(version) {
        true => None,
        false => Some(match &service.authorizer {
            Some(authorizer) => (*known(authorizer, &state)).clone(),
            None => state.policy(),
        }),
    };
    if *caller == Caller::Open {
        // Of an installation that had users once: what is kept of passwords is for nodes only.
        let rows = policy.iter_mut().flat_map(|policy| policy.users.values_mut());
        rows.for_each(|row| row.password = None);
    }
    json(&dto::PolicyState { version, policy })
}

/// `POST /internal/v1/policy`. Whether somebody may ask for it was decided by whoever sends it.
pub(super) async fn change(State(service): Shared, caller: Extension<Caller>, body: Body<PolicyChange>) -> Answer {
    of_installation(&caller)?;
    let work = service.change_policy(&body.ticket, body.value);
    service.once(&body.ticket, work).await?;
    let version = service.consensus.state().state.policy_version();
    json(&dto::PolicyState { version, policy: None })
}

/// Users change the policy by statements, where what they may grant is looked at.
fn of_installation(caller: &Caller) -> Result<()> {
    match caller {
        Caller::Open | Caller::Installation(_) => Ok(()),
        Caller::User(user) => Err(SecurityError::PermissionDenied {
            user: user.name.clone(),
            privilege: "a node's token".into(),
            what: "the internal calls".into(),
        }
        .into()),
    }
}
