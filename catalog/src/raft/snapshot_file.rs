//! The state on disk: one checksummed file, replaced as a whole.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::data_dir::{DataDir, replace_file};
use super::error::ConsensusError;
use super::record::{check_sealed, read_sealed, write_sealed};
use super::state_store::Machine;

/// Where a node keeps its snapshot.
#[async_trait]
pub(super) trait SnapshotHome: Debug + Send + Sync {
    /// What is kept there.
    fn saved(&self) -> Option<Arc<Machine>>;

    /// See [`SnapshotFile::save`].
    async fn save(&self, machine: Arc<Machine>) -> io::Result<Arc<Machine>>;
}

#[async_trait]
impl SnapshotHome for Arc<SnapshotFile> {
    fn saved(&self) -> Option<Arc<Machine>> {
        SnapshotFile::saved(self)
    }

    async fn save(&self, machine: Arc<Machine>) -> io::Result<Arc<Machine>> {
        let file = Arc::clone(self);
        let saved = tokio::task::spawn_blocking(move || SnapshotFile::save(&file, machine)).await;
        saved.map_err(io::Error::other).flatten()
    }
}

/// The snapshot file of one node, and what stands in it.
#[derive(Debug)]
pub(super) struct SnapshotFile {
    path: PathBuf,
    saved: Mutex<Option<Arc<Machine>>>,
    /// A save that is under way when the node ends must not fall on the files of the next one.
    _dir: Arc<DataDir>,
}

impl SnapshotFile {
    /// Reads the file, if there is one.
    pub(super) fn open(dir: Arc<DataDir>) -> Result<Self, ConsensusError> {
        let path = dir.snapshot_path();
        let saved = match File::open(&path) {
            Ok(file) => Some(Arc::new(read(file).map_err(|e| ConsensusError::damaged(&path, e))?)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(ConsensusError::storage("open", &path, e)),
        };
        Ok(Self {
            path,
            saved: Mutex::new(saved),
            _dir: dir,
        })
    }

    /// What stands in the file.
    pub(super) fn saved(&self) -> Option<Arc<Machine>> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes and syncs a newer state; answers what stands in the file then. A build that is overtaken by an installed
    /// snapshot must not put the older one back, since the log up to the newer one may be gone.
    pub(super) fn save(&self, machine: Arc<Machine>) -> io::Result<Arc<Machine>> {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(newer) = saved.as_ref().filter(|saved| saved.applied >= machine.applied) {
            return Ok(Arc::clone(newer));
        }
        replace_file(&self.path, |file| {
            let mut out = BufWriter::with_capacity(1 << 20, file);
            write_sealed(machine.as_ref(), &mut out)?;
            out.into_inner().map_err(io::IntoInnerError::into_error).map(drop)
        })?;
        *saved = Some(Arc::clone(&machine));
        Ok(machine)
    }
}

/// Read twice, so that nothing is made of bytes that are not what was written, and not held as bytes, for it may be large.
pub(super) fn read(mut file: File) -> io::Result<Machine> {
    check_sealed(&file)?;
    file.rewind()?;
    read_sealed(BufReader::with_capacity(1 << 20, file))
}
