//! Who may do what.

use serde::{Deserialize, Serialize};

use tidewater_security::Policy;

/// The policy, or that it is what the caller has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyState {
    /// Its version.
    pub version: u64,
    /// All of it; none if the caller has this version, or has just changed it.
    pub policy: Option<Policy>,
}
