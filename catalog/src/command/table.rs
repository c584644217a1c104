//! Pointers to tables and views, and how they change.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a name may stand for. A name stands for one of them at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relation {
    /// A table.
    Table,
    /// A view.
    View,
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "Table",
            Self::View => "View",
        })
    }
}

/// The full name of a table or view.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ident {
    /// Levels of its namespace, outermost first.
    pub namespace: Vec<String>,
    /// Its name in there.
    pub name: String,
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.namespace.join("."), self.name)
    }
}

/// Where a table or view stands now. Everything else about it is in its metadata file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// The uuid as its metadata has it.
    pub uuid: Uuid,
    /// Its root folder.
    pub location: String,
    /// The metadata file.
    pub metadata_location: String,
    /// The head of branch `main`; none for a view.
    pub snapshot_id: Option<i64>,
}

/// What must hold of a table before its pointer moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expect {
    /// The name is free; the view is made under this id. Earlier versions made tables so too, under whatever uuid.
    Absent {
        /// The id of the table to be: names it in the log for good, whatever its uuid or name.
        id: Uuid,
    },
    /// The name is free, and no table has the uuid; it is made under this id.
    New {
        /// The id of the table to be.
        id: Uuid,
    },
    /// The name stands for this table and nobody moved its pointer since.
    Version {
        /// The table.
        id: Uuid,
        /// The version its new pointer was derived from.
        version: u64,
    },
    /// The same, and it stands at this metadata file: the commit was planned on one that was still under way, and what came in that
    /// one's place would have the same version.
    After {
        /// The table.
        id: Uuid,
        /// The version that the commit before makes.
        version: u64,
        /// The metadata file that it writes.
        metadata_location: String,
    },
    /// Whatever the name stands for is replaced. Earlier versions registered with `overwrite` so, also what another name stood for.
    Any {
        /// The id of the table to be, when there is none yet.
        id: Uuid,
    },
    /// Whatever the name stands for is replaced (register with `overwrite`), by what no other name stands for.
    Replaced {
        /// The id of the table to be, when there is none yet.
        id: Uuid,
    },
}

/// One pointer to make or to move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableChange {
    /// The name.
    pub table: Ident,
    /// What must hold.
    pub expect: Expect,
    /// Where it shall stand.
    pub pointer: Pointer,
}

/// A table as an outcome names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRef {
    /// Its id.
    pub id: Uuid,
    /// Its version after the change.
    pub version: u64,
    /// The metadata file it points to after the change.
    pub metadata_location: String,
}
