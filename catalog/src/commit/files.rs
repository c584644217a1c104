//! Which files a commit may name, and where its table may lie.
//!
//! Roles read and delete with the catalog's own rights what a table names. Files outside of the table's location are its writer's choice,
//! as files are added where they lie; what lies in the location of another table or view is not.

use iceberg::spec::TableMetadata;
use uuid::Uuid;

use crate::command::{Ident, Refusal};
use crate::error::Result;
use crate::state::State;
use crate::warehouse::{Warehouse, refused};
use tidewater_table::file_store::Location;

/// By whose choice a table or view lies where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Somebody said the place who may choose any.
    Any,
    /// The catalog chose it, or somebody who is given a new folder and nothing that others left.
    New,
}

/// What a commit to one table may name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Files<'a> {
    pub(crate) warehouse: &'a Warehouse,
    pub(crate) state: &'a State,
    /// None for a table that is being made.
    pub(crate) id: Option<Uuid>,
    /// Where it lies, in its normal form.
    pub(crate) location: &'a str,
    /// Whether grants bind anybody.
    pub(crate) grants: bool,
}

impl Files<'_> {
    /// Refuses a file outside of the warehouse, and one in the location of another table or view, dropped tables that can come back among
    /// them. Whose location it is is not said: who asks may not know of it.
    pub(crate) fn check(&self, file: &str) -> Result<()> {
        if file.is_empty() {
            // Version 1 may list its manifests itself.
            return Ok(());
        }
        self.check_content(&self.warehouse.checked(file)?)
    }

    /// The same for a file that a manifest names: paths of data files hold what no location may.
    pub(crate) fn check_content(&self, file: &str) -> Result<()> {
        match self.is_anothers(file) {
            false => Ok(()),
            true => Err(refused(file, ANOTHERS.into())),
        }
    }

    /// Refuses metadata that names a file which its table may not name.
    pub(super) fn check_all(&self, metadata: &TableMetadata) -> Result<()> {
        let lists = metadata.snapshots().map(|snapshot| snapshot.manifest_list());
        let columns = metadata.statistics_iter().map(|file| file.statistics_path.as_str());
        let partitions = metadata.partition_statistics_iter();
        let partitions = partitions.map(|file| file.statistics_path.as_str());
        lists
            .chain(columns)
            .chain(partitions)
            .try_for_each(|file| self.check(file))
    }

    fn is_anothers(&self, file: &str) -> bool {
        // Nearly every file is its table's own. One with a relative part has no place.
        let is_below = |file: &str, folder: &str| file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        if is_below(file, self.location) {
            return false;
        }
        // What has no place cannot be read either.
        let (Some(place), Some(own)) = (physical(file), physical(self.location)) else {
            return false;
        };
        !is_below(&place, &own) && self.state.is_anothers(&place, self.id)
    }

    /// Refuses a location for `table` that another one has, whatever uuid a commit claims. Where grants bind, what was dropped and can come
    /// back makes place for who bears its name alone, and for nothing that is to have a new folder: who saw the table knows its folder.
    pub(super) fn check_location(&self, table: &Ident, place: &str, choice: Choice) -> Result<()> {
        let id = self.id.unwrap_or_default();
        let places = spellings(place);
        let holder = places
            .iter()
            .find_map(|place| self.state.location_holder(place, id, Uuid::nil()));
        if let Some(holder) = holder {
            let (location, by) = (place.to_owned(), holder.name.clone());
            return Err(Refusal::LocationTaken { location, by }.into());
        }
        let is_dropped = |place: &String| {
            let mut dropped = self.state.dropped_at(place);
            dropped.any(|dropped| choice == Choice::New || dropped.row.name != *table)
        };
        match self.grants && places.iter().any(is_dropped) {
            false => Ok(()),
            true => Err(refused(place, DROPPED.into())),
        }
    }
}

/// A location in its normal form, as each scheme that means the same store spells it.
fn spellings(place: &str) -> Vec<String> {
    let other = match place.split_once("://") {
        Some(("s3", rest)) => Some(format!("s3a://{rest}")),
        Some(("s3a", rest)) => Some(format!("s3://{rest}")),
        _ => None,
    };
    std::iter::once(place.to_owned()).chain(other).collect()
}

/// The one spelling of a place that a file store reads, in the form that the catalog keeps locations in: what it takes for one place is
/// one here. None for what it cannot read.
pub(crate) fn physical(path: &str) -> Option<String> {
    let (root, path) = match Location::parse(path).ok()? {
        Location::File { path } => ("file://".to_owned(), path),
        Location::S3 { bucket, key } => (format!("s3://{bucket}"), key),
        Location::Memory { path } => ("memory://".to_owned(), path),
    };
    let parts = path.split('/').filter(|part| !part.is_empty());
    Some(parts.fold(root, |place, part| place + "/" + part))
}

const DROPPED: &str = "it is, holds or lies in the location of a dropped table that can come back";

const ANOTHERS: &str = "it lies in the location of another table or view";
