//! Calls about dropped tables and whole namespaces.

use reqwest::Method;

use crate::client::CatalogClient;
use crate::dto::{DroppedPage, NamespaceDrop, NamespaceDropped, Undrop, Undropped};
use crate::error::Result;
use crate::path::{self, part};
use tidewater_core::{JobId, Namespace};

/// As many as a catalog keeps.
const DROPPED_MAX: usize = 100_000;

impl CatalogClient {
    /// Dropped tables whose drop can be taken back or whose files are being deleted, of one namespace or all; the last one
    /// dropped first.
    ///
    /// # Errors
    /// If no node answers.
    pub async fn dropped_tables(&self, namespace: Option<&Namespace>) -> Result<DroppedPage> {
        let path = match namespace {
            Some(namespace) => {
                let levels = serde_json::json!(namespace.levels()).to_string();
                format!("/internal/v1/dropped?namespace={}", part(&levels))
            }
            None => "/internal/v1/dropped".into(),
        };
        self.get(path).await?.json()
    }

    /// All of them.
    pub(crate) async fn all_dropped_tables(&self) -> Result<DroppedPage> {
        self.get(format!("/internal/v1/dropped?limit={DROPPED_MAX}"))
            .await?
            .json()
    }

    /// Brings a dropped table back.
    ///
    /// # Errors
    /// Refused with `NoSuchTableException` if none was dropped, `AlreadyExistsException` if the name is taken or the table stands under another one, and
    /// `PurgeBegunException` if its files are being deleted already.
    pub async fn undrop_table(&self, undrop: &Undrop) -> Result<Undropped> {
        self.mutate(Method::POST, "/internal/v1/dropped/undrop".into(), Some(undrop))
            .await?
            .json()
    }

    /// Drops a namespace that holds nothing.
    ///
    /// # Errors
    /// Refused with `NamespaceNotEmptyException` if it holds something.
    pub async fn drop_namespace(&self, namespace: &Namespace) -> Result<()> {
        let path = path::namespace(namespace);
        self.mutate::<()>(Method::DELETE, path, None).await.map(drop)
    }

    /// Begins to drop a namespace with all it holds; answers the job that does it.
    ///
    /// # Errors
    /// Refused with `NoSuchNamespaceException` if there is none.
    pub async fn drop_namespace_with_all(&self, namespace: &Namespace, purge: bool) -> Result<JobId> {
        let body = NamespaceDrop {
            namespace: namespace.levels().to_vec(),
            purge,
        };
        let begun: NamespaceDropped = self
            .operate(Method::POST, "/internal/v1/namespaces/drop".into(), &body)
            .await?
            .json()?;
        Ok(begun.job)
    }
}
