//! Backups: the catalog's state in a file, with a list of what it points to, and a new catalog made of it.
//!
//! A backup is a folder with three files: `snapshot` (the state as a node keeps it), `manifest.json` (where it was taken,
//! and each table with its metadata file) and `checksums` (BLAKE3 of the two, as `b3sum --check` reads it). It holds
//! pointers, not data: metadata and data files stay in the object store, which has to keep them as long as the backup is
//! to be of use.
//!
//! The steps of a drill are in `docs/operations/backup.md`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::owner_only;
use crate::raft::{ConsensusError, ExportedTable, Founded, Founder, ImportedState, LogPosition, restore};
use crate::store::MetadataStore;
use tidewater_core::Rng;

const SNAPSHOT: &str = "snapshot";
const MANIFEST: &str = "manifest.json";
const CHECKSUMS: &str = "checksums";

/// Raised when older programs could misread a backup.
const FORMAT: u32 = 1;

type Result<T> = std::result::Result<T, ConsensusError>;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Form of the backup.
    pub format: u32,
    /// The last log entry in it.
    pub position: LogPosition,
    /// The state's own time: the latest any of its commands bore, in milliseconds since 1970.
    pub state_time_ms: i64,
    /// Bytes of the snapshot file.
    pub snapshot_bytes: u64,
    /// Namespaces in it.
    pub namespaces_count: usize,
    /// Every table, with the metadata file that the object store has to keep.
    pub tables: Vec<ExportedTable>,
}

/// A backup being written. Until [`BackupWriter::finish`] has answered it is none, and dropped before, it leaves nothing behind that the next try would
/// be refused for.
#[derive(Debug)]
pub struct BackupWriter {
    dir: PathBuf,
    file: File,
    bytes: u64,
    is_whole: bool,
}

impl BackupWriter {
    /// Begins in a new or empty folder.
    ///
    /// # Errors
    /// If something lies there, or it cannot be written.
    pub fn create(dir: &Path) -> Result<Self> {
        owner_only::make_dir(dir).map_err(|e| failed("create", dir, e))?;
        let mut entries = fs::read_dir(dir).map_err(|e| failed("read", dir, e))?;
        if entries.next().is_some() {
            return Err(ConsensusError::DirNotEmpty { dir: dir.to_owned() });
        }
        let path = dir.join(SNAPSHOT);
        let file = owner_only::writing().create_new(true).open(&path);
        let file = file.map_err(|e| failed("create", &path, e))?;
        Ok(Self {
            dir: dir.to_owned(),
            file,
            bytes: 0,
            is_whole: false,
        })
    }

    /// Adds bytes of the catalog's answer, in their order.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        let written = self.file.write_all(bytes);
        written.map_err(|e| failed("write", &self.dir.join(SNAPSHOT), e))
    }

    /// Reads back what was written, which shows that nothing is missing, and adds manifest and checksums. What it answers
    /// is on the disk.
    ///
    /// # Errors
    /// If the bytes are not a whole state, or the files cannot be written.
    pub fn finish(mut self) -> Result<Manifest> {
        let path = self.dir.join(SNAPSHOT);
        self.file.sync_all().map_err(|e| failed("sync", &path, e))?;
        let state = ImportedState::read(&path)?;
        let manifest = manifest_of(&state, self.bytes);
        let text = serde_json::to_vec_pretty(&manifest).map_err(|e| unusable(&self.dir, e))?;
        put(&self.dir.join(MANIFEST), &text)?;
        let sums = format!("{}  {SNAPSHOT}\n{}  {MANIFEST}\n", sum(&path)?, blake3::hash(&text));
        put(&self.dir.join(CHECKSUMS), sums.as_bytes())?;
        let synced = File::open(&self.dir).and_then(|dir| dir.sync_all());
        synced.map_err(|e| failed("sync", &self.dir, e))?;
        self.is_whole = true;
        Ok(manifest)
    }
}

