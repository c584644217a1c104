//! `append-files`: producers hand over data files, and the leader folds what many of them hand over into one snapshot.
//!
//! A commit costs four writes whatever it holds, and commits to one table wait for each other. So producers do not commit themselves:
//! what comes while one snapshot is being made goes into the next one, together. A producer names the range of its input that the files
//! hold; the range is kept in the replicated state with the answer, in the same log entry that moves the table, so that a repetition is
//! answered and not done again, also by the next leader.
//!
//! All that can be wrong with one producer's files is found before they join others'.

mod data_file;
mod fold;
mod queue;
mod request;
mod summary;

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::PartitionSpecRef;
use tokio::sync::oneshot;
use uuid::Uuid;

use self::queue::Waiting;
use crate::command::{Ident, ProducerRange};
use crate::error::{CatalogError, Result};
use crate::raft::ConsensusError;
use crate::service::{Service, find};
use crate::state::{AppendedRange, Meeting, State};
use tidewater_table::{Added, FileStore, TableError};

pub(crate) use data_file::DataFileJson;
pub(crate) use queue::AppendQueue;
pub(crate) use request::AppendRequest;

/// Files of one request that are looked for in the store at a time.
const LOOKS_PER_REQUEST: usize = 16;

/// Files of one request, which is twice what an ordinary writer commits at once.
pub(crate) const FILES_PER_REQUEST_MAX: usize = 1_000;

/// A producer's files, checked.
#[derive(Debug)]
pub(crate) struct Append {
    range: ProducerRange,
    /// The table they were checked against; its name may come to mean another.
    table: Uuid,
    location: String,
    files: Vec<Added>,
    /// The partition specs they were checked against.
    specs: Vec<PartitionSpecRef>,
    /// Entries of the snapshot's summary.
    summary: Vec<(String, String)>,
}

/// What a producer hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) snapshot_id: i64,
    pub(crate) sequence: i64,
    pub(crate) metadata_location: String,
}

impl From<&AppendedRange> for Appended {
    fn from(range: &AppendedRange) -> Self {
        Self {
            snapshot_id: range.snapshot_id,
            sequence: range.sequence,
            metadata_location: range.metadata_location.clone(),
        }
    }
}

impl Service {
    /// Appends a producer's files to a table, together with what others append meanwhile.
    pub(crate) async fn append_files(self: &Arc<Self>, table: &Ident, request: AppendRequest) -> Result<Appended> {
        let range = request.range(table)?;
        let state = self.fresh_state().await?;
        let row = find(&state, table)?;
        // First of all: the files of a repetition may have been rewritten and deleted by now.
        if let Some(known) = known(&state, table, row.id, &range)? {
            return Ok(known);
        }
        state.check_producer(row.id, &range.producer)?;
        let metadata = self.cache.load(&row.pointer.metadata_location).await?.parsed(table)?;
        let append = request.checked(range, table, row, &metadata, &self.warehouse)?;
        self.look_for(table, &append.files).await?;
        let (answer, answered) = oneshot::channel();
        if self.appends.push(table, Waiting { append, answer })? {
            let (worker, table) = (Arc::clone(self), table.clone());
            self.tasks
                .spawn("fold-appends", async move { worker.fold_while_any_wait(&table).await });
        }
        answered.await.unwrap_or_else(|_| {
            Err(CatalogError::StateUnknown {
                reason: "the fold that it was part of was broken off".into(),
            })
        })
    }

    /// Refuses files that are not there, or not as large as they are said to be: a snapshot that names one cannot be read.
    async fn look_for(&self, table: &Ident, files: &[Added]) -> Result<()> {
        let store = self.table_files()?;
        let looks: Vec<_> = files.iter().map(|added| self.look_at(store, table, added)).collect();
        let looks = stream::iter(looks).buffer_unordered(LOOKS_PER_REQUEST);
        looks.try_collect::<()>().await
    }

    async fn look_at(&self, store: &FileStore, table: &Ident, added: &Added) -> Result<()> {
        let _place = self.appends.place_to_look().await?;
        let (path, told) = (added.file.file_path(), added.file.file_size_in_bytes());
        let reason = match store.size(path).await {
            Ok(found) if found == told => return Ok(()),
            Ok(found) => format!("it has {found} bytes and not {told}"),
            Err(TableError::FileNotFound { .. }) => "it is not there".to_owned(),
            Err(error) => return Err(CatalogError::from_table(path, error)),
        };
        Err(CatalogError::bad_data_file(table, path, reason))
    }

    /// The store as the table format reads it.
    pub(crate) fn table_files(&self) -> Result<&FileStore> {
        self.store.files().ok_or_else(|| CatalogError::Unsupported {
            what: "writing manifests to this store".into(),
        })
    }
}

/// The answer that this very range got before; an error if another one holds some of it.
fn known(state: &State, table: &Ident, id: Uuid, range: &ProducerRange) -> Result<Option<Appended>> {
    let Some(producer) = state.producer(id, &range.producer) else {
        return Ok(None);
    };
    match producer.meet(range.from, range.to) {
        Meeting::New => Ok(None),
        Meeting::Repeated(known) => Ok(Some(known.into())),
        Meeting::Overlap => {
            let (from, to) = producer.last();
            let last = ProducerRange {
                producer: range.producer.clone(),
                from,
                to,
            };
            Err(overlap(table, range, last))
        }
    }
}

fn overlap(table: &Ident, range: &ProducerRange, last: ProducerRange) -> CatalogError {
    CatalogError::AppendOverlap {
        table: table.clone(),
        from: range.from,
        to: range.to,
        last,
    }
}

fn overloaded(what: &'static str) -> CatalogError {
    CatalogError::from(ConsensusError::Overloaded {
        what,
        waited: std::time::Duration::ZERO,
    })
}
