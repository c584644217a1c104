//! The hospital project inside the binary.

use std::path::Path;

use include_dir::{Dir, include_dir};

static HOSPITAL: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/examples/hospital");

/// Writes the project's files below `dir`. What a user changed there is written over: the demo begins as shipped.
pub(super) fn unpack(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    HOSPITAL.extract(dir)
}
