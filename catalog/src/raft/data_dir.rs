//! The directory of a node: held by one process, and never mistaken for a new one after its log is gone.
//!
//! Files: `lock` (held while the process lives), `log.redb`, `node-id` (written once, after the log was made),
//! `admitted` (see `bootstrap.rs`), `removed` (see `standing.rs`), `snapshot`, `membership.json` (see `identity.rs`). A voter that starts with an empty log has forgotten its vote and
//! entries that it acknowledged; so with a `node-id` the log must be there and carry the same identity.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadableDatabase};

use super::error::ConsensusError;
use super::log_store::{LOG, META};
use crate::owner_only;
use tidewater_core::{NodeId, Rng};

/// Key of the identity in the log's meta table.
const IDENTITY: &str = "identity";

/// redb's default is 1 GiB a database. The log's tail is all that is ever read.
const CACHE_BYTES: usize = 64 << 20;

/// The files of a node, locked.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if needed and takes its lock.
    pub(super) fn open(path: &Path) -> Result<Self, ConsensusError> {
        let failed = |action| move |e| ConsensusError::storage(action, path, e);
        owner_only::make_dir(path).map_err(failed("create"))?;
        if let Err(error) = owner_only::close_dir(path) {
            tracing::warn!(dir = %path.display(), %error, "others may read the folder of the log, which has hashes of passwords");
        }
        let lock_path = path.join("lock");
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(|e| ConsensusError::storage("open", &lock_path, e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let owner = fs::read_to_string(&lock_path).unwrap_or_default();
                let owner = if owner.trim().is_empty() {
                    "unknown".into()
                } else {
                    owner.trim().to_owned()
                };
                return Err(ConsensusError::DirInUse {
                    dir: path.to_owned(),
                    owner,
                });
            }
            Err(TryLockError::Error(e)) => return Err(ConsensusError::storage("lock", &lock_path, e)),
        }
        lock.set_len(0)
            .and_then(|()| write!(lock, "{}", std::process::id()))
            .map_err(|e| ConsensusError::storage("write", &lock_path, e))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    pub(super) fn snapshot_path(&self) -> PathBuf {
        self.path.join("snapshot")
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.path.join("log.redb")
    }

    /// Whether it was made sure that these files are not those of a voter that lost its own.
    pub(super) fn is_admitted(&self) -> Result<bool, ConsensusError> {
        let path = self.path.join("admitted");
        path.try_exists()
            .map_err(|e| ConsensusError::storage("look for", &path, e))
    }

    /// Notes that it was made sure.
    pub(super) fn admit(&self) -> Result<(), ConsensusError> {
        let path = self.path.join("admitted");
        replace_file(&path, |_| Ok(())).map_err(|e| ConsensusError::storage("write", &path, e))
    }

    /// Notes that the node was removed from its group for good.
    pub(super) fn note_removed(&self) -> Result<(), ConsensusError> {
        let path = self.path.join("removed");
        replace_file(&path, |_| Ok(())).map_err(|e| ConsensusError::storage("write", &path, e))
    }

    /// Refuses the files of a node that was removed.
    pub(super) fn check_not_removed(&self, node: NodeId) -> Result<(), ConsensusError> {
        let path = self.path.join("removed");
        match path.try_exists() {
            Ok(false) => Ok(()),
            Ok(true) => Err(ConsensusError::Removed { node }),
            Err(e) => Err(ConsensusError::storage("look for", &path, e)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing of a node lies here.
    pub(super) fn is_fresh(&self) -> Result<bool, ConsensusError> {
        for name in ["node-id", "log.redb", "snapshot", "removed"] {
            let path = self.path.join(name);
            if path
                .try_exists()
                .map_err(|e| ConsensusError::storage("look for", &path, e))?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Opens the log, or makes it.
    pub(super) fn open_log(&self, node: NodeId, rng: &dyn Rng) -> Result<Database, ConsensusError> {
        let known = self.path.join("node-id");
        let log = self.log_path();
        match fs::read_to_string(&known) {
            Ok(identity) => {
                let identity = identity.trim().to_owned();
                self.check_node(&identity, node)?;
                let db = self.open_existing(&log)?;
                match identity_of(&db).map_err(|e| ConsensusError::damaged(&log, e))? {
                    Some(found) if found == identity => Ok(db),
                    _ => Err(ConsensusError::LogLost {
                        path: log,
                        problem: "not the one this node began with".into(),
                    }),
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let (db, identity) = if log
                    .try_exists()
                    .map_err(|e| ConsensusError::storage("look for", &log, e))?
                {
                    // The process ended between making the log and noting so.
                    let db = self.open_existing(&log)?;
                    let identity = identity_of(&db).map_err(|e| ConsensusError::damaged(&log, e))?;
                    let identity = identity.ok_or_else(|| ConsensusError::damaged(&log, "it has no identity"))?;
                    self.check_node(&identity, node)?;
                    (db, identity)
                } else {
                    let identity = format!("{node} {}", rng.uuid());
                    (self.create_log(&log, &identity)?, identity)
                };
                replace_file(&known, |file| file.write_all(identity.as_bytes()))
                    .map_err(|e| ConsensusError::storage("write", &known, e))?;
                Ok(db)
            }
            Err(e) => Err(ConsensusError::storage("read", &known, e)),
        }
    }

    /// Whose files these are.
    pub(super) fn known_node(&self) -> Result<NodeId, ConsensusError> {
        let known = self.path.join("node-id");
        let identity = fs::read_to_string(&known).map_err(|e| ConsensusError::storage("read", &known, e))?;
        let id = identity.split(' ').next().unwrap_or_default().parse();
        id.map(NodeId).map_err(|e| ConsensusError::damaged(&known, e))
    }

    fn check_node(&self, identity: &str, node: NodeId) -> Result<(), ConsensusError> {
        let found = identity.split(' ').next().unwrap_or_default();
        if found == node.to_string() {
            return Ok(());
        }
        Err(ConsensusError::ForeignNode {
            dir: self.path.clone(),
            found: found.into(),
            wanted: node,
        })
    }

    pub(super) fn open_existing(&self, log: &Path) -> Result<Database, ConsensusError> {
        let lost = |problem: &str| ConsensusError::LogLost {
            path: log.to_owned(),
            problem: problem.into(),
        };
        match fs::metadata(log) {
            Ok(file) if file.len() == 0 => return Err(lost("empty")),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(lost("missing")),
            Err(e) => return Err(ConsensusError::storage("read", log, e)),
        }
        builder().open(log).map_err(|e| match e {
            DatabaseError::DatabaseAlreadyOpen => ConsensusError::DirInUse {
                dir: self.path.clone(),
                owner: "unknown".into(),
            },
            other => ConsensusError::damaged(log, other),
        })
    }

    /// Made under another name first: a half-made log is never taken for a real one.
    pub(super) fn create_log(&self, log: &Path, identity: &str) -> Result<Database, ConsensusError> {
        let new = self.path.join("log.redb.new");
        let failed = |e: io::Error| ConsensusError::storage("create", log, e);
        match fs::remove_file(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        // redb takes an empty file for a new one.
        owner_only::writing().create_new(true).open(&new).map_err(failed)?;
        let db = builder().create(&new).map_err(|e| failed(io_error(e)))?;
        put_identity(&db, identity).map_err(|e| failed(io_error(e)))?;
        fs::rename(&new, log)
            .and_then(|()| sync_dir(&self.path))
            .map_err(failed)?;
        Ok(db)
    }
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn put_identity(db: &Database, identity: &str) -> Result<(), redb::Error> {
    let tx = db.begin_write()?;
    tx.open_table(LOG)?;
    tx.open_table(META)?.insert(IDENTITY, identity.as_bytes())?;
    tx.commit()?;
    Ok(())
}

fn identity_of(db: &Database) -> Result<Option<String>, redb::Error> {
    let table = db.begin_read()?.open_table(META)?;
    Ok(table
        .get(IDENTITY)?
        .map(|bytes| String::from_utf8_lossy(bytes.value()).into_owned()))
}

/// Keeps the system's own error where there is one: a full disk must stay recognizable.
pub(super) fn io_error(error: impl Into<redb::Error>) -> io::Error {
    match error.into() {
        redb::Error::Io(e) => e,
        other => io::Error::other(other),
    }
}

/// Writes a file so that after a crash it is there as a whole, old or new.
pub(super) fn replace_file(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let new = path.with_extension("new");
    if let Err(error) = write_file(&new, write) {
        // Half a file takes room that others need.
        drop(fs::remove_file(&new));
        return Err(error);
    }
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

fn write_file(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut file = owner_only::writing().create(true).truncate(true).open(path)?;
    write(&mut file)?;
    file.sync_all()
}

/// A rename is durable only when its directory was synced.
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tidewater_core::SeededRng;

    use super::*;

    // Goal: nobody but their owner reads the files of a node, also in a folder that an earlier version left open. Method: such a folder,
    // opened; modes of it, of a new log and of a file that is replaced.
    #[test]
    fn files_of_a_node_are_its_owners() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("raft");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let dir = DataDir::open(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        drop(dir.open_log(NodeId(1), &SeededRng::new(1)).unwrap());
        replace_file(&dir.snapshot_path(), |file| file.write_all(b"state")).unwrap();
        assert_eq!((mode(&dir.log_path()), mode(&dir.snapshot_path())), (0o600, 0o600));
    }
}
