//! The seam to whoever keeps offsets and leases beside the table pointers: the catalog's log.

use async_trait::async_trait;

use tidewater_catalog_client::CatalogClient;
use tidewater_catalog_client::dto::{IngestCommit, IngestOutcome, LeaseRequest, LeaseResponse};
use tidewater_table::iceberg::spec::TableMetadata;
use tidewater_table::{Catalog, CatalogFault, NewTable};

/// Offsets and leases, and the commit that moves offsets and tables together.
#[async_trait]
pub trait OffsetLog: Catalog {
    /// Takes or keeps leases.
    async fn acquire(&self, request: &LeaseRequest) -> Result<LeaseResponse, CatalogFault>;

    /// Moves offsets and tables, all or nothing. [`CatalogFault::Timeout`] means that it may have happened.
    async fn commit_offsets(&self, commit: &IngestCommit) -> Result<IngestOutcome, CatalogFault>;

    /// The state of a table that is yet to be made, by a commit that demands its absence.
    async fn stage(&self, table: &NewTable) -> Result<TableMetadata, CatalogFault>;
}

#[async_trait]
impl OffsetLog for CatalogClient {
    async fn acquire(&self, request: &LeaseRequest) -> Result<LeaseResponse, CatalogFault> {
        Ok(self.acquire_leases(request).await?)
    }

    async fn commit_offsets(&self, commit: &IngestCommit) -> Result<IngestOutcome, CatalogFault> {
        Ok(self.ingest_commit(commit).await?)
    }

    async fn stage(&self, table: &NewTable) -> Result<TableMetadata, CatalogFault> {
        Ok(self.stage_table(table).await?)
    }
}
