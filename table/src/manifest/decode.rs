//! The entries of a manifest from its bytes, ten times as fast as the format's library, which stays the judge: whatever is not
//! exactly as it should be is left to it, and all manifests whose names tell no digest.

use std::sync::Arc;

use iceberg::spec::{DataContentType, ManifestFile, ManifestStatus};

use super::avro::{File, number};
use super::entry::{Description, Entry};
use super::packed::{Packed, int, is_null};
use super::plain::VALUES_MAX;
use super::shape::{Part, Shape, Shapes};

/// What an entry counts for besides its partition's values, which take more memory than bytes.
const ENTRY_VALUES: u64 = 32;

/// All entries with nothing left to inherit; `None` where the library has to say what they are, or what is wrong.
pub(super) fn entries(shapes: &Shapes, manifest: &ManifestFile, bytes: &[u8]) -> Option<Arc<[Arc<Entry>]>> {
    let mut file = File::open(bytes)?;
    let shape = shapes.of(&file, bytes)?;
    let mut next_row_id = manifest.first_row_id;
    let entry_values = ENTRY_VALUES + shape.partition.len() as u64;
    let mut left = VALUES_MAX;
    let mut found = Vec::new();
    while let Some(block) = file.block() {
        let (count, values) = block.ok()?;
        let mut rest = &values[..];
        for _ in 0..count {
            left = left.checked_sub(entry_values)?;
            let mut entry = entry(&shape, manifest, &mut rest)?;
            if entry.is_live()
                && let Some(next) = next_row_id
                && let Description::Packed(file) = &mut entry.file
                && file.content == DataContentType::Data
                && file.first_row_id.is_none()
            {
                next_row_id = Some(next.checked_add(file.record_count)?);
                file.first_row_id = Some(i64::try_from(next).ok()?);
            }
            found.push(Arc::new(entry));
        }
        if !rest.is_empty() {
            return None;
        }
    }
    Some(found.into())
}

fn entry(shape: &Arc<Shape>, manifest: &ManifestFile, rest: &mut &[u8]) -> Option<Entry> {
    let (mut status, mut file) = (None, None);
    let (mut snapshot_id, mut sequence, mut file_sequence) = (None, None, None);
    for field in &shape.entry {
        if is_null(field.null, rest)? {
            continue;
        }
        match field.part {
            Part::Status => status = Some(ManifestStatus::try_from(int(rest)?).ok()?),
            Part::Snapshot => snapshot_id = Some(number(rest)?),
            Part::Sequence => sequence = Some(number(rest)?),
            Part::FileSequence => file_sequence = Some(number(rest)?),
            Part::File => file = Some(Packed::read(shape, rest)?),
            _ => field.kind.skip(rest)?,
        }
    }
    let status = status?;
    let inherits = status == ManifestStatus::Added || manifest.sequence_number == 0;
    let inherited = inherits.then_some(manifest.sequence_number);
    Some(Entry {
        status,
        file: Description::Packed(file?),
        spec_id: manifest.partition_spec_id,
        snapshot_id: snapshot_id.unwrap_or(manifest.added_snapshot_id),
        sequence: sequence.or(inherited)?,
        file_sequence: file_sequence.or(inherited)?,
    })
}

#[cfg(test)]
mod tests;
