//! The folder of a process and the stores its tables lie in.

use std::path::Path;

use tidewater_table::{S3Options, StoreOptions};

use crate::cli::failure::{Failure, Reason};
use crate::settings::Settings;

/// Makes the data directory and proves that it can be written.
pub(super) fn prepare_data_dir(dir: &Path) -> Result<(), Failure> {
    let refused = |source: std::io::Error| {
        Failure::of(
            Reason::System,
            format!("cannot write to the data directory {}: {source}", dir.display()),
        )
        .hint("choose another with --data-dir, or give this user the right to write there")
    };
    std::fs::create_dir_all(dir).map_err(refused)?;
    let probe = dir.join(".write-probe");
    std::fs::write(&probe, b"tidewater").map_err(refused)?;
    std::fs::remove_file(&probe).map_err(refused)
}

/// How roles reach the stores: through the cache on the local disk, where one is configured. Commands look at the stores themselves,
/// once, and some of them to see whether these are whole.
pub(super) fn cached_options(settings: &Settings, warehouse: String) -> StoreOptions {
    StoreOptions {
        disk_cache: settings.storage.disk_cache.options(),
        ..options(settings, warehouse)
    }
}

/// How to reach the stores. Only what lies below `warehouse` and the other locations of the settings is ever read,
/// written or removed, whatever metadata says.
pub(crate) fn options(settings: &Settings, warehouse: String) -> StoreOptions {
    let storage = &settings.storage;
    StoreOptions {
        s3: S3Options {
            endpoint: storage.s3_endpoint.clone(),
            region: storage.s3_region.clone(),
            access_key_id: storage.s3_access_key_id.clone(),
            secret_access_key: storage
                .s3_secret_access_key
                .as_ref()
                .map(|secret| secret.expose().to_owned()),
            session_token: None,
            virtual_hosted: storage.s3_virtual_hosted,
            allow_http: storage.s3_allow_http,
        },
        roots: std::iter::once(warehouse)
            .chain(settings.catalog.locations.iter().cloned())
            .collect(),
        ..StoreOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use tidewater_core::{Coded, SystemClock, SystemRng};
    use tidewater_table::FileStore;

    use super::*;

    // Goal: no file outside of the warehouse can be touched, whoever names it. Method: the operations of a store beside the
    // warehouse, in a folder whose name begins like it, and in a bucket.
    #[tokio::test]
    async fn nothing_outside_of_the_warehouse_is_touched() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = format!("file://{}/lake", dir.path().display());
        let options = options(&Settings::default(), root.clone());
        let store = FileStore::new(options, SystemClock::shared(), SystemRng::shared());
        let inside = format!("{root}/t/a");
        store.put_new(&inside, "a".into()).await.expect("inside the warehouse");
        assert_eq!(store.get(&inside).await.expect("what was written"), "a");
        let secret = dir.path().join("lake-2");
        std::fs::write(&secret, b"secret").expect("a writable directory");
        let outside = [
            format!("file://{}", secret.display()),
            secret.display().to_string(),
            format!("file://{}/other", dir.path().display()),
            "s3://bucket/key".to_owned(),
        ];
        for location in &outside {
            let refused = store.get(location).await.expect_err("outside the warehouse");
            assert!(
                refused.to_string().contains("outside the configured roots"),
                "{refused} {}",
                refused.code()
            );
            assert!(store.put_new(location, "b".into()).await.is_err(), "{location}");
            assert!(store.delete(location).await.is_err(), "{location}");
            assert!(store.list(location).await.is_err(), "{location}");
        }
        assert_eq!(std::fs::read(&secret).expect("still there"), b"secret");
    }
}
