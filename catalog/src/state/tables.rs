//! Tables: their pointers, names and locations. Views are kept in rows of the same kind.

use std::collections::BTreeSet;
use std::ops::Bound;

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::changes::ChangeKind;
use super::namespaces::key;
use super::{DroppedTable, Shared, State};
use crate::command::{Expect, Ident, Outcome, Pointer, Refusal, Relation, TableChange, TableRef};

/// How many tables there may be: a guard against a runaway client; at this many the state takes about 1 GB.
pub(super) const TABLES_MAX: usize = 1_000_000;

/// A table or view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRow {
    /// Names it for good. Not its uuid: earlier versions let two names be registered for one metadata file, and such lakes are served.
    pub id: Uuid,
    /// Its name.
    pub name: Ident,
    /// Where it stands.
    pub pointer: Pointer,
    /// Raised by every move of the pointer.
    pub version: u64,
    /// When it was made.
    pub created_at_ms: i64,
    /// When its pointer moved last.
    pub updated_at_ms: i64,
}

impl TableRow {
    pub(super) fn to_ref(&self) -> TableRef {
        TableRef {
            id: self.id,
            version: self.version,
            metadata_location: self.pointer.metadata_location.clone(),
        }
    }
}

/// All tables, or all views, with their indexes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub(super) struct Tables {
    rows: OrdMap<Uuid, Shared<TableRow>>,
    /// Namespace key → name → id. A namespace without tables has no entry.
    names: OrdMap<String, OrdMap<String, Uuid>>,
    /// Location with a slash at its end → the tables there (more than one only when one metadata file was registered twice).
    locations: OrdMap<String, Vec<Uuid>>,
    /// Each table's uuid and its id. Not stored: snapshots of earlier versions have none.
    #[serde(skip)]
    uuids: OrdSet<(Uuid, Uuid)>,
}

/// What snapshots have of it.
#[derive(Deserialize)]
struct Stored {
    rows: OrdMap<Uuid, Shared<TableRow>>,
    names: OrdMap<String, OrdMap<String, Uuid>>,
    locations: OrdMap<String, Vec<Uuid>>,
}

impl From<Stored> for Tables {
    fn from(stored: Stored) -> Self {
        let Stored { rows, names, locations } = stored;
        let uuids = rows.iter().map(|(id, row)| (row.pointer.uuid, *id)).collect();
        Self {
            rows,
            names,
            locations,
            uuids,
        }
    }
}

impl Tables {
    pub(super) fn any_in(&self, namespace_key: &str) -> bool {
        self.names.contains_key(namespace_key)
    }

    fn id(&self, name: &Ident) -> Option<Uuid> {
        self.names.get(&key(&name.namespace))?.get(&name.name).copied()
    }

