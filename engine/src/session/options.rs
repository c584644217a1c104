//! What a session wants, and what a statement of it names.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionContext;
use tidewater_core::TableName;
use tidewater_security::Access;

use super::ZONE;
use crate::judge::Judge;
use crate::lake::Moment;
use crate::one_moment::OneMoment;
use crate::pg_catalog::Postgres;
use crate::policy::RowPolicies;

/// What a query is for, which decides where it may wait and where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Somebody waits for the answer.
    Interactive,
    /// A job: throughput counts, and it must survive the loss of an executor.
    Batch,
}

/// The kind of a session is the class of its queries.
pub type SessionKind = Class;

/// Where a session wants its queries to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Execution {
    /// Where they belong by what they read.
    #[default]
    Auto,
    /// In the process that was asked.
    Local,
    /// On the executors, as far as they can run them.
    Cluster,
}

impl Execution {
    /// The names, as `SET tidewater.execution` takes them.
    pub const NAMES: [&'static str; 3] = ["auto", "local", "cluster"];

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "auto" => Some(Self::Auto),
            "local" => Some(Self::Local),
            "cluster" => Some(Self::Cluster),
            _ => None,
        }
    }

    /// What the session of a plan wants.
    pub fn of(session: &SessionContext) -> Self {
        let state = session.state_ref();
        let found = state.read().config().get_extension::<Self>();
        found.map(|wanted| *wanted).unwrap_or_default()
    }
}

/// How a session differs from others.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// The schema of names that have none; the engine's default if not given.
    pub default_schema: Option<String>,
    /// Parallelism of a query; the engine's default if not given.
    pub target_partitions: Option<usize>,
    /// Where its queries run.
    pub execution: Execution,
    /// Tables that stand for the catalog's tables of these names, or beside them: pinned snapshots, changes, views.
    pub overlay: HashMap<TableName, Arc<dyn TableProvider>>,
    /// Tables that are seen as they stood at one moment, instead of as they stand when they are looked up.
    pub moment: Arc<Moment>,
    /// When all others of the catalog's tables are seen; as they stand when they are looked up if not given.
    pub one_moment: Option<Arc<OneMoment>>,
    /// The id under which writes wait to be published, to tables that stage them (`write.wap.enabled`).
    pub wap_id: Option<String>,
    /// That it stands in a transaction block, where nothing may be older than what was seen before.
    pub in_transaction: bool,
    /// That statements are PostgreSQL's, and what they see of their session.
    pub postgres: Option<Arc<Postgres>>,
    /// What whoever asks may know of: names of anything else stand for nothing. None where no grant binds.
    pub access: Option<Arc<Access>>,
    /// What whoever asks may see of the rows of tables. None where no policy binds.
    pub policies: Option<Arc<dyn RowPolicies>>,
    /// Who is asked of each plan whether whoever asks may have it. None where no grant binds.
    pub judge: Option<Arc<dyn Judge>>,
    /// Whether whoever asks may read who did what; grants on its table bind them beside this.
    pub reads_audit: bool,
}

/// What a statement names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Tables and views; metadata tables and pinned snapshots count as their table.
    pub tables: BTreeSet<TableName>,
    /// Whether it asks what there is.
    pub information_schema: bool,
}

impl SessionOptions {
    /// With this default schema.
    #[must_use]
    pub fn default_schema(mut self, schema: impl Into<String>) -> Self {
        self.default_schema = Some(schema.into());
        self
    }

    /// The zone whose days and hours instants have, as their types tell it.
    pub fn zone(&self) -> &str {
        self.postgres.as_ref().map_or(ZONE, |postgres| postgres.zone())
    }

    /// With `table` under `name`, whatever the catalog has there.
    #[must_use]
    pub fn overlay(mut self, name: TableName, table: Arc<dyn TableProvider>) -> Self {
        self.overlay.insert(name, table);
        self
    }
}
