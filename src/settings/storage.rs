//! Settings of the stores that files lie in.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use tidewater_core::Secret;
use tidewater_table::DiskCacheOptions;

/// Object storage other than local files.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StorageSettings {
    pub(crate) s3_endpoint: Option<String>,
    pub(crate) s3_region: Option<String>,
    pub(crate) s3_access_key_id: Option<String>,
    pub(crate) s3_secret_access_key: Option<Secret>,
    /// `bucket.host` instead of `host/bucket`.
    pub(crate) s3_virtual_hosted: bool,
    pub(crate) s3_allow_http: bool,
    pub(crate) disk_cache: DiskCacheSettings,
}

/// Parts of data files of S3, kept on a disk of this machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DiskCacheSettings {
    /// Where; none means that nothing is kept.
    pub(crate) directory: Option<PathBuf>,
    /// Disk that each process may take for it.
    pub(crate) bytes_max: u64,
}

impl Default for DiskCacheSettings {
    fn default() -> Self {
        Self {
            directory: None,
            bytes_max: 16 << 30,
        }
    }
}

impl DiskCacheSettings {
    /// As the stores take them; none if nothing is kept.
    pub(crate) fn options(&self) -> Option<DiskCacheOptions> {
        Some(DiskCacheOptions {
            directory: self.directory.clone()?,
            bytes_max: self.bytes_max,
        })
    }
}
