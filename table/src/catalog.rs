//! The seam to whoever keeps the table pointers: the catalog server's client in production, [`crate::testing`] in tests.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::spec::{Schema, SortOrder, TableMetadata, UnboundPartitionSpec};
use iceberg::{TableRequirement, TableUpdate};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::meant::Meant;
use crate::schema::LostDefaults;
use crate::view::{NewView, View};
use tidewater_core::{Coded, ErrorKind, Namespace, Retry, TableName};

/// A table as it was at one moment.
#[derive(Debug, Clone)]
pub struct LoadedTable {
    /// Its name at that moment.
    pub name: TableName,
    /// Its state.
    pub metadata: Arc<TableMetadata>,
    /// The file that holds the state.
    pub metadata_location: String,
    /// Defaults that the file has and `metadata` lacks.
    pub lost_defaults: LostDefaults,
}

/// Where a table stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePointer {
    /// The uuid in its metadata.
    pub uuid: Uuid,
    /// The file that holds its state.
    pub metadata_location: String,
    /// The head of branch `main`, if there is one.
    pub snapshot_id: Option<i64>,
}

/// Where all tables stand.
pub type Pointers = HashMap<TableName, TablePointer>;

/// What became of a table since it was seen.
#[derive(Debug, Clone)]
pub enum Since {
    /// There is no such table.
    Gone,
    /// It is as it was.
    Same,
    /// Its newest state.
    Changed(LoadedTable),
}

/// What one table's commit demands and changes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TableCommit {
    /// The table.
    pub name: TableName,
    /// What must hold, else nothing is changed.
    pub requirements: Vec<TableRequirement>,
    /// What changes.
    pub updates: Vec<TableUpdate>,
}

/// What a commit came to. The commit either changed all tables that it names, or none.
#[derive(Debug, Clone)]
pub enum CommitOutcome {
    /// Applied; the states after it, in the order of the commit.
    Committed(Vec<LoadedTable>),
    /// A requirement did not hold; nothing happened. Load, plan again.
    Conflict {
        /// Which requirement.
        message: String,
    },
    /// No answer, or one that does not tell. It may have been applied, or may still be. Look before doing anything else.
    Unknown {
        /// What was seen.
        message: String,
    },
}

/// A table to be made.
#[derive(Debug, Clone)]
pub struct NewTable {
    /// Its name.
    pub name: TableName,
    /// Its columns. The catalog may give field ids afresh.
    pub schema: Schema,
    /// Unpartitioned if not given.
    pub partition_spec: Option<UnboundPartitionSpec>,
    /// Unsorted if not given.
    pub sort_order: Option<SortOrder>,
    /// Table properties; `format-version` chooses the format (2 if not given).
    pub properties: HashMap<String, String>,
    /// Chosen by the catalog if not given.
    pub location: Option<String>,
}

impl NewTable {
    /// An unpartitioned table without properties.
    pub fn new(name: TableName, schema: Schema) -> Self {
        Self {
            name,
            schema,
            partition_spec: None,
            sort_order: None,
            properties: HashMap::new(),
            location: None,
        }
    }
}

