//! On which file systems the sync of a new file syncs its name as well.
//!
//! POSIX promises nothing of the name, so that a directory is synced after a file in it was made: one more wait for the disk, as long as
//! the first. ext4 syncs the name with the file, with a journal because both are in one transaction, without one because it
//! looks for it (`ext4_sync_parent`); `names_survive_a_loss_of_power` of the catalog's `disk_faults` shows both. Of all others nothing is
//! assumed.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};

use nix::sys::stat::{major, minor};

/// Where the kernel tells what is mounted.
const MOUNTS: &str = "/proc/self/mountinfo";

/// Devices that are remembered. A process writes to one or two.
const DEVICES_MAX: usize = 64;

/// What was found of devices.
#[derive(Debug, Default)]
pub(super) struct SyncedNames {
    devices: Mutex<HashMap<u64, bool>>,
}

impl SyncedNames {
    /// Whether a sync of `file`, which was just given its name, is enough. Who does not know says no.
    pub(super) fn with(&self, file: &File) -> bool {
        let Ok(found) = file.metadata() else { return false };
        let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = devices.get(&found.dev()) {
            return *known;
        }
        let mounts = std::fs::read_to_string(MOUNTS).unwrap_or_default();
        let synced = is_ext4(&mounts, found.dev());
        if devices.len() >= DEVICES_MAX {
            devices.clear();
        }
        devices.insert(found.dev(), synced);
        synced
    }
}

/// Whether the device is mounted, and as ext4 only. The driver of ext2 for its own sake has other rules.
fn is_ext4(mounts: &str, device: u64) -> bool {
    let number = format!("{}:{}", major(device), minor(device));
    let kind = |line: &str| {
        let (place, what) = line.split_once(" - ")?;
        let kind = what.split(' ').next()?;
        (place.split(' ').nth(2)? == number).then(|| kind == "ext4")
    };
    let kinds: Vec<bool> = mounts.lines().filter_map(kind).collect();
    !kinds.is_empty() && kinds.into_iter().all(|is_ext4| is_ext4)
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::makedev;

    use super::*;

    // Goal: only what is known to be ext4 is taken for it. Method: lines as the kernel writes them.
    #[test]
    fn mounts_are_told_apart() {
        let mounts = "21 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n\
            22 21 254:1 / /old rw shared:1 - ext2 /dev/vdb rw\n\
            23 21 0:40 / /tmp rw,nosuid shared:2 master:1 - tmpfs tmpfs rw\n\
            24 21 254:0 /data /data rw - ext4 /dev/vda rw\n\
            odd\n";
        assert!(is_ext4(mounts, makedev(254, 0)));
        for (major, minor) in [(254, 1), (0, 40), (254, 2)] {
            assert!(!is_ext4(mounts, makedev(major, minor)), "{major}:{minor}");
        }
        assert!(!is_ext4("", makedev(254, 0)));
    }
}