impl Drop for BackupWriter {
    fn drop(&mut self) {
        if self.is_whole {
            return;
        }
        // The folder was empty. Whoever dropped the writer tells why; what cannot be removed is refused by its name at the next try.
        for name in [SNAPSHOT, MANIFEST, CHECKSUMS] {
            drop(fs::remove_file(self.dir.join(name)));
        }
    }
}

/// Checks a backup as far as it can be checked without the object store: sums, form, and that the manifest says what the
/// state holds.
///
/// # Errors
/// If anything is not as it was written.
pub fn verify(dir: &Path) -> Result<(Manifest, ImportedState)> {
    let sums = read(&dir.join(CHECKSUMS))?;
    let sums = String::from_utf8(sums).map_err(|e| unusable(dir, e))?;
    for name in [SNAPSHOT, MANIFEST] {
        let path = dir.join(name);
        let found = sum(&path)?;
        let line = sums
            .lines()
            .find_map(|line| line.strip_suffix(name)?.strip_suffix("  "));
        if line != Some(found.to_string().as_str()) {
            return Err(unusable(&path, "its checksum is not the one that was written"));
        }
    }
    let manifest: Manifest = serde_json::from_slice(&read(&dir.join(MANIFEST))?).map_err(|e| unusable(dir, e))?;
    if manifest.format != FORMAT {
        return Err(unusable(
            dir,
            format!("format {} is not known to this version", manifest.format),
        ));
    }
    let state = ImportedState::read(&dir.join(SNAPSHOT))?;
    if manifest_of(&state, manifest.snapshot_bytes) != manifest {
        return Err(unusable(dir, "the manifest does not say what the state holds"));
    }
    Ok((manifest, state))
}

/// Checks a backup and makes a new catalog of one voter out of it. See [`restore`].
///
/// # Errors
/// If the backup is not whole, files of a node lie in the new place, or it cannot be written.
pub fn restore_into(backup: &Path, founder: &Founder, rng: &dyn Rng) -> Result<(Manifest, Founded)> {
    let (manifest, state) = verify(backup)?;
    let founded = restore(state, founder, rng)?;
    Ok((manifest, founded))
}

/// The tables whose metadata file cannot be found in the object store (any more): they cannot be read after a restore.
pub async fn missing_metadata(manifest: &Manifest, store: &dyn MetadataStore) -> Vec<ExportedTable> {
    let mut missing = Vec::new();
    for table in &manifest.tables {
        if !store.exists(&table.metadata_location).await.unwrap_or(false) {
            missing.push(table.clone());
        }
    }
    missing
}

fn manifest_of(state: &ImportedState, snapshot_bytes: u64) -> Manifest {
    Manifest {
        format: FORMAT,
        position: state.position(),
        state_time_ms: state.state().now_ms(),
        snapshot_bytes,
        namespaces_count: state.state().namespaces_count(),
        tables: state.tables(),
    }
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = owner_only::writing().create_new(true).open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|e| failed("write", path, e))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    match fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(unusable(path, "it is not there")),
        read => read.map_err(|e| failed("read", path, e)),
    }
}

fn sum(path: &Path) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let file = File::open(path);
    let summed = file.and_then(|file| io::copy(&mut io::BufReader::new(file), &mut hasher));
    summed.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => unusable(path, "it is not there"),
        _ => failed("read", path, e),
    })?;
    Ok(hasher.finalize())
}

fn unusable(path: &Path, problem: impl ToString) -> ConsensusError {
    ConsensusError::Backup {
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> ConsensusError {
    ConsensusError::storage(action, path, source)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    // Goal: a backup that fails leaves its folder empty, so that the next one may be made there, and nobody else reads it meanwhile.
    // Method: bytes that are no state, written and given up, and written and finished; modes of folder and file between.
    #[test]
    fn what_failed_leaves_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("backup");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let begin = || {
            let mut writer = BackupWriter::create(&dir).unwrap();
            writer.write(b"no state").unwrap();
            writer
        };
        let writer = begin();
        assert_eq!((mode(&dir), mode(&dir.join(SNAPSHOT))), (0o700, 0o600));
        drop(writer);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        assert!(begin().finish().is_err());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    }
}