    pub(super) fn row(&self, name: &Ident) -> Option<&Shared<TableRow>> {
        self.rows.get(&self.id(name)?)
    }

    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }

    /// Those of a namespace after `after` (from the first one when it is none), in order of name.
    pub(super) fn rows_in<'a>(
        &'a self,
        namespace: &[String],
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a TableRow> + 'a {
        let from = after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.to_owned()));
        self.names
            .get(&key(namespace))
            .into_iter()
            .flat_map(move |names| names.range::<_, String>((from.clone(), Bound::Unbounded)))
            .filter_map(|(_, id)| self.rows.get(id).map(|row| &**row))
    }

    /// The row as `change` makes or moves it. One that only demands something comes back as it is.
    pub(super) fn changed(&self, change: TableChange, now_ms: i64, kind: Relation) -> Result<TableRow, Refusal> {
        let TableChange { table, expect, pointer } = change;
        let current = self.row(&table);
        Ok(match (expect, current) {
            (Expect::Absent { .. } | Expect::New { .. }, Some(_)) => return Err(exists(kind, table)),
            (Expect::Absent { id } | Expect::New { id } | Expect::Any { id } | Expect::Replaced { id }, None) => {
                if self.rows.contains_key(&id) {
                    return Err(Refusal::Repeated);
                }
                TableRow {
                    id,
                    name: table,
                    pointer,
                    version: 1,
                    created_at_ms: now_ms,
                    updated_at_ms: now_ms,
                }
            }
            (Expect::Version { .. } | Expect::After { .. }, None) => return Err(missing(kind, table)),
            (Expect::Version { id, version } | Expect::After { id, version, .. }, Some(row))
                if row.id != id || row.version != version =>
            {
                return Err(Refusal::Stale(table));
            }
            (Expect::After { metadata_location, .. }, Some(row))
                if row.pointer.metadata_location != metadata_location =>
            {
                return Err(Refusal::Stale(table));
            }
            // A transaction may hold a table only to demand something of it.
            (Expect::Version { .. } | Expect::After { .. }, Some(row)) if row.pointer == pointer => (**row).clone(),
            (
                Expect::Version { .. } | Expect::After { .. } | Expect::Any { .. } | Expect::Replaced { .. },
                Some(row),
            ) => TableRow {
                pointer,
                version: row.version + 1,
                updated_at_ms: now_ms,
                ..(**row).clone()
            },
        })
    }

    pub(super) fn insert(&mut self, row: TableRow) {
        self.names
            .entry(key(&row.name.namespace))
            .or_default()
            .insert(row.name.name.clone(), row.id);
        let there = self.locations.entry(folder(&row.pointer.location)).or_default();
        if !there.contains(&row.id) {
            there.push(row.id);
        }
        self.uuids.insert((row.pointer.uuid, row.id));
        self.rows.insert(row.id, Shared::new(row));
    }

    /// Puts a row in the place of the one with its id.
    fn put(&mut self, row: TableRow) {
        let before = self.rows.get(&row.id);
        // Nearly every commit leaves the table where it is, and the indexes as they are.
        let stays = before.is_some_and(|before| {
            let (was, is) = (&before.pointer, &row.pointer);
            before.name == row.name && was.location == is.location && was.uuid == is.uuid
        });
        if stays {
            self.rows.insert(row.id, Shared::new(row));
            return;
        }
        self.remove(row.id);
        self.insert(row);
    }

    pub(super) fn remove(&mut self, id: Uuid) -> Option<Shared<TableRow>> {
        let row = self.rows.remove(&id)?;
        self.uuids.remove(&(row.pointer.uuid, id));
        let namespace = key(&row.name.namespace);
        if let Some(names) = self.names.get_mut(&namespace) {
            names.remove(&row.name.name);
            if names.is_empty() {
                self.names.remove(&namespace);
            }
        }
        let location = folder(&row.pointer.location);
        if let Some(there) = self.locations.get_mut(&location) {
            there.retain(|other| *other != id);
            if there.is_empty() {
                self.locations.remove(&location);
            }
        }
        Some(row)
    }

    /// The table with this uuid, other than `id`.
    pub(super) fn of_uuid(&self, uuid: Uuid, id: Uuid) -> Option<&TableRow> {
        let mut ids = self.uuids.range((uuid, Uuid::nil())..=(uuid, Uuid::max()));
        let other = ids.find(|(_, other)| *other != id);
        other.and_then(|(_, other)| self.by_id(*other))
    }

    /// The table whose location is, holds or lies in `location`, other than `id`. A table with the same uuid at the very same place is the same files under
    /// another name, which earlier versions let be registered.
    pub(super) fn in_the_way(&self, location: &str, id: Uuid, uuid: Uuid) -> Option<&TableRow> {
        let place = folder(location);
        self.around(location)
            .find(|row| row.id != id && (folder(&row.pointer.location) != place || row.pointer.uuid != uuid))
    }

    /// The tables whose location is, holds or lies in `location`.
    pub(super) fn around(&self, location: &str) -> impl Iterator<Item = &TableRow> {
        ids_around(&self.locations, location).filter_map(|id| self.rows.get(id).map(|row| &**row))
    }

    /// The names of those in the namespaces whose key begins with `prefix`, at most `limit`.
    pub(super) fn names_below(&self, prefix: &str, limit: usize) -> Vec<Ident> {
        let within = self
            .names
            .range::<_, str>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix));
        let ids = within.flat_map(|(_, names)| names.values());
        ids.filter_map(|id| self.rows.get(id).map(|row| row.name.clone()))
            .take(limit)
            .collect()
    }

    pub(super) fn by_id(&self, id: Uuid) -> Option<&TableRow> {
        self.rows.get(&id).map(|row| &**row)
    }

    pub(super) fn contains(&self, id: Uuid) -> bool {
        self.rows.contains_key(&id)
    }
}

