//! Settings of what answers statements, whatever they come in by.

use serde::{Deserialize, Serialize};

use tidewater_flight_sql::CacheOptions;

/// What both fronts have in common.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServingSettings {
    pub(crate) cache: CacheSettings,
}

/// Results that are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CacheSettings {
    pub(crate) enabled: bool,
    /// Memory of all of them.
    pub(crate) max_bytes: u64,
    /// Memory of one; larger results are not kept.
    pub(crate) max_entry_bytes: u32,
}

impl Default for CacheSettings {
    fn default() -> Self {
        let options = CacheOptions::default();
        Self {
            enabled: options.enabled,
            max_bytes: options.bytes_max,
            max_entry_bytes: options.entry_bytes_max,
        }
    }
}

impl CacheSettings {
    /// As the query service takes them.
    pub(crate) fn options(&self) -> CacheOptions {
        CacheOptions {
            enabled: self.enabled,
            bytes_max: self.max_bytes,
            entry_bytes_max: self.max_entry_bytes,
        }
    }
}
