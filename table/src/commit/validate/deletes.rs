//! Deletes that others committed since a change was computed: may they reach a file that it rests on?
//!
//! Rows that a change writes anew get the sequence number of its commit. They are younger than such a delete, which does not reach them
//! any more: a row that it deleted would be there again. So a delete is let pass only if it surely deletes no row of any file that the
//! change rests on:
//!
//! - Whether one reaches a file is asked of [`Deletes`], as a scan asks. What a scan applies is a part of the answer, for it leaves out
//!   deletes that are older than the data or that a deletion vector stands for, and here none of these is left out. The specification
//!   has the same rule (Scan Planning): deletes by value reach files of the same spec id and partition, and all if their spec has no
//!   partitions; deletes by position reach the file that they name, or those of the same spec id and partition.
//! - Some readers apply a delete file to the one data file that its bounds tell, whatever the partition of either: here it reaches
//!   that file, too.
//! - What a delete file by position tells of the paths in it may keep it from a file of its partition, see [`Paths::leave_out`]. Where
//!   that keeps all deletes from all of the files, nothing more is read; else the head's data manifests are, once, as for a scan.
//! - What is not known is a conflict: a delete of a spec that the table does not have, a file that is not listed.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use iceberg::metadata_columns::RESERVED_FIELD_ID_DELETE_FILE_PATH;
use iceberg::spec::{
    DataContentType, DataFileFormat, Datum, ManifestContentType, ManifestFile, PrimitiveLiteral, TableMetadata,
};

use crate::change::Change;
use crate::error::Result;
use crate::file_store::FileStore;
use crate::manifest::{self, Description, Entry};
use crate::scan::{Deletes, holds_live, reads_at_once};

/// `Some(reason)` if one of these deletes may reach a file that the change rests on.
pub(super) async fn conflict(
    store: &FileStore,
    table: &TableMetadata,
    change: &Change,
    deletes: Vec<Arc<Entry>>,
) -> Result<Option<String>> {
    let needed = change.removed.iter().chain(&change.touched);
    let mut unlisted: BTreeSet<&str> = needed.map(String::as_str).collect();
    let mut by_place = Vec::new();
    for delete in deletes {
        match named(&delete.file) {
            Some(path) if change.needs(&path) => return Ok(Some(reason(&delete))),
            Some(_) => {}
            None if is_unknown(table, &delete) || tells_of_one(&delete, change) => return Ok(Some(reason(&delete))),
            None if tells_of_others(&delete, &unlisted) => {}
            None => by_place.push(delete),
        }
    }
    if by_place.is_empty() {
        return Ok(None);
    }
    let deletes = Deletes::new(table, by_place);
    // A file keeps its partition as long as it is in the table, so the head tells it.
    let head = manifest::list(store, table, change.target.parent(table).map(AsRef::as_ref)).await?;
    let data: Vec<&ManifestFile> = head
        .iter()
        .filter(|m| holds_live(m, ManifestContentType::Data))
        .collect();
    let at_once = reads_at_once(data.iter().copied());
    // Collected: a closure that lives across an await makes this future not `Send` in general.
    let reads: Vec<_> = data.into_iter().map(|m| manifest::live(store, m)).collect();
    let mut lists = stream::iter(reads).buffered(at_once);
    while let Some(entries) = lists.try_next().await? {
        for entry in &entries {
            let path = entry.file.file_path();
            if !change.needs(path) {
                continue;
            }
            if let Some(delete) = reaching(&deletes, entry) {
                return Ok(Some(reason(delete)));
            }
            unlisted.remove(path);
        }
    }
    Ok(unlisted.pop_first().map(|path| format!("{path} is not in the table")))
}

fn reason(delete: &Entry) -> String {
    let path = delete.file.file_path();
    format!("{path} may delete rows of a file that this change rests on")
}

/// The one data file that a delete is about by its own word. Of deletes by value nobody asks for it.
fn named(delete: &Description) -> Option<String> {
    match delete.content_type() {
        DataContentType::PositionDeletes => delete.referenced_data_file(),
        DataContentType::EqualityDeletes | DataContentType::Data => None,
    }
}

fn is_unknown(table: &TableMetadata, delete: &Entry) -> bool {
    table.partition_spec_by_id(delete.spec_id).is_none()
}

/// Whether the paths in a delete tell of a file that the change rests on, and of that one alone.
fn tells_of_one(delete: &Entry, change: &Change) -> bool {
    Paths::of(&delete.file).is_some_and(|paths| paths.least == paths.greatest && change.needs(&paths.least))
}

/// Whether the paths in a delete surely tell of other files alone.
fn tells_of_others(delete: &Entry, needed: &BTreeSet<&str>) -> bool {
    Paths::of(&delete.file).is_some_and(|paths| needed.iter().all(|path| paths.leave_out(path)))
}

/// A delete that may delete rows of a data file.
fn reaching<'a>(deletes: &'a Deletes, data: &Entry) -> Option<&'a Arc<Entry>> {
    let path = data.file.file_path();
    let mut near = deletes.in_reach_of(data).into_iter();
    near.find(|delete| Paths::of(&delete.file).is_none_or(|paths| !paths.leave_out(path)))
}

/// What a manifest tells of the data files that a delete file by position names. Either bound may have been cut short.
struct Paths {
    least: String,
    greatest: String,
}

impl Paths {
    /// `None` where it tells nothing, and for a deletion vector: there are no paths in it.
    fn of(delete: &Description) -> Option<Self> {
        let by_position = delete.content_type() == DataContentType::PositionDeletes;
        if !by_position || delete.file_format() == DataFileFormat::Puffin {
            return None;
        }
        let text = |bound: Datum| match bound.literal() {
            PrimitiveLiteral::String(text) => Some(text.clone()),
            _ => None,
        };
        Some(Self {
            least: text(delete.lower_bound(RESERVED_FIELD_ID_DELETE_FILE_PATH)?)?,
            greatest: text(delete.upper_bound(RESERVED_FIELD_ID_DELETE_FILE_PATH)?)?,
        })
    }

    /// Whether the delete file surely does not name this data file.
    ///
    /// A lower bound that was cut short is below the least path all the same. Not every writer raises an upper bound that it cuts, so of
    /// a path as much is compared as the bound has: whoever is above it by that much is above whatever it was cut from. So a bound that
    /// was cut leaves out less than the whole one, and never a file that is named. Writers differ in how they put letters beyond ASCII
    /// in order. Bounds that contradict each other tell nothing, nor do those that are spelled from another root than the path is
    /// (`s3a:` for `s3:`, `file:///` for `file:/`): what is in the file may be spelled as the path is, and a reader goes by that.
    fn leave_out(&self, path: &str) -> bool {
        let (least, greatest) = (self.least.as_str(), self.greatest.as_str());
        let as_much = path.get(..greatest.len()).unwrap_or(path);
        let is_beyond = path < least || as_much > greatest;
        let all = [least, greatest, path];
        is_beyond
            && least <= greatest
            && all.iter().all(|text| text.is_ascii())
            && root(path).is_some_and(|of_path| all.iter().all(|text| root(text) == Some(of_path)))
    }
}

/// Scheme and authority of a location with the slash behind them, as they are spelled; `None` where that was cut off.
fn root(location: &str) -> Option<&str> {
    let authority = location.find("://").map_or(0, |at| at + "://".len());
    let length = location.get(authority..)?.find('/')?;
    location.get(..=authority + length)
}

#[cfg(test)]
mod tests;