/// The ids of an index of locations whose location is, holds or lies in `location`.
pub(super) fn ids_around<'a>(
    locations: &'a OrdMap<String, Vec<Uuid>>,
    location: &str,
) -> impl Iterator<Item = &'a Uuid> + use<'a> {
    let location = folder(location);
    let above: Vec<&Vec<Uuid>> = holders(locations, location.trim_end_matches('/')).collect();
    locations
        .range::<_, str>((Bound::Included(location.as_str()), Bound::Unbounded))
        .take_while(move |(place, _)| place.starts_with(&location))
        .map(|(_, ids)| ids)
        .chain(above)
        .flatten()
}

/// The ids of an index of locations in which a path lies, or which it is if it ends with a slash.
pub(super) fn holders<'a>(locations: &'a OrdMap<String, Vec<Uuid>>, path: &str) -> impl Iterator<Item = &'a Vec<Uuid>> {
    path.match_indices('/')
        .filter_map(move |(slash, _)| locations.get(path.get(..=slash)?))
}

/// Why the name of a table or view cannot be given again.
pub(super) fn exists(kind: Relation, name: Ident) -> Refusal {
    match kind {
        Relation::Table => Refusal::TableExists(name),
        Relation::View => Refusal::ViewExists(name),
    }
}

/// Why a table or view cannot be changed.
pub(super) fn missing(kind: Relation, name: Ident) -> Refusal {
    match kind {
        Relation::Table => Refusal::NoSuchTable(name),
        Relation::View => Refusal::NoSuchView(name),
    }
}

pub(super) fn folder(location: &str) -> String {
    format!("{}/", location.trim_end_matches('/'))
}

impl State {
    /// The table with this name.
    pub fn table(&self, name: &Ident) -> Option<&TableRow> {
        self.tables.row(name).map(|row| &**row)
    }

    /// The table with this id.
    pub fn table_by_id(&self, id: Uuid) -> Option<&TableRow> {
        self.tables.by_id(id)
    }

