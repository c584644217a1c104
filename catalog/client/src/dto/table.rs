//! Several tables of one moment.

use serde::{Deserialize, Serialize};

/// A table that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedTable {
    /// The levels of its namespace.
    pub namespace: Vec<String>,
    /// Its name.
    pub name: String,
    /// The metadata file that the asker holds already: it is not sent again.
    pub known: Option<String>,
}
