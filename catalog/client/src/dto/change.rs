//! The change feed.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::job::JobPhase;
use tidewater_core::{JobId, Namespace, TableName};

/// A table after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableState {
    /// Names it for good in the catalog, whatever its name.
    pub id: Uuid,
    /// Levels of its namespace.
    pub namespace: Vec<String>,
    /// Its name in there.
    pub name: String,
    /// Its uuid as its metadata has it.
    pub uuid: Uuid,
    /// Raised by every commit.
    pub version: u64,
    /// The head of branch `main`.
    pub snapshot_id: Option<i64>,
    /// Its metadata file.
    pub metadata_location: String,
}

impl TableState {
    /// Its full name; none when a client of another kind gave it one that SQL here cannot say.
    pub fn table_name(&self) -> Option<TableName> {
        let namespace = Namespace::new(self.namespace.clone()).ok()?;
        TableName::new(namespace, self.name.clone()).ok()
    }
}

/// A view after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewState {
    /// Names it for good in the catalog, whatever its name.
    pub id: Uuid,
    /// Levels of its namespace.
    pub namespace: Vec<String>,
    /// Its name in there.
    pub name: String,
    /// Its uuid as its metadata has it.
    pub uuid: Uuid,
    /// Raised by every commit.
    pub version: u64,
    /// Its metadata file.
    pub metadata_location: String,
}

/// One applied change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The log entry. Several changes of one entry share it.
    pub index: u64,
    /// When, in the log's time.
    pub at_ms: i64,
    /// What.
    #[serde(flatten)]
    pub kind: ChangeKind,
}

/// The kinds of change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum ChangeKind {
    /// A namespace was made.
    NamespaceCreated {
        /// Its levels.
        namespace: Vec<String>,
    },
    /// Properties of a namespace changed.
    NamespaceUpdated {
        /// Its levels.
        namespace: Vec<String>,
    },
    /// A namespace was dropped.
    NamespaceDropped {
        /// Its levels.
        namespace: Vec<String>,
    },
    /// A table was made.
    TableCreated {
        /// The table.
        table: TableState,
    },
    /// A table was committed to.
    TableUpdated {
        /// The table after it.
        table: TableState,
    },
    /// A table has another name.
    TableRenamed {
        /// Levels of its old namespace.
        from_namespace: Vec<String>,
        /// Its old name.
        from_name: String,
        /// The table under its new name.
        table: TableState,
    },
    /// A table was dropped.
    TableDropped {
        /// The table as it stood.
        table: TableState,
    },
    /// A view was made.
    ViewCreated {
        /// The view.
        view: ViewState,
    },
    /// A view was replaced.
    ViewUpdated {
        /// The view after it.
        view: ViewState,
    },
    /// A view has another name.
    ViewRenamed {
        /// Levels of its old namespace.
        from_namespace: Vec<String>,
        /// Its old name.
        from_name: String,
        /// The view under its new name.
        view: ViewState,
    },
    /// A view was dropped.
    ViewDropped {
        /// The view as it stood.
        view: ViewState,
    },
    /// A job row was written.
    Job {
        /// The job.
        id: JobId,
        /// How far it is.
        phase: JobPhase,
    },
    /// What a newer catalog tells and this client does not know.
    #[serde(other)]
    Other,
}

impl ChangeKind {
    /// The table that changed, if the change is of a table.
    pub fn table(&self) -> Option<&TableState> {
        match self {
            Self::TableCreated { table }
            | Self::TableUpdated { table }
            | Self::TableRenamed { table, .. }
            | Self::TableDropped { table } => Some(table),
            _ => None,
        }
    }

    /// The view that changed, if the change is of a view.
    pub fn view(&self) -> Option<&ViewState> {
        match self {
            Self::ViewCreated { view }
            | Self::ViewUpdated { view }
            | Self::ViewRenamed { view, .. }
            | Self::ViewDropped { view } => Some(view),
            _ => None,
        }
    }
}

/// Changes after a cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePage {
    /// The changes, oldest first; all of one log entry or none of it.
    pub changes: Vec<Change>,
    /// The cursor for the next call.
    pub cursor: u64,
    /// Changes after the given cursor are no longer kept: load everything anew, then go on from `cursor`.
    pub lost: bool,
}