/// Why the catalog could not do what it was asked for.
#[derive(Debug, Error)]
pub enum CatalogFault {
    /// No such table or namespace.
    #[error("{what} does not exist")]
    NotFound {
        /// What was named.
        what: String,
    },
    /// A table or namespace of that name is there already.
    #[error("{what} exists already")]
    AlreadyExists {
        /// What was named.
        what: String,
    },
    /// The call is wrong and will fail again.
    #[error("catalog refuses the call: {message}")]
    Invalid {
        /// What is wrong.
        message: String,
    },
    /// Not authenticated or not allowed.
    #[error("catalog denies the call: {message}")]
    Denied {
        /// What is denied.
        message: String,
    },
    /// What is to be dropped holds something.
    #[error("catalog drops nothing that is not empty: {message}")]
    NotEmpty {
        /// What it holds, or that it does.
        message: String,
    },
    /// The state forbids it.
    #[error("catalog state forbids the call: {message}")]
    Conflict {
        /// What stands against it.
        message: String,
    },
    /// The name is that of another table or view than was meant; nothing happened.
    #[error("{name} is another table or view by now")]
    OtherBearer {
        /// The name.
        name: TableName,
    },
    /// No catalog answers now; nothing happened.
    #[error("catalog is not available: {message}")]
    Unavailable {
        /// What was attempted.
        message: String,
        /// The transport's error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The answer did not come in time; it may have happened.
    #[error("catalog did not answer in time: {message}")]
    Timeout {
        /// What was attempted.
        message: String,
    },
    /// A defect, there or here.
    #[error("catalog failed: {message}")]
    Internal {
        /// What was seen.
        message: String,
        /// The cause, if there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl Coded for CatalogFault {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::AlreadyExists { .. } | Self::NotEmpty { .. } | Self::Conflict { .. } | Self::OtherBearer { .. } => {
                ErrorKind::Conflict
            }
            Self::Invalid { .. } => ErrorKind::Invalid,
            Self::Denied { .. } => ErrorKind::Denied,
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Internal { .. } => ErrorKind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "TBL-0030",
            Self::AlreadyExists { .. } => "TBL-0031",
            Self::Invalid { .. } => "TBL-0032",
            Self::Denied { .. } => "TBL-0033",
            Self::Conflict { .. } => "TBL-0034",
            Self::Unavailable { .. } => "TBL-0035",
            Self::Timeout { .. } => "TBL-0036",
            Self::Internal { .. } => "TBL-0037",
            Self::NotEmpty { .. } => "TBL-0038",
            Self::OtherBearer { .. } => "TBL-0040",
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Unavailable { .. } => Retry::Safe,
            Self::Conflict { .. } | Self::OtherBearer { .. } => Retry::AfterRefresh,
            Self::Timeout { .. } => Retry::Unknown,
            _ => Retry::Never,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unavailable { .. } => Some(
                "start the catalog (tidewater up), or name the place where it runs: catalog.endpoints of the configuration"
                    .into(),
            ),
            Self::OtherBearer { .. } => Some(
                "the name came to bear another one while the statement began: look at what bears it now, and send the statement again if that is meant"
                    .into(),
            ),
            _ => None,
        }
    }
}

/// Keeps table pointers and changes them atomically. What a catalog does not offer, it refuses with [`CatalogFault::Invalid`].
#[async_trait]
pub trait Catalog: Debug + Send + Sync {
    /// The table's newest state; `None` if there is no such table.
    async fn load_table(&self, name: &TableName) -> Result<Option<LoadedTable>, CatalogFault>;

    /// The newest states of several tables as they stood at one moment: no commit lies between any two of them. In the order
    /// of the names; `None` where there is no such table.
    async fn load_tables(&self, names: &[TableName]) -> Result<Vec<Option<LoadedTable>>, CatalogFault>;

    /// Where every table stands, all at one moment: no commit lies between any two of them.
    async fn pointers(&self) -> Result<Arc<Pointers>, CatalogFault> {
        Err(not_offered("telling where all tables stand"))
    }

    /// Whether each of these folders is or lies in the location of another table or view than `table`, or of a dropped table that can
    /// come back. In the order of the folders, which are spelled as metadata spells them.
    async fn held_by_others(&self, _table: &TableName, _folders: &[String]) -> Result<Vec<bool>, CatalogFault> {
        Err(not_offered("telling whose files lie in a folder"))
    }

    /// The newest metadata files of all dropped tables that can come back.
    async fn dropped(&self) -> Result<Vec<String>, CatalogFault> {
        Err(not_offered("telling dropped tables"))
    }

    /// The newest metadata files of all tables whose names cannot be told here, as other clients gave them.
    async fn unnameable(&self) -> Result<Vec<String>, CatalogFault> {
        Ok(Vec::new())
    }

    /// What became of these tables, each of which was seen last with its state in this file, if it was seen. In the order of the
    /// tables, and each for itself: commits may lie between them. For those who look at all tables: nothing is sent of a table
    /// that did not change.
    async fn load_changed(&self, seen: &[(TableName, Option<String>)]) -> Result<Vec<Since>, CatalogFault> {
        let names: Vec<TableName> = seen.iter().map(|(name, _)| name.clone()).collect();
        let loaded = self.load_tables(&names).await?.into_iter().zip(seen);
        Ok(loaded
            .map(|(table, (_, location))| match table {
                None => Since::Gone,
                Some(table) if location.as_ref() == Some(&table.metadata_location) => Since::Same,
                Some(table) => Since::Changed(table),
            })
            .collect())
    }

    /// Whether some may do less than others, by what was granted: whoever makes a table then has rights to it that others lack.
    async fn has_grants(&self) -> Result<bool, CatalogFault> {
        Err(not_offered("telling whether anything was granted"))
    }

    /// Applies one commit, or several as one atomic transaction. Never retried inside.
    async fn commit(&self, commits: Vec<TableCommit>) -> Result<CommitOutcome, CatalogFault>;

    /// Makes a table; [`CatalogFault::AlreadyExists`] if the name is taken.
    async fn create_table(&self, table: NewTable) -> Result<LoadedTable, CatalogFault>;

