//! The Raft log in one redb file: entries by index, vote, purge mark, commit mark.
//!
//! One thread does all writes in the order openraft asked for them, each in one `Durability::Immediate` transaction,
//! and answers only after the commit: an answer means that the bytes are on the disk.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};

use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{AnyError, RaftLogReader, StorageIOError};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::data_dir::{DataDir, io_error};
use super::error::ConsensusError;
use super::pressure::Pressure;
use super::purge_gate::PurgeGate;
use super::record::{seal, unseal};
use super::replay::Piece;
use super::types::{Entry, LogId, StorageError, TypeConfig, Vote};

pub(super) const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const VOTE: &str = "vote";
const PURGED: &str = "purged";
const COMMITTED: &str = "committed";

/// A follower that is far behind is fed in pieces of about this size: an entry can be a batch of hundreds of commands.
const READ_BYTES_MAX: usize = 1 << 20;

/// openraft waits for each write before it asks for the next; a few more cover its other tasks.
const WRITES_QUEUED_MAX: usize = 64;

/// The log of one node. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct LogStore {
    db: Arc<Database>,
    committed: Arc<Mutex<Option<LogId>>>,
    pressure: Arc<Pressure>,
    writer: Arc<dyn Writer>,
    gate: Arc<PurgeGate>,
    /// Held as long as the log is open.
    _dir: Arc<DataDir>,
}

/// Writes changes one after the other, in the order they were handed in, and finishes each when it is on the disk.
pub(super) trait Writer: Debug + Send + Sync {
    /// Takes a change on.
    fn submit(&self, job: Job);

    /// Takes a cut on that nobody waits for. If it fails the log is longer than it must be, and the next change fails too.
    fn purge(&self, upto: LogId) {
        self.submit(Job {
            change: Change::Purge(upto),
            done: Done::Nobody,
        });
    }
}

/// A change and who waits for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) change: Change,
    pub(super) done: Done,
}

/// A change of the log.
#[derive(Debug)]
pub(super) enum Change {
    Append {
        records: Vec<(u64, Vec<u8>)>,
        committed: Option<LogId>,
    },
    Vote(Vote),
    Truncate(u64),
    Purge(LogId),
}

/// Who waits for a change.
pub(super) enum Done {
    Flushed(LogFlushed<TypeConfig>),
    Nobody,
    Reply(oneshot::Sender<io::Result<()>>),
}

impl Debug for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Done")
    }
}

impl Done {
    pub(super) fn finish(self, result: io::Result<()>) {
        match self {
            Self::Flushed(callback) => callback.log_io_completed(result),
            Self::Nobody => {
                if let Err(error) = result {
                    tracing::warn!(%error, "could not cut the catalog's log");
                }
            }
            // Nobody left to hear it means the node is going down.
            Self::Reply(reply) => drop(reply.send(result)),
        }
    }
}

impl LogStore {
    /// Starts the writer on an opened log.
    pub(super) fn start(
        db: Database,
        dir: Arc<DataDir>,
        pressure: Arc<Pressure>,
        gate: Arc<PurgeGate>,
    ) -> Result<Self, ConsensusError> {
        let db = Arc::new(db);
        let (writer, jobs) = mpsc::sync_channel::<Job>(WRITES_QUEUED_MAX);
        let (writing, held) = (Arc::clone(&db), Arc::clone(&dir));
        std::thread::Builder::new()
            .name("raft-log".into())
            .spawn(move || {
                for Job { change, done } in jobs {
                    tidewater_core::fail_point::slow("catalog.log_sync");
                    done.finish(write(&writing, &change).map_err(io_error));
                }
                // In this order: the directory is free when the log is closed.
                drop(writing);
                drop(held);
            })
            .map_err(|e| ConsensusError::storage("start the writer of", Path::new("log.redb"), e))?;
        Self::with_writer(db, dir, pressure, gate, Arc::new(writer))
    }

    /// A log whose changes are written by `writer`.
    pub(super) fn with_writer(
        db: Arc<Database>,
        dir: Arc<DataDir>,
        pressure: Arc<Pressure>,
        gate: Arc<PurgeGate>,
        writer: Arc<dyn Writer>,
    ) -> Result<Self, ConsensusError> {
        let committed = read_meta(&db, COMMITTED).map_err(|e| ConsensusError::damaged(&dir.log_path(), e))?;
        Ok(Self {
            db,
            committed: Arc::new(Mutex::new(committed)),
            pressure,
            writer,
            gate,
            _dir: dir,
        })
    }

    fn submit(&self, change: Change, done: Done) {
        self.writer.submit(Job { change, done });
    }

    async fn change(&self, change: Change) -> io::Result<()> {
        let (reply, answer) = oneshot::channel();
        self.submit(change, Done::Reply(reply));
        answer.await.map_err(io::Error::other)?
    }

    fn read(&self, range: impl RangeBounds<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let tx = self.db.begin_read().map_err(io_error)?;
        let table = tx.open_table(LOG).map_err(io_error)?;
        let mut entries = Vec::new();
        let mut bytes = 0;
        for record in table.range(range).map_err(io_error)? {
            let (index, value) = record.map_err(io_error)?;
            bytes += value.value().len();
            if bytes > bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(open_record(index.value(), value.value())?);
        }
        Ok(entries)
    }

    /// The records of a range, piece by piece, until `take` wants no more.
    pub(super) fn pieces(&self, range: std::ops::Range<u64>, mut take: impl FnMut(Piece) -> bool) -> io::Result<()> {
        let tx = self.db.begin_read().map_err(io_error)?;
        let table = tx.open_table(LOG).map_err(io_error)?;
        let mut piece = Piece::default();
        for record in table.range(range).map_err(io_error)? {
            let (index, value) = record.map_err(io_error)?;
            piece.push(index.value(), value.value());
            if piece.is_full() && !take(std::mem::take(&mut piece)) {
                return Ok(());
            }
        }
        take(piece);
        Ok(())
    }

