//! Who a request speaks for.

use serde::{Deserialize, Serialize};

/// An authenticated user, or the one local user of an installation without users.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Principal {
    /// The name policies and the audit log know.
    pub name: String,
}

impl Principal {
    /// Whoever is on this machine, where no users are configured.
    pub fn local() -> Self {
        Self { name: "local".into() }
    }
}
