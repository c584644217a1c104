//! The secret of a catalog with users on one machine, where the operator set none: roles, and commands on the same data
//! directory, come in by it.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tidewater_core::{Secret, SharedRng};

use crate::cli::failure::{Failure, Reason};
use crate::settings::Settings;

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("local-secret")
}

/// What is there, as far as this process may read it.
pub(crate) fn read(data_dir: &Path) -> Option<Secret> {
    let text = fs::read_to_string(file(data_dir)).ok()?;
    match text.trim() {
        "" => None,
        text => Some(Secret::new(text)),
    }
}

/// Refuses users of a catalog whose nodes would not know each other: on one machine alone a secret is made for them.
pub(super) fn check(settings: &Settings) -> Result<(), Failure> {
    if settings.security.node_secret.is_none() && !settings.raft.peers.is_empty() {
        return Err(Failure::of(
            Reason::Settings,
            "with [[security.users]] the catalog's nodes have to show each other who they are",
        )
        .hint("set security.node_secret to the same text on all nodes; make one with: openssl rand -hex 32")
        .exit(2));
    }
    Ok(())
}

/// Makes one unless there is one, or the nodes share one. Only its owner can read the file.
pub(super) fn ensure(settings: &mut Settings, rng: &SharedRng) -> Result<(), Failure> {
    if settings.security.node_secret.is_some() {
        return Ok(());
    }
    check(settings)?;
    settings.local_secret = read(&settings.data_dir);
    if settings.local_secret.is_some() {
        return Ok(());
    }
    let path = file(&settings.data_dir);
    let failed = |source| Failure::io("write the local secret", source);
    let text = format!("{}{}", rng.uuid().simple(), rng.uuid().simple());
    // Whole or not at all: a process that ends half-way leaves no file that nobody can use.
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut made = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(failed)?;
    made.write_all(text.as_bytes())
        .and_then(|()| made.sync_all())
        .map_err(failed)?;
    fs::rename(&temporary, &path).map_err(failed)?;
    settings.local_secret = Some(Secret::new(text));
    Ok(())
}
