//! The folder of a process and the stores its tables lie in.

use std::path::Path;

use tidewater_table::{S3Options, StoreOptions};

use crate::cli::failure::{Failure, Reason};
use crate::settings::Settings;

/// Refuses a data directory that can never be one, and makes nothing.
pub(super) fn check_data_dir(dir: &Path) -> Result<(), Failure> {
    // The nearest that is there decides; what cannot be looked at is found when it is to be made.
    match dir
        .ancestors()
        .find_map(|place| Some((place, std::fs::metadata(place).ok()?)))
    {
        Some((place, found)) if !found.is_dir() => {
            let message = match place == dir {
                true => format!("the data directory {} is a file", dir.display()),
                false => format!(
                    "the data directory {} lies in {}, which is a file",
                    dir.display(),
                    place.display()
                ),
            };
            Err(Failure::of(Reason::System, message).hint(ANOTHER_PLACE))
        }
        _ => Ok(()),
    }
}

/// Makes the data directory and proves that it can be written.
pub(crate) fn prepare_data_dir(dir: &Path) -> Result<(), Failure> {
    check_data_dir(dir)?;
    let refused = |did: &'static str| {
        move |source: std::io::Error| {
            let message = format!("cannot {did} the data directory {}: {source}", dir.display());
            Failure::of(Reason::System, message).hint(ANOTHER_PLACE)
        }
    };
    std::fs::create_dir_all(dir).map_err(refused("make"))?;
    let probe = dir.join(".write-probe");
    std::fs::write(&probe, b"tidewater").map_err(refused("write to"))?;
    match std::fs::remove_file(&probe) {
        // Another process that looks at the same time.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(refused("write to")),
    }
}

/// How to go on without a data directory.
const ANOTHER_PLACE: &str =
    "name a folder that this user may write with --data-dir, or give this user the right to write there";

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

    // Goal: a data directory that is a file, or lies in one, is told as that, and one that is yet to be made is not made by a look.
    // Method: all three, with the file left as it was.
    #[test]
    fn a_file_is_no_data_directory() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let (file, fresh) = (temp.path().join("file"), temp.path().join("a").join("b"));
        std::fs::write(&file, b"mine").expect("a writable directory");
        for (place, says) in [(file.clone(), "is a file"), (file.join("data"), "lies in")] {
            let told = prepare_data_dir(&place).expect_err("no folder").in_one_line();
            assert!(told.contains(says) && told.contains("--data-dir"), "{told}");
            assert!(told.contains(&file.display().to_string()), "{told}");
        }
        assert_eq!(std::fs::read(&file).expect("still there"), b"mine");
        assert!(check_data_dir(&fresh).is_ok());
        assert!(!fresh.try_exists().expect("a readable directory"));
        assert!(prepare_data_dir(&fresh).is_ok());
        assert_eq!(
            std::fs::read_dir(&fresh).expect("a folder").count(),
            0,
            "no probe is left"
        );
    }

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
