//! Settings of the log of who did what.

use serde::{Deserialize, Serialize};

/// What processes keep that let anybody in: those with the roles `catalog` and `flight-sql`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuditSettings {
    pub(crate) enabled: bool,
    /// How long a line is kept, unless there are too many.
    pub(crate) keep_days: u32,
    /// Disk that all of it may take.
    pub(crate) bytes_max: u64,
    /// Whether statements are refused that cannot be kept.
    pub(crate) required: bool,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            keep_days: 90,
            // Of statements of everyday length, half a kilobyte each, eight million.
            bytes_max: 4 << 30,
            required: false,
        }
    }
}
