//! Files that a table names and that lie elsewhere than in its location. Who writes a table's metadata names whatever they like; files that
//! lie where nobody's location is were added where they lay, and those in the location of another table are that table's.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, LoadedTable};
use crate::error::{Result, TableError};
use tidewater_core::TableName;

/// Folders in one call to the catalog.
const FOLDERS_PER_CALL: usize = 1_000;

/// The folders of those files that do not lie in a table's location, each once.
pub fn folders_outside<'p>(location: &str, paths: impl IntoIterator<Item = &'p str>) -> Vec<String> {
    let location = location.trim_end_matches('/');
    let outside = paths.into_iter().filter(|path| !lies_in(path, location));
    let folders: BTreeSet<&str> = outside.map(folder_of).collect();
    folders.into_iter().map(str::to_owned).collect()
}

/// Whether a file lies in a location that has no slash at its end.
pub(crate) fn lies_in(path: &str, location: &str) -> bool {
    let rest = path.strip_prefix(location);
    rest.is_some_and(|rest| rest.starts_with('/'))
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(folder, _)| folder)
}

/// Refuses files of a table in these folders that are another's.
///
/// # Errors
/// [`TableError::ForeignFile`] if one of the folders is or lies in the location of another table or view, or of a dropped table that can
/// come back; and if the catalog cannot say. It is not asked where there is no folder.
pub async fn require_own(catalog: &dyn Catalog, table: &TableName, folders: &[String]) -> Result<()> {
    match held(catalog, table, folders).await?.is_empty() {
        true => Ok(()),
        false => Err(TableError::ForeignFile { table: table.clone() }),
    }
}

/// Leaves out what is not the table's to delete: files in the location of another one, and where the catalog cannot say, all that lie
/// elsewhere.
pub(crate) async fn deletable<T>(
    catalog: &dyn Catalog,
    table: &LoadedTable,
    mut files: BTreeMap<String, T>,
) -> BTreeMap<String, T> {
    let location = table.metadata.location().trim_end_matches('/');
    let folders = folders_outside(location, files.keys().map(String::as_str));
    let held = match held(catalog, &table.name, &folders).await {
        Ok(held) => held,
        Err(error) => {
            tracing::warn!(table = %table.name, %error, "files outside of the table's location are left, as they may be another table's");
            folders.into_iter().collect()
        }
    };
    files.retain(|path, _| lies_in(path, location) || !held.contains(folder_of(path)));
    files
}

async fn held(catalog: &dyn Catalog, table: &TableName, folders: &[String]) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for some in folders.chunks(FOLDERS_PER_CALL) {
        let told = catalog.held_by_others(table, some).await?;
        if told.len() != some.len() {
            return Err(TableError::damaged(
                "the catalog did not tell of every folder whose it is",
            ));
        }
        let theirs = some.iter().zip(told).filter(|(_, held)| *held);
        found.extend(theirs.map(|(folder, _)| folder.clone()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Lake;
    use tidewater_core::Coded;

    // Goal: a table's own files and those that are nobody's are its to read and to delete, another table's are not. Method: one of each,
    // and one beside the other's location.
    #[tokio::test]
    async fn what_is_anothers_is_told_from_what_is_nobodys() {
        let lake = Lake::new(&[], &[]).await;
        let other = lake.create("s.other".parse().unwrap(), &[], &[]).await;
        let table = lake.table().await;
        let theirs = format!("{}/data/a", other.metadata.location());
        let ours = [
            format!("{}/data/a", table.metadata.location()),
            "memory://lake/landing/a".to_owned(),
            format!("{}x/data/a", other.metadata.location()),
        ];
        let all = ours.iter().chain([&theirs]).map(|path| (path.clone(), ()));
        let left = deletable(&lake.catalog, &table, all.collect()).await;
        let left: BTreeSet<String> = left.into_keys().collect();
        assert_eq!(left, BTreeSet::from(ours.clone()));
        let folders = folders_outside(table.metadata.location(), ours.iter().map(String::as_str));
        assert_eq!(folders.len(), 2, "{folders:?}");
        require_own(&lake.catalog, &table.name, &folders).await.unwrap();
        let folders = folders_outside(table.metadata.location(), [theirs.as_str()]);
        let error = require_own(&lake.catalog, &table.name, &folders).await.unwrap_err();
        assert_eq!(error.code(), "TBL-0039");
    }
}