    /// The tables of a namespace after `after` (from the first one when it is none), in order of name.
    pub fn tables_in<'a>(
        &'a self,
        namespace: &[String],
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a TableRow> + 'a {
        self.tables.rows_in(namespace, after)
    }

    /// All tables by their ids. The map is another one as soon as one of them was made, moved, renamed or dropped.
    pub(crate) fn table_rows(&self) -> &OrdMap<Uuid, Shared<TableRow>> {
        &self.tables.rows
    }

    /// How many tables there are.
    pub fn tables_count(&self) -> usize {
        self.tables.count()
    }

    /// The table with this uuid, other than `id`.
    pub fn table_of_uuid(&self, uuid: Uuid, id: Uuid) -> Option<&TableRow> {
        self.tables.of_uuid(uuid, id)
    }

    /// Refuses a table that is made, or becomes another one, under the uuid of a table with another name: what expires or purges one of them
    /// would delete the files of the other.
    pub(super) fn require_own_uuid(&self, uuid: Uuid, id: Uuid) -> Result<(), Refusal> {
        match self.table_of_uuid(uuid, id) {
            None => Ok(()),
            Some(other) => Err(Refusal::UuidTaken {
                uuid,
                by: other.name.clone(),
            }),
        }
    }

    /// The table whose location is, holds or lies in `location`, other than `id` and not a second name of `uuid` at that very place; or a view there.
    pub fn location_holder(&self, location: &str, id: Uuid, uuid: Uuid) -> Option<&TableRow> {
        let table = self.tables.in_the_way(location, id, uuid);
        table.or_else(|| self.views.in_the_way(location, id, Uuid::nil()))
    }

    /// Whether a path in its normal form lies in the location of a view, of another table than `id`, or of a dropped one that can come back.
    /// A folder ends with a slash.
    pub fn is_anothers(&self, path: &str, id: Option<Uuid>) -> bool {
        let another = |ids: &Vec<Uuid>| ids.iter().any(|holder| Some(*holder) != id);
        let held = |path: &str| {
            holders(&self.tables.locations, path).any(another)
                || holders(&self.views.locations, path).any(another)
                || self.drops.holds(path, another)
        };
        // Both are one store, and a location is kept as it was spelled.
        let spelled_otherwise = path.strip_prefix("s3://").map(|rest| format!("s3a://{rest}"));
        held(path) || spelled_otherwise.is_some_and(|path| held(&path))
    }

    /// The dropped tables whose location is, holds or lies in this one.
    pub fn dropped_at(&self, location: &str) -> impl Iterator<Item = &DroppedTable> {
        self.drops.around(location)
    }

    /// Whether another table than `id` has its files at this very location (a second registered name).
    pub fn location_is_shared(&self, location: &str, id: Uuid) -> bool {
        self.tables
            .locations
            .get(&folder(location))
            .is_some_and(|there| there.iter().any(|other| *other != id))
    }

    pub(super) fn commit(&mut self, changes: Vec<TableChange>) -> Result<Outcome, Refusal> {
        self.change_tables(changes).map(Outcome::Committed)
    }

    pub(super) fn change_tables(&mut self, changes: Vec<TableChange>) -> Result<Vec<TableRef>, Refusal> {
        let names: BTreeSet<&Ident> = changes.iter().map(|change| &change.table).collect();
        if names.len() != changes.len() {
            return Err(Refusal::Repeated);
        }
        changes.into_iter().map(|change| self.change_table(change)).collect()
    }

    fn change_table(&mut self, change: TableChange) -> Result<TableRef, Refusal> {
        self.require_namespace(&change.table.namespace)?;
        if self.views.row(&change.table).is_some() {
            return Err(Refusal::NameTaken {
                name: change.table,
                by: Relation::View,
            });
        }
        let is_alone = matches!(change.expect, Expect::New { .. } | Expect::Replaced { .. });
        let row = self.tables.changed(change, self.now_ms, Relation::Table)?;
        let before = self.tables.rows.get(&row.id).map(|row| row.version);
        if before == Some(row.version) {
            return Ok(row.to_ref());
        }
        if before.is_none() && self.drops.has(row.id) {
            return Err(Refusal::Repeated);
        }
        if before.is_none() && self.tables.count() >= TABLES_MAX {
            return Err(Refusal::Full {
                limit: format!("{TABLES_MAX} tables"),
            });
        }
        let stands = self.table_by_id(row.id);
        if is_alone && stands.is_none_or(|stands| stands.pointer.uuid != row.pointer.uuid) {
            self.require_own_uuid(row.pointer.uuid, row.id)?;
        }
        if let Some(other) = self.location_holder(&row.pointer.location, row.id, row.pointer.uuid) {
            return Err(Refusal::LocationTaken {
                location: row.pointer.location.clone(),
                by: other.name.clone(),
            });
        }
        if let Some(dropped) = self.drops.purged_at(&row.pointer) {
            return Err(Refusal::PurgeBegun(dropped.row.name.clone()));
        }
        let reference = row.to_ref();
        if self
            .table_by_id(row.id)
            .is_some_and(|before| before.pointer.uuid != row.pointer.uuid)
        {
            self.policy.touch(row.id);
        }
        self.record(match before {
            None => ChangeKind::TableCreated(row.clone()),
            Some(_) => ChangeKind::TableUpdated(row.clone()),
        });
        self.tables.put(row);
        Ok(reference)
    }

    /// Refuses a name for a `kind` when it stands for something.
    pub(super) fn require_free(&self, kind: Relation, name: &Ident) -> Result<(), Refusal> {
        let by = match (self.tables.row(name), self.views.row(name)) {
            (Some(_), _) => Relation::Table,
            (_, Some(_)) => Relation::View,
            (None, None) => return Ok(()),
        };
        let name = name.clone();
        Err(if by == kind {
            exists(kind, name)
        } else {
            Refusal::NameTaken { name, by }
        })
    }

    pub(super) fn rename_table(&mut self, from: Ident, to: Ident) -> Result<Outcome, Refusal> {
        let Some(row) = self.tables.row(&from).cloned() else {
            return Err(Refusal::NoSuchTable(from));
        };
        self.require_namespace(&to.namespace)?;
        self.require_free(Relation::Table, &to)?;
        // The version stays: a commit that was planned under the old name finds no table there, and one that names the id goes on.
        let row = TableRow {
            name: to,
            ..(*row).clone()
        };
        self.policy.touch(row.id);
        self.tables.remove(row.id);
        self.record(ChangeKind::TableRenamed {
            from,
            table: row.clone(),
        });
        self.tables.insert(row);
        Ok(Outcome::Done)
    }

    pub(super) fn drop_table(&mut self, name: Ident, id: Option<Uuid>) -> Result<Outcome, Refusal> {
        let Some(row) = self.tables.row(&name).cloned() else {
            return Err(Refusal::NoSuchTable(name));
        };
        if id.is_some_and(|id| id != row.id) {
            return Err(Refusal::NoSuchTable(name));
        }
        self.policy.touch(row.id);
        self.tables.remove(row.id);
        self.record(ChangeKind::TableDropped((*row).clone()));
        Ok(Outcome::Dropped(row.to_ref()))
    }
}
