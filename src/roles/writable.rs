//! Whether the warehouse takes what roles write: found at the start, and not at the first commit. Every role writes there: the catalog
//! metadata, the others data files.

use std::time::Duration;

use tidewater_core::{Coded, ErrorKind};
use tidewater_table::{FileStore, TableError};

use super::Parts;
use crate::cli::failure::{Failure, Reason, words};

/// How long the store may take. One that is down for the moment does not keep a process from starting.
const DEADLINE: Duration = Duration::from_secs(15);

/// What the probe is called, with an id behind it. What lists files takes it for one that is being written, and passes it by.
const PROBE: &str = ".tidewater-probe-";

/// What a warehouse allows.
#[derive(Debug)]
pub(crate) enum Writable {
    /// All that roles do.
    Whole,
    /// What is written stays: nothing can be deleted.
    Kept(String),
    /// The store does not say at the moment.
    Unanswered(String),
}

/// Refuses a warehouse that cannot be written, and warns of one that is not known to be of use.
pub(super) async fn require(parts: &Parts, warehouse: &str) -> Result<(), Failure> {
    match probe(&parts.store, warehouse).await? {
        Writable::Whole => {}
        Writable::Kept(reason) => {
            tracing::warn!(
                warehouse,
                reason,
                "nothing can be deleted in the warehouse: files that are not needed any more stay"
            );
        }
        Writable::Unanswered(reason) => {
            tracing::warn!(
                warehouse,
                reason,
                "the warehouse does not say whether it can be written"
            );
        }
    }
    Ok(())
}

/// Writes a small file, and deletes it.
///
/// # Errors
/// If the store refuses it, in a way that does not pass by itself.
pub(crate) async fn probe(store: &FileStore, warehouse: &str) -> Result<Writable, Failure> {
    let id = store.rng().uuid().simple();
    let location = format!("{}/{PROBE}{id}", warehouse.trim_end_matches('/'));
    let late = || format!("no answer within {} s", DEADLINE.as_secs());
    let written = tokio::select! {
        written = store.put_new(&location, "tidewater".into()) => written,
        () = store.clock().sleep(DEADLINE) => return Ok(Writable::Unanswered(late())),
    };
    match written {
        Ok(()) => {}
        Err(error) if passes(&error) => return Ok(Writable::Unanswered(words(&error))),
        Err(error) => return Err(refused(warehouse, &error)),
    }
    let deleted = tokio::select! {
        deleted = store.delete(&location) => deleted.map_err(|error| words(&error)),
        () = store.clock().sleep(DEADLINE) => Err(late()),
    };
    Ok(match deleted {
        Ok(()) => Writable::Whole,
        Err(reason) => Writable::Kept(reason),
    })
}

/// Whether another answer may come later. A local disk has given its last word.
fn passes(error: &TableError) -> bool {
    let kind = error.kind();
    !matches!(error, TableError::Disk { .. }) && matches!(kind, ErrorKind::Unavailable | ErrorKind::Timeout)
}

fn refused(warehouse: &str, error: &TableError) -> Failure {
    let hint = match warehouse.starts_with("s3://") {
        true => {
            "allow s3:PutObject, s3:GetObject and s3:DeleteObject below it to the keys of [storage], or set catalog.warehouse to another bucket"
        }
        false => "give this user the right to write there, or set catalog.warehouse to another folder",
    };
    let message = format!("the warehouse {warehouse} cannot be written: {}", words(error));
    Failure::of(Reason::Warehouse, message).hint(hint)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tidewater_core::{SystemClock, SystemRng};

    use super::super::storage;
    use super::*;
    use crate::settings::Settings;

    async fn looked_at(warehouse: &str) -> Result<Writable, Failure> {
        let options = storage::options(&Settings::default(), warehouse.to_owned());
        let store = FileStore::new(options, SystemClock::shared(), SystemRng::shared());
        probe(&store, warehouse).await
    }

    // Goal: a warehouse that can be written is found so and left as it was; one that cannot is refused with its place and a way out.
    // Method: a folder that is yet to be made, and one below a file, which no user can write.
    #[tokio::test]
    async fn a_warehouse_is_tried() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let lake = dir.path().join("lake");
        let found = looked_at(&format!("file://{}", lake.display())).await;
        assert!(matches!(found, Ok(Writable::Whole)), "{found:?}");
        assert_eq!(fs::read_dir(&lake).expect("a folder").count(), 0, "nothing is left");
        let file = dir.path().join("file");
        fs::write(&file, "x").expect("a writable directory");
        let place = format!("file://{}/lake", file.display());
        let told = looked_at(&place).await.expect_err("no folder").in_one_line();
        assert!(told.contains(&place) && told.contains("[CTL-0039]"), "{told}");
        assert!(told.contains("catalog.warehouse"), "{told}");
    }
}
