//! Whether the warehouse takes what roles write: found at the start, and not at the first commit. Every role may write there: the catalog
//! metadata, the others data files. Ingest does so by itself; who is asked to read only goes on without the right to write.

use std::collections::BTreeSet;
use std::time::Duration;

use tidewater_core::{Coded, ErrorKind};
use tidewater_table::{FileStore, TableError};

use super::{Parts, Role};
use crate::cli::failure::{Failure, Reason, words};
use crate::settings::Settings;

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
    /// Its files may be read at most.
    Denied(Failure),
    /// The store does not say at the moment.
    Unanswered(String),
}

/// Whether a process of these roles writes without being asked to.
pub(crate) fn writes(settings: &Settings, roles: &BTreeSet<Role>) -> bool {
    roles.contains(&Role::Ingest) && !settings.ingest.sources.is_empty()
}

/// Refuses a warehouse that cannot be written, and warns of one that is not known to be of use.
pub(super) async fn require(parts: &Parts, roles: &BTreeSet<Role>, warehouse: &str) -> Result<(), Failure> {
    let stop = parts.tasks.token();
    let Some(found) = stop.run_until_cancelled(probe(&parts.store, warehouse)).await else {
        return Err(Failure::of(Reason::Start, "stopped while the warehouse was looked at"));
    };
    match found? {
        Writable::Whole => {}
        Writable::Denied(failure) if writes(&parts.settings, roles) => return Err(failure),
        Writable::Denied(failure) => {
            let reason = failure.in_one_line();
            tracing::warn!(
                warehouse,
                reason,
                "the warehouse can be read only: whatever writes there will fail"
            );
        }
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
        Err(error) if error.kind() == ErrorKind::Denied => return Ok(Writable::Denied(refused(warehouse, &error))),
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

/// Whether another answer may come later. A local disk has given its last word, unless it is full: there has to be a process to make room.
fn passes(error: &TableError) -> bool {
    match error.kind() {
        ErrorKind::Exhausted => true,
        ErrorKind::Unavailable | ErrorKind::Timeout => !matches!(error, TableError::Disk { .. }),
        _ => false,
    }
}

fn refused(warehouse: &str, error: &TableError) -> Failure {
    let hint = match warehouse.starts_with("s3://") {
        true => {
            "allow s3:PutObject, s3:GetObject and s3:DeleteObject below it to the keys of [storage], or set catalog.warehouse to another bucket"
        }
        false => "give this user the right to write there, or set catalog.warehouse to another folder",
    };
    // A file that is to be new is missed where its bucket is not there.
    let reason = match error {
        TableError::FileNotFound { .. } => "the bucket is not there".to_owned(),
        _ => words(error),
    };
    let message = format!("the warehouse {warehouse} cannot be written: {reason}");
    Failure::of(Reason::Warehouse, message).hint(hint)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use axum::Router;
    use axum::http::{Method, StatusCode, header};
    use tidewater_core::{Secret, SystemClock, SystemRng, Tasks};
    use tokio::net::TcpListener;

    use super::super::storage;
    use super::*;
    use crate::settings::{SourceSettings, StorageSettings};

    async fn looked_at(settings: &Settings, warehouse: &str) -> Result<Writable, Failure> {
        let options = storage::options(settings, warehouse.to_owned());
        let store = FileStore::new(options, SystemClock::shared(), SystemRng::shared());
        probe(&store, warehouse).await
    }

    // Goal: a warehouse that can be written is found so and left as it was; one that cannot is refused with its place and a way out.
    // Method: a folder that is yet to be made, and one below a file, which no user can write.
    #[tokio::test]
    async fn a_warehouse_is_tried() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let lake = dir.path().join("lake");
        let found = looked_at(&Settings::default(), &format!("file://{}", lake.display())).await;
        assert!(matches!(found, Ok(Writable::Whole)), "{found:?}");
        assert_eq!(fs::read_dir(&lake).expect("a folder").count(), 0, "nothing is left");
        let file = dir.path().join("file");
        fs::write(&file, "x").expect("a writable directory");
        let place = format!("file://{}/lake", file.display());
        let told = looked_at(&Settings::default(), &place)
            .await
            .expect_err("no folder")
            .in_one_line();
        assert!(told.contains(&place) && told.contains("[CTL-0039]"), "{told}");
        assert!(told.contains("catalog.warehouse"), "{told}");
    }

    /// What a store says of files that it deleted: any number of them, in one request.
    const DELETED: &str = "<DeleteResult><Deleted><Key>x</Key></Deleted></DeleteResult>";

    /// Settings of a store in S3 that answers these two.
    async fn s3_that_says(put: StatusCode, delete: StatusCode) -> Settings {
        let answer = move |method: Method| async move {
            let status = match method {
                Method::PUT => put,
                Method::POST => delete,
                _ => StatusCode::NOT_FOUND,
            };
            (status, [(header::ETAG, "\"1\"")], DELETED)
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        Tasks::new("test").spawn("store", async move {
            drop(axum::serve(listener, Router::new().fallback(answer)).await);
        });
        Settings {
            storage: StorageSettings {
                s3_endpoint: Some(format!("http://{address}")),
                s3_region: Some("us-east-1".into()),
                s3_access_key_id: Some("key".into()),
                s3_secret_access_key: Some(Secret::new("hush")),
                s3_allow_http: true,
                ..StorageSettings::default()
            },
            ..Settings::default()
        }
    }

    // Goal: a bucket that refuses to be written is known from one in which nothing can be deleted, and from one that is not there. Method: a
    // store that answers each with 403, and with 404.
    #[tokio::test]
    async fn what_a_policy_refuses_is_told_apart() {
        let place = "s3://bucket/lake";
        let (yes, no) = (StatusCode::OK, StatusCode::FORBIDDEN);
        let whole = looked_at(&s3_that_says(yes, yes).await, place).await;
        assert!(matches!(whole, Ok(Writable::Whole)), "{whole:?}");
        let kept = looked_at(&s3_that_says(yes, no).await, place).await;
        assert!(matches!(kept, Ok(Writable::Kept(_))), "{kept:?}");
        let told = match looked_at(&s3_that_says(no, yes).await, place).await {
            Ok(Writable::Denied(failure)) => failure.in_one_line(),
            other => panic!("{other:?}"),
        };
        assert!(told.contains("[CTL-0039]") && told.contains("s3:PutObject"), "{told}");
        let gone = looked_at(&s3_that_says(StatusCode::NOT_FOUND, yes).await, place).await;
        let told = gone.expect_err("no bucket").in_one_line();
        assert!(told.contains("the bucket is not there"), "{told}");
    }

    // Goal: a disk that is full, and a store that is down, keep no process from starting; a folder that cannot be one does. Method: the errors
    // of each.
    #[test]
    fn what_passes_is_told_apart() {
        let disk = |kind: std::io::ErrorKind| TableError::Disk {
            operation: "write",
            location: "file:///lake/x".into(),
            source: kind.into(),
        };
        assert!(passes(&disk(std::io::ErrorKind::StorageFull)));
        assert!(!passes(&disk(std::io::ErrorKind::NotADirectory)));
        assert_eq!(disk(std::io::ErrorKind::ReadOnlyFilesystem).kind(), ErrorKind::Denied);
        assert!(passes(&TableError::StoreTimeout {
            operation: "write",
            location: "s3://bucket/x".into(),
            deadline: DEADLINE,
        }));
    }

    // Goal: who only reads needs no right to write. Method: roles with and without something to ingest.
    #[test]
    fn only_ingest_writes_by_itself() {
        let mut settings = Settings::default();
        let all: BTreeSet<Role> = Role::ALL.into_iter().collect();
        assert!(!writes(&settings, &all));
        settings.ingest.sources = vec![SourceSettings::File { path: "changes".into() }];
        assert!(writes(&settings, &all));
        assert!(!writes(&settings, &[Role::Catalog, Role::FlightSql].into()));
    }
}
