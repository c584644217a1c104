//! Several tables in one commit.

use axum::extract::State;
use http::HeaderMap;
use serde::Deserialize;

use super::authorise::Made;
use super::extract::Body;
use super::respond::{Answer, no_content};
use super::tables::{CommitTable, commit_once, may_rebase};
use super::{Shared, place};
use crate::command::Outcome;
use crate::commit::TableWork;
use crate::error::{CatalogError, Result};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Transaction {
    table_changes: Vec<CommitTable>,
}

/// `POST /v1/transactions/commit`
pub(super) async fn commit(State(service): Shared, headers: HeaderMap, body: Body<Transaction>) -> Answer {
    let may_rebase = may_rebase(&headers);
    let changes = body.value.table_changes;
    if changes.is_empty() {
        return Err(CatalogError::bad_request("the transaction changes no table"));
    }
    let works: Result<Vec<TableWork>> = changes
        .into_iter()
        .map(|change| change.into_work(None, may_rebase))
        .collect();
    let works = works?;
    place::check_tables(&service, &works).await?;
    Ok(match commit_once(&service, body.ticket, works).await? {
        Outcome::Committed(tables) => Made::by(&tables).told_with(no_content()),
        _ => no_content(),
    })
}
