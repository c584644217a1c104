//! The folder of a process and the stores its tables lie in.

use std::path::Path;

use tidewater_table::{S3Options, StoreOptions};

use crate::cli::failure::Failure;
use crate::settings::Settings;

/// Makes the data directory and proves that it can be written.
pub(super) fn prepare_data_dir(dir: &Path) -> Result<(), Failure> {
    let refused = |source: std::io::Error| {
        Failure::new(format!(
            "cannot write to the data directory {}: {source}",
            dir.display()
        ))
        .hint("choose another with --data-dir, or give this user the right to write there")
    };
    std::fs::create_dir_all(dir).map_err(refused)?;
    let probe = dir.join(".write-probe");
    std::fs::write(&probe, b"tidewater").map_err(refused)?;
    std::fs::remove_file(&probe).map_err(refused)
}

/// How to reach the stores.
pub(super) fn options(settings: &Settings) -> StoreOptions {
    let storage = &settings.storage;
    StoreOptions {
        s3: S3Options {
            endpoint: storage.s3_endpoint.clone(),
            region: storage.s3_region.clone(),
            access_key_id: storage.s3_access_key_id.clone(),
            secret_access_key: storage.s3_secret_access_key.clone(),
            session_token: None,
            virtual_hosted: storage.s3_virtual_hosted,
            allow_http: storage.s3_allow_http,
        },
        ..StoreOptions::default()
    }
}
