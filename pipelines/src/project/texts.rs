//! What the files of a project said when it was loaded. A process goes on with that until it ends, so it tells what says something else
//! since.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{MODELS, PROJECT_FILE, SOURCES, files, read};
use crate::error::Result;

/// A digest of each file.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    folder: PathBuf,
    digests: BTreeMap<PathBuf, blake3::Hash>,
}

impl Texts {
    pub(super) fn of(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            digests: BTreeMap::new(),
        }
    }

    /// The text of a file, of which the digest is kept.
    pub(super) fn read(&mut self, path: &Path) -> Result<String> {
        let text = read(path)?;
        self.digests.insert(path.to_owned(), blake3::hash(text.as_bytes()));
        Ok(text)
    }

    /// The files that are new, gone, not to be read or that say something else, below the project's folder and in order.
    pub(super) fn changed(&self) -> Vec<PathBuf> {
        let mut now = BTreeMap::new();
        if !self.digests.is_empty() {
            let mut found = vec![self.folder.join(PROJECT_FILE)];
            for (folder, extensions) in [SOURCES, MODELS] {
                // A folder that cannot be listed has none of the files that were in it.
                found.extend(files(&self.folder.join(folder), extensions).unwrap_or_default());
            }
            for path in found {
                let digest = read(&path).ok().map(|text| blake3::hash(text.as_bytes()));
                now.insert(path, digest);
            }
        }
        let new = now
            .iter()
            .filter(|(path, digest)| digest.is_none() || self.digests.get(*path).copied() != **digest)
            .map(|(path, _)| path);
        let gone = self.digests.keys().filter(|path| !now.contains_key(*path));
        let mut changed: Vec<PathBuf> = new
            .chain(gone)
            .map(|path| path.strip_prefix(&self.folder).unwrap_or(path).to_owned())
            .collect();
        changed.sort();
        changed
    }
}
