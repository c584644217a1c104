//! The key of an installation whose operator set no secret: kept in the data directory, so that tokens and handles outlive a restart.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use tidewater_core::Rng;

use super::TokenKey;
use crate::error::SecurityError;

/// Its name in its folder.
const FILE: &str = "token.key";

/// The same while it is being written.
const NEW: &str = "token.key.new";

/// What is in it: 256 random bits.
const DIGITS: usize = 64;

const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// What others than the owner may do, and what those outside of the owner's group may.
const NOT_OWNER: u32 = 0o077;
const NOT_GROUP: u32 = 0o007;

impl TokenKey {
    /// The key that is kept in this folder, if one is. Nothing is changed there.
    ///
    /// # Errors
    /// If it cannot be read, is not as it was written, or everybody on the machine can read it.
    pub fn kept(dir: &Path) -> Result<Option<Self>, SecurityError> {
        read(&dir.join(FILE)).map_err(|source| refused(dir, source))
    }

    /// The key that is kept in this folder; the first time a new one. The folder is made, and closed to others, where it has to be.
    ///
    /// # Errors
    /// As by [`TokenKey::kept`], or if a new one cannot be written: what cannot be used is never replaced.
    pub fn kept_or_made(dir: &Path, rng: &dyn Rng) -> Result<Self, SecurityError> {
        find_or_make(dir, rng).map_err(|source| refused(dir, source))
    }
}

fn refused(dir: &Path, source: io::Error) -> SecurityError {
    SecurityError::BadTokenKey {
        file: dir.join(FILE),
        source,
    }
}

fn unusable(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

fn find_or_make(dir: &Path, rng: &dyn Rng) -> io::Result<TokenKey> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)?;
    close(dir, DIR_MODE)?;
    let file = dir.join(FILE);
    match read(&file)? {
        Some(key) => {
            close(&file, FILE_MODE)?;
            Ok(key)
        }
        None => make(dir, rng),
    }
}

/// Takes from others what they may do. Kubernetes gives a volume to a group each time it is mounted, so that this is no reason not to start.
fn close(path: &Path, mode: u32) -> io::Result<()> {
    if fs::metadata(path)?.permissions().mode() & NOT_OWNER == 0 {
        return Ok(());
    }
    tracing::warn!(
        path = %path.display(),
        "others could reach the key that signs tokens, and cannot any more; if they may have read it, remove it and start again"
    );
    fs::set_permissions(path, Permissions::from_mode(mode))
}

fn read(file: &Path) -> io::Result<Option<TokenKey>> {
    let opened = match File::open(file) {
        Ok(opened) => opened,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return match fs::symlink_metadata(file) {
                Ok(_) => Err(unusable("it is a link to a file that is not there")),
                Err(_) => Ok(None),
            };
        }
        Err(error) => return Err(error),
    };
    if opened.metadata()?.permissions().mode() & NOT_GROUP != 0 {
        return Err(unusable("everybody on this machine can read or change it"));
    }
    let mut bytes = Vec::new();
    opened.take(2 * DIGITS as u64).read_to_end(&mut bytes)?;
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != DIGITS || !text.iter().all(is_digit) {
        return Err(unusable("it is not 64 hexadecimal digits, as it was written"));
    }
    Ok(Some(TokenKey::derive(text)))
}

fn make(dir: &Path, rng: &dyn Rng) -> io::Result<TokenKey> {
    let (file, new) = (dir.join(FILE), dir.join(NEW));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(FILE_MODE);
    let mut opened = options.open(&new)?;
    // Of processes that begin together in one folder one makes the key. Where a disk knows no locks the last one's is kept, and the others
    // have theirs until they start again.
    drop(opened.lock());
    if let Some(key) = read(&file)? {
        // Nobody is at it any more: who has it open sees the key as well.
        drop(fs::remove_file(&new));
        return Ok(key);
    }
    let words = [rng.next_u64(), rng.next_u64(), rng.next_u64(), rng.next_u64()];
    let text: String = words.iter().map(|word| format!("{word:016x}")).collect();
    opened.set_permissions(Permissions::from_mode(FILE_MODE))?;
    opened.set_len(0)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()?;
    fs::rename(&new, &file)?;
    let folders = dir.ancestors().take(2);
    for folder in folders.filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(TokenKey::derive(text.as_bytes()))
}

#[cfg(test)]
mod tests;
