//! Files and folders that nobody but their owner reads: hashes of passwords are in the log, its snapshots and backups.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// Makes the folder unless it is there. The folders above it are made as others are: what else lies in them may be for others.
pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    if let Some(above) = dir.parent() {
        fs::create_dir_all(above)?;
    }
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)
}

/// Closes a folder of an earlier version, which others may look into.
pub(crate) fn close_dir(dir: &Path) -> io::Result<()> {
    let mode = fs::metadata(dir)?.permissions().mode();
    match mode & 0o077 {
        0 => Ok(()),
        _ => fs::set_permissions(dir, Permissions::from_mode(mode & DIR_MODE)),
    }
}

/// How a file is written.
pub(crate) fn writing() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(FILE_MODE);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    // Goal: a folder is its owner's alone, also one of before, and the one above it is as it was. Method: a folder in a new one, made twice,
    // opened to others and closed; a file in it.
    #[test]
    fn others_are_kept_out() {
        let temp = tempfile::tempdir().unwrap();
        let (above, plain) = (temp.path().join("above"), temp.path().join("plain"));
        let dir = above.join("own");
        make_dir(&dir).unwrap();
        make_dir(&dir).unwrap();
        fs::create_dir(&plain).unwrap();
        assert_eq!((mode(&dir), mode(&above)), (DIR_MODE, mode(&plain)));
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        close_dir(&dir).unwrap();
        assert_eq!(mode(&dir), DIR_MODE);
        let file = dir.join("file");
        writing().create_new(true).open(&file).unwrap();
        assert_eq!(mode(&file), FILE_MODE);
    }
}