    fn last(&self) -> io::Result<Option<LogId>> {
        let tx = self.db.begin_read().map_err(io_error)?;
        let table = tx.open_table(LOG).map_err(io_error)?;
        let last = table.last().map_err(io_error)?;
        last.map(|(index, value)| Ok(open_record(index.value(), value.value())?.log_id))
            .transpose()
    }

    /// The last entry that is known to be committed.
    pub(super) fn committed(&self) -> Option<LogId> {
        *self.committed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread of [`LogStore::start`].
impl Writer for SyncSender<Job> {
    fn submit(&self, job: Job) {
        if let Err(mpsc::SendError(job)) = self.send(job) {
            job.done
                .finish(Err(io::Error::other("the log's writer thread is gone")));
        }
    }
}

pub(super) fn write(db: &Database, change: &Change) -> Result<(), redb::Error> {
    let mut tx = db.begin_write()?;
    tx.set_durability(Durability::Immediate)?;
    // With one phase redb takes a damaged last commit for a torn one and goes back to the commit before, silently.
    tx.set_two_phase_commit(true);
    {
        let mut log = tx.open_table(LOG)?;
        let mut meta = tx.open_table(META)?;
        let mut put = |key, value: io::Result<Vec<u8>>| -> Result<(), redb::Error> {
            meta.insert(key, value?.as_slice())?;
            Ok(())
        };
        match change {
            Change::Append { records, committed } => {
                for (index, record) in records {
                    log.insert(index, record.as_slice())?;
                }
                // The commit mark rides on the next append: no sync of its own. It lags by an entry, which the fence of
                // the read barrier makes safe.
                if let Some(committed) = committed {
                    put(COMMITTED, seal(committed))?;
                }
            }
            Change::Vote(vote) => put(VOTE, seal(vote))?,
            Change::Truncate(from) => log.retain_in(*from.., |_, _| false)?,
            Change::Purge(upto) => {
                put(PURGED, seal(upto))?;
                log.retain_in(..=upto.index, |_, _| false)?;
            }
        }
    }
    tx.commit()?;
    Ok(())
}

/// Makes an empty log one whose entries up to `at` are in a snapshot.
pub(super) fn begin_at(db: &Database, at: LogId, vote: Vote) -> io::Result<()> {
    write(db, &Change::Purge(at)).map_err(io_error)?;
    write(db, &Change::Vote(vote)).map_err(io_error)
}

/// Every entry, the commit mark and the purge mark.
pub(super) fn read_all(db: &Database) -> io::Result<(Vec<Entry>, Option<LogId>, Option<LogId>)> {
    let tx = db.begin_read().map_err(io_error)?;
    let table = tx.open_table(LOG).map_err(io_error)?;
    let mut entries = Vec::new();
    for record in table.iter().map_err(io_error)? {
        let (index, value) = record.map_err(io_error)?;
        entries.push(open_record(index.value(), value.value())?);
    }
    Ok((entries, read_meta(db, COMMITTED)?, read_meta(db, PURGED)?))
}

/// redb checks its page checksums only when it repairs, so every record carries its own.
pub(super) fn open_record(index: u64, bytes: &[u8]) -> io::Result<Entry> {
    let entry: Entry = unseal(bytes).map_err(|e| io::Error::new(e.kind(), format!("log entry {index}: {e}")))?;
    if entry.log_id.index != index {
        let problem = format!("log entry {index} says {}", entry.log_id);
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    Ok(entry)
}

fn read_meta<T: DeserializeOwned>(db: &Database, key: &str) -> io::Result<Option<T>> {
    let tx = db.begin_read().map_err(io_error)?;
    let table = tx.open_table(META).map_err(io_error)?;
    table
        .get(key)
        .map_err(io_error)?
        .map(|bytes| unseal(bytes.value()))
        .transpose()
}

fn reading(error: io::Error) -> StorageError {
    StorageIOError::<u64>::read_logs(AnyError::new(&error)).into()
}

fn writing(error: io::Error) -> StorageError {
    StorageIOError::<u64>::write_logs(AnyError::new(&error)).into()
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        self.read((range.start_bound().cloned(), range.end_bound().cloned()), usize::MAX)
            .map_err(reading)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, StorageError> {
        self.read((Bound::Included(start), Bound::Excluded(end)), READ_BYTES_MAX)
            .map_err(reading)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let last_purged_log_id = read_meta(&self.db, PURGED).map_err(reading)?;
        let last_log_id = self.last().map_err(reading)?.or(last_purged_log_id);
        Ok(LogState {
            last_purged_log_id,
            last_log_id,
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let saved = self.change(Change::Vote(*vote)).await;
        saved.map_err(|e| StorageIOError::<u64>::write_vote(AnyError::new(&e)).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        read_meta(&self.db, VOTE).map_err(|e| StorageIOError::<u64>::read_vote(AnyError::new(&e)).into())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        *self.committed.lock().unwrap_or_else(PoisonError::into_inner) = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.committed())
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<TypeConfig>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let mut records = Vec::new();
        let mut bytes = 0;
        for entry in entries {
            let record = seal(&entry).map_err(writing)?;
            bytes += record.len();
            records.push((entry.log_id.index, record));
        }
        self.pressure.logged(bytes);
        self.submit(
            Change::Append {
                records,
                committed: self.committed(),
            },
            Done::Flushed(callback),
        );
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.change(Change::Truncate(log_id.index)).await.map_err(writing)
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        if !self.gate.passes(log_id, &self.writer) {
            return Ok(());
        }
        self.change(Change::Purge(log_id)).await.map_err(writing)
    }
}
