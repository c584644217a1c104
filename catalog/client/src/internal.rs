//! The internal calls.

use std::time::Duration;

use reqwest::Method;

use crate::client::CatalogClient;
use crate::dto::{
    ChangePage, ClusterStatus, HeldAsked, HeldTold, IngestCommit, IngestOutcome, JobPage, JobPut, JobRow, JobWritten,
    LeaseRequest, LeaseResponse, OffsetsResponse,
};
use crate::error::Result;
use crate::path::part;
use crate::transport::Call;
use tidewater_core::{JobId, TableName};

/// Which jobs are listed.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only those that have not ended.
    pub open: bool,
    /// Only of this kind.
    pub kind: Option<String>,
    /// At most this many; the catalog has a limit of its own.
    pub limit: Option<usize>,
}

impl CatalogClient {
    /// Commits offsets and the tables that hold their records, all or nothing. [`crate::ClientError::Unknown`] means that it may
    /// be applied: send the same ranges again, and the answer tells.
    ///
    /// # Errors
    /// If no node took it, or the request is wrong. Refusals that the state causes are outcomes.
    pub async fn ingest_commit(&self, commit: &IngestCommit) -> Result<IngestOutcome> {
        self.mutate(Method::POST, "/internal/v1/ingest/commit".into(), Some(commit))
            .await?
            .json()
    }

    /// Takes, keeps and gives up partition leases.
    ///
    /// # Errors
    /// If no node took it, or the request is wrong. A lease that is another's is not an error: see `granted`.
    pub async fn acquire_leases(&self, request: &LeaseRequest) -> Result<LeaseResponse> {
        self.mutate(Method::POST, "/internal/v1/ingest/leases".into(), Some(request))
            .await?
            .json()
    }

    /// Offsets and leases of all partitions of topics that begin with `topic_prefix`.
    ///
    /// # Errors
    /// If no node answers.
    pub async fn offsets(&self, topic_prefix: &str) -> Result<OffsetsResponse> {
        self.get(format!(
            "/internal/v1/ingest/offsets?topic_prefix={}",
            part(topic_prefix)
        ))
        .await?
        .json()
    }

    /// Writes a job row and answers its version.
    ///
    /// # Errors
    /// Refused with `JobVersionException` if the row has another version than expected, or the job has ended.
    pub async fn put_job(&self, job: JobId, row: &JobPut) -> Result<u64> {
        let written: JobWritten = self
            .mutate(Method::PUT, format!("/internal/v1/jobs/{job}"), Some(row))
            .await?
            .json()?;
        Ok(written.version)
    }

    /// One job row.
    ///
    /// # Errors
    /// If no node answers.
    pub async fn job(&self, job: JobId) -> Result<Option<JobRow>> {
        match self.get(format!("/internal/v1/jobs/{job}")).await {
            Ok(reply) => reply.json().map(Some),
            Err(error) if error.is_refusal("NoSuchJobException") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Job rows, the newest first.
    ///
    /// # Errors
    /// If no node answers.
    pub async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRow>> {
        let mut path = format!("/internal/v1/jobs?open={}", filter.open);
        if let Some(kind) = &filter.kind {
            path = format!("{path}&kind={}", part(kind));
        }
        if let Some(limit) = filter.limit {
            path = format!("{path}&limit={limit}");
        }
        let page: JobPage = self.get(path).await?.json()?;
        Ok(page.jobs)
    }

    /// Changes after the cursor (none: from now on); waits for the first one for up to `wait`. The answer holds the next cursor.
    ///
    /// # Errors
    /// If no node answers.
    pub async fn changes(&self, after: Option<u64>, limit: usize, wait: Duration) -> Result<ChangePage> {
        let mut path = format!("/internal/v1/changes?limit={limit}&wait_ms={}", wait.as_millis());
        if let Some(after) = after {
            path = format!("{path}&after={after}");
        }
        let call = Call {
            wait,
            ..Call::get(path)
        };
        self.transport.send(&call).await?.json()
    }

    /// Whether each of these folders is or lies in the location of another table or view than `table`, dropped tables that can come back
    /// among them.
    ///
    /// # Errors
    /// If no node answers.
    pub(crate) async fn held_elsewhere(&self, table: &TableName, folders: &[String]) -> Result<Vec<bool>> {
        let asked = HeldAsked {
            namespace: table.namespace().levels().to_vec(),
            name: table.name().to_owned(),
            folders: folders.to_vec(),
        };
        let path = "/internal/v1/locations/held".into();
        let told: HeldTold = self.mutate(Method::POST, path, Some(&asked)).await?.json()?;
        Ok(told.held)
    }

    /// The catalog's nodes, as the node that answers sees them.
    ///
    /// # Errors
    /// If no node answers.
    pub async fn cluster_status(&self) -> Result<ClusterStatus> {
        self.get("/internal/v1/cluster").await?.json()
    }
}
