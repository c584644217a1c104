//! What following needs of the catalog besides tables: news of changed tables.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use tidewater_catalog_client::CatalogClient;
use tidewater_core::TableName;

use crate::error::{Below, PipelineError, Result};

/// Changes asked for at once; more of them only make one answer larger.
const PAGE_CHANGES_MAX: usize = 1_000;

/// News of changed tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// Tables that changed.
    pub tables: BTreeSet<TableName>,
    /// Where to go on.
    pub cursor: u64,
    /// Some news were lost: anything may have changed.
    pub lost: bool,
}

/// Tells which tables changed.
#[async_trait]
pub trait Feed: Debug + Send + Sync {
    /// News after a cursor (none: from now on); waits for the first for up to `wait`.
    async fn news(&self, after: Option<u64>, wait: Duration) -> Result<News>;
}

#[async_trait]
impl Feed for CatalogClient {
    async fn news(&self, after: Option<u64>, wait: Duration) -> Result<News> {
        let page = self
            .changes(after, PAGE_CHANGES_MAX, wait)
            .await
            .map_err(|source| PipelineError::Catalog {
                step: "asking for changes",
                source: Below::coded(source),
            })?;
        let tables = page
            .changes
            .iter()
            .filter_map(|change| change.kind.table()?.table_name())
            .collect();
        Ok(News {
            tables,
            cursor: page.cursor,
            lost: page.lost,
        })
    }
}