    /// What a table would be: its uuid, location and ids; its `metadata_location` is empty. Nothing is kept: a commit of
    /// [`crate::creation_updates`] that demands `assert-create` makes it. [`CatalogFault::AlreadyExists`] if the name is taken.
    async fn stage_table(&self, _table: &NewTable) -> Result<LoadedTable, CatalogFault> {
        Err(not_offered("staging a table"))
    }

    /// Forgets a table; with `purge`, its files go too.
    async fn drop_table(&self, name: &TableName, purge: bool) -> Result<(), CatalogFault>;

    /// Gives a table another name, in another namespace perhaps. [`CatalogFault::AlreadyExists`] if that is taken.
    async fn rename_table(&self, _from: &TableName, _to: &TableName) -> Result<(), CatalogFault> {
        Err(not_offered("renaming a table"))
    }

    /// Gives the table of a metadata file a name; [`CatalogFault::AlreadyExists`] if that is taken, or the table has another one.
    async fn register_table(&self, _name: &TableName, _metadata_location: &str) -> Result<(), CatalogFault> {
        Err(not_offered("registering a table"))
    }

    /// This catalog, where it can itself refuse with [`CatalogFault::OtherBearer`] what is done to a table or view by its name once the
    /// name is that of another one: at the moment at which it is done. For [`crate::Bound`], which looks before.
    fn bound(&self, _meant: &Meant) -> Option<Arc<dyn Catalog>> {
        None
    }

    /// All tables of a namespace.
    async fn list_tables(&self, namespace: &Namespace) -> Result<Vec<TableName>, CatalogFault>;

    /// Makes a namespace; nothing happens if it is there already.
    async fn create_namespace(&self, namespace: &Namespace) -> Result<(), CatalogFault>;

    /// Makes a namespace with properties, and those around it without; [`CatalogFault::AlreadyExists`] if it is there already.
    async fn create_namespace_with(
        &self,
        _namespace: &Namespace,
        _properties: HashMap<String, String>,
    ) -> Result<(), CatalogFault> {
        Err(not_offered("making a namespace with properties"))
    }

    /// All namespaces.
    async fn list_namespaces(&self) -> Result<Vec<Namespace>, CatalogFault>;

    /// Forgets a namespace; [`CatalogFault::NotEmpty`] unless it is empty.
    async fn drop_namespace(&self, _namespace: &Namespace) -> Result<(), CatalogFault> {
        Err(not_offered("dropping a namespace"))
    }

    /// The properties of a namespace; [`CatalogFault::NotFound`] if there is none.
    async fn namespace_properties(&self, _namespace: &Namespace) -> Result<HashMap<String, String>, CatalogFault> {
        Err(not_offered("reading the properties of a namespace"))
    }

    /// Removes and sets properties of a namespace. A removal of what is not there is no error.
    async fn update_namespace_properties(
        &self,
        _namespace: &Namespace,
        _removals: Vec<String>,
        _updates: HashMap<String, String>,
    ) -> Result<(), CatalogFault> {
        Err(not_offered("changing the properties of a namespace"))
    }

    /// The view's newest state; `None` if there is no such view.
    async fn load_view(&self, _name: &TableName) -> Result<Option<View>, CatalogFault> {
        Ok(None)
    }

    /// Makes a view; [`CatalogFault::AlreadyExists`] if a view or a table has the name.
    async fn create_view(&self, _view: NewView) -> Result<View, CatalogFault> {
        Err(not_offered("making a view"))
    }

    /// Gives a view its next version; [`CatalogFault::NotFound`] if there is none of that name.
    async fn replace_view(&self, _view: NewView) -> Result<View, CatalogFault> {
        Err(not_offered("replacing a view"))
    }

    /// Removes and sets properties of a view.
    async fn update_view_properties(
        &self,
        _name: &TableName,
        _removals: Vec<String>,
        _updates: HashMap<String, String>,
    ) -> Result<View, CatalogFault> {
        Err(not_offered("changing the properties of a view"))
    }

    /// Forgets a view.
    async fn drop_view(&self, _name: &TableName) -> Result<(), CatalogFault> {
        Err(not_offered("dropping a view"))
    }

    /// Gives a view another name. [`CatalogFault::AlreadyExists`] if that is taken.
    async fn rename_view(&self, _from: &TableName, _to: &TableName) -> Result<(), CatalogFault> {
        Err(not_offered("renaming a view"))
    }

    /// All views of a namespace.
    async fn list_views(&self, _namespace: &Namespace) -> Result<Vec<TableName>, CatalogFault> {
        Ok(Vec::new())
    }
}

fn not_offered(what: &str) -> CatalogFault {
    CatalogFault::Invalid {
        message: format!("{what} is not offered by this catalog"),
    }
}
