//! What a commit wants, said without any table state, so that it can be planned again on whatever head it meets.

use std::collections::{BTreeSet, HashMap, HashSet};

use iceberg::spec::{
    DataContentType, DataFile, MAIN_BRANCH, Operation, SchemaRef, SnapshotRef, Struct, TableMetadata,
    deserialize_data_file_from_json, serialize_data_file_to_json,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Result, TableError};
use crate::manifest::{partition_key, with_partition};
use crate::partition_value;
use crate::predicate::Predicate;
use crate::refs::WAP_ID;
use tidewater_core::JobId;

/// Summary key that names the job a snapshot comes from: the same job is committed once.
pub const JOB_ID_KEY: &str = "job-id";

/// A new file. A [`DataFile`] keeps its partition spec id to itself, so it travels beside it. Its data sequence number is that of the
/// commit, also where its rows are older: no delete of before reaches them.
#[derive(Debug, Clone, PartialEq)]
pub struct Added {
    /// The file's description, metrics included.
    pub file: DataFile,
    /// The partition spec it was written with.
    pub spec_id: i32,
}

/// How [`Added`] travels between processes.
#[derive(Debug, Serialize, Deserialize)]
struct AddedJson {
    spec_id: i32,
    file: Box<serde_json::value::RawValue>,
    /// The partition's values, where the file's description cannot tell one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    partition: Vec<serde_json::Value>,
}

impl Added {
    /// A new file.
    pub fn new(file: DataFile, spec_id: i32) -> Self {
        Self { file, spec_id }
    }

    /// JSON for another process that knows the same table.
    pub fn to_json(&self, table: &TableMetadata) -> Result<String> {
        let partition_type = self.partition_type(table, self.spec_id)?;
        let file = serialize_data_file_to_json(self.file.clone(), &partition_type, table.format_version())
            .map_err(TableError::metadata("describe a data file"))?;
        let raw = serde_json::value::RawValue::from_string(file).map_err(TableError::encode("describe a data file"))?;
        let values = self.file.partition().fields();
        let mut partition = Vec::new();
        if values
            .iter()
            .flatten()
            .any(|value| partition_value::name(value).is_some())
        {
            let written = values.iter().zip(partition_type.fields());
            let written = written.map(|(value, field)| partition_value::to_json(value.as_ref(), &field.field_type));
            partition = written.collect::<Result<_>>()?;
        }
        let json = AddedJson {
            spec_id: self.spec_id,
            file: raw,
            partition,
        };
        serde_json::to_string(&json).map_err(TableError::encode("describe a data file"))
    }

    /// The reverse of [`Self::to_json`].
    pub fn from_json(json: &str, table: &TableMetadata) -> Result<Self> {
        let parsed: AddedJson = serde_json::from_str(json)
            .map_err(|error| TableError::damaged(format!("not a data file description: {error}")))?;
        let partition_type = partition_type(table, parsed.spec_id)?;
        let file = deserialize_data_file_from_json(
            parsed.file.get(),
            parsed.spec_id,
            &partition_type,
            table.current_schema(),
        )
        .map_err(TableError::metadata("read a data file description"))?;
        let file = match parsed.partition.is_empty() {
            true => file,
            false => {
                let values = parsed.partition.into_iter().zip(partition_type.fields());
                let values = values.map(|(value, field)| partition_value::from_json(value, &field.field_type));
                let values = values.collect::<std::result::Result<Struct, String>>();
                let values =
                    values.map_err(|reason| TableError::damaged(format!("not a partition's value: {reason}")))?;
                with_partition(&file, parsed.spec_id, values)?
            }
        };
        Ok(Self {
            file,
            spec_id: parsed.spec_id,
        })
    }

    fn partition_type(&self, table: &TableMetadata, spec_id: i32) -> Result<iceberg::spec::StructType> {
        partition_type(table, spec_id)
    }
}

fn partition_type(table: &TableMetadata, spec_id: i32) -> Result<iceberg::spec::StructType> {
    let spec = table
        .partition_spec_by_id(spec_id)
        .ok_or_else(|| TableError::damaged(format!("no partition spec {spec_id}")))?;
    spec.partition_type(table.current_schema())
        .map_err(TableError::metadata(format!("bind partition spec {spec_id}")))
}

/// What a change rests on. A commit whose conditions no longer hold is refused with [`TableError::Conflict`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    /// The snapshot that the change was computed from; `None` for a blind append, which conflicts with nothing.
    pub read_at: Option<i64>,
    /// Refuse if others added rows since `read_at` (serialisable), or only if they touched the same files.
    pub forbid_new_rows: bool,
    /// With [`Self::forbid_new_rows`]: only rows that may fulfil this count. `None`: all.
    pub rows_of: Option<Predicate>,
    /// With [`Self::forbid_new_rows`]: only rows in these partitions count, by spec and key. `None`: in all.
    pub rows_in: Option<HashSet<(i32, Struct)>>,
    /// Refuse if the name now means another table.
    pub table_uuid: Option<Uuid>,
    /// Refuse if the files, which were written with this schema, no longer fit the table's columns.
    pub schema: Option<SchemaRef>,
    /// Refuse unless the head is exactly `read_at` (`None`: an empty table).
    pub exact_head: bool,
    /// Refuse if the branch it goes to is gone, instead of making it anew.
    pub branch_there: bool,
    /// Refuse unless this is the id of the table's current schema.
    pub exact_schema: Option<i32>,
    /// Refuse if this snapshot is gone, whose files the change takes: they may be gone with it.
    pub files_of: Option<i64>,
}

/// One change of one table.
#[derive(Debug, Clone)]
pub struct Change {
    /// What the snapshot says it is.
    pub operation: Operation,
    /// Files that join the table: data files, and delete files.
    pub added: Vec<Added>,
    /// Paths of data files that leave the table.
    pub removed: BTreeSet<String>,
    /// Paths of data files that stay and lose rows to the delete files in `added`. What deleted rows of one of them alone
    /// before leaves the table: the new delete files say that too.
    pub touched: BTreeSet<String>,
    /// What must still hold.
    pub conditions: Conditions,
    /// Further entries of the snapshot summary.
    pub properties: HashMap<String, String>,
    /// Where the snapshot goes.
    pub target: Target,
}

/// Where a snapshot goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Target {
    /// It becomes the table's current one.
    #[default]
    Main,
    /// It becomes the head of this branch, which begins at main if it is not there.
    Branch(String),
    /// Nothing names it: it waits under this id to be looked at and published by [`crate::cherry_pick`].
    Staged(String),
}

impl Target {
    /// The branch that must stand still for the commit.
    pub(crate) fn branch(&self) -> &str {
        match self {
            Self::Branch(name) => name,
            Self::Main | Self::Staged(_) => MAIN_BRANCH,
        }
    }

    /// Where the branch stands; `None` if it is not there.
    pub(crate) fn head(&self, table: &TableMetadata) -> Option<i64> {
        match self {
            Self::Branch(name) => table.snapshot_for_ref(name).map(|snapshot| snapshot.snapshot_id()),
            Self::Main | Self::Staged(_) => table.current_snapshot_id(),
        }
    }

    /// What the snapshot follows.
    pub(crate) fn parent<'a>(&self, table: &'a TableMetadata) -> Option<&'a SnapshotRef> {
        match self {
            Self::Branch(name) => table.snapshot_for_ref(name).or_else(|| table.current_snapshot()),
            Self::Main | Self::Staged(_) => table.current_snapshot(),
        }
    }
}

impl Change {
    /// New rows, resting on nothing.
    pub fn append(added: Vec<Added>) -> Self {
        Self {
            operation: Operation::Append,
            added,
            removed: BTreeSet::new(),
            touched: BTreeSet::new(),
            conditions: Conditions::default(),
            properties: HashMap::new(),
            target: Target::Main,
        }
    }

    /// Copy-on-write: `removed` files leave, `added` files take their place. Set [`Conditions::read_at`] through [`Self::read_at`].
    pub fn overwrite(removed: impl IntoIterator<Item = String>, added: Vec<Added>) -> Self {
        let removed: BTreeSet<String> = removed.into_iter().collect();
        let operation = if added.is_empty() && !removed.is_empty() {
            Operation::Delete
        } else {
            Operation::Overwrite
        };
        Self {
            operation,
            removed,
            ..Self::append(added)
        }
    }

    /// Merge-on-read: rows of the `touched` files, as they were at a snapshot, are deleted by the delete files among `added`, which
    /// also say what was deleted of them before. Refused if others deleted rows of the same files, or replaced them, since then.
    pub fn row_delta(read_at: i64, touched: impl IntoIterator<Item = String>, added: Vec<Added>) -> Self {
        let only_deletes = added.iter().all(|new| new.file.content_type() != DataContentType::Data);
        let operation = match only_deletes {
            true => Operation::Delete,
            false => Operation::Overwrite,
        };
        Self {
            operation,
            touched: touched.into_iter().collect(),
            ..Self::append(added)
        }
        .read_at(Some(read_at))
    }

    /// Every data file that it rests on.
    pub(crate) fn needs(&self, path: &str) -> bool {
        self.removed.contains(path) || self.touched.contains(path)
    }

    /// Whether it rests on no data file.
    pub(crate) fn needs_nothing(&self) -> bool {
        self.removed.is_empty() && self.touched.is_empty()
    }

    /// Whole files leave.
    pub fn delete(removed: impl IntoIterator<Item = String>) -> Self {
        Self::overwrite(removed, Vec::new())
    }

    /// The same rows in other files: compaction. Readers of changes skip it.
    pub fn replace(removed: impl IntoIterator<Item = String>, added: Vec<Added>) -> Self {
        Self {
            operation: Operation::Replace,
            ..Self::overwrite(removed, added)
        }
    }

    /// The change was computed from this snapshot (`None`: from an empty table).
    #[must_use]
    pub fn read_at(mut self, snapshot_id: Option<i64>) -> Self {
        self.conditions.read_at = snapshot_id;
        self
    }

    /// Refuse if others added rows since [`Self::read_at`].
    #[must_use]
    pub fn forbid_new_rows(mut self) -> Self {
        self.conditions.forbid_new_rows = true;
        self
    }

    /// Refuse if others added rows since [`Self::read_at`] that may fulfil a condition, as far as their files tell.
    #[must_use]
    pub fn forbid_new_rows_of(mut self, condition: Predicate) -> Self {
        self.conditions.forbid_new_rows = true;
        self.conditions.rows_of = Some(condition);
        self
    }

    /// Refuse if others added rows to these partitions since [`Self::read_at`].
    #[must_use]
    pub fn forbid_new_rows_in(mut self, partitions: HashSet<(i32, Struct)>) -> Self {
        let keys = partitions
            .iter()
            .map(|(spec_id, values)| (*spec_id, partition_key(values)));
        self.conditions.forbid_new_rows = true;
        self.conditions.rows_in = Some(keys.collect());
        self
    }

    /// Refuse if the table's current schema is not the one of this id.
    #[must_use]
    pub fn exact_schema(mut self, schema_id: i32) -> Self {
        self.conditions.exact_schema = Some(schema_id);
        self
    }

    /// The files are those of this snapshot: refuse if it is gone.
    #[must_use]
    pub fn files_of(mut self, snapshot_id: i64) -> Self {
        self.conditions.files_of = Some(snapshot_id);
        self
    }

    /// Refuse if anything at all was committed since [`Self::read_at`].
    #[must_use]
    pub fn exact_head(mut self) -> Self {
        self.conditions.exact_head = true;
        self
    }

    /// Refuse if the name now means another table.
    #[must_use]
    pub fn of_table(mut self, uuid: Uuid) -> Self {
        self.conditions.table_uuid = Some(uuid);
        self
    }

    /// The files were written with this schema: refuse if they no longer fit the table's columns. Columns that were added, renamed or
    /// moved meanwhile do no harm.
    #[must_use]
    pub fn of_schema(mut self, schema: &SchemaRef) -> Self {
        self.conditions.schema = Some(schema.clone());
        self
    }

    /// This job's outcome: committing it a second time changes nothing.
    #[must_use]
    pub fn of_job(self, job: JobId) -> Self {
        self.property(JOB_ID_KEY, job.to_string())
    }

    /// Commit to this branch, made from main if it is not there. Conflicts are looked for there.
    #[must_use]
    pub fn on_branch(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.target = match name.as_str() {
            MAIN_BRANCH => Target::Main,
            _ => Target::Branch(name),
        };
        self
    }

    /// Commit to this branch, which must be there: one that was dropped meanwhile does not come back with these rows.
    #[must_use]
    pub fn on_branch_that_is_there(self, name: impl Into<String>) -> Self {
        let mut change = self.on_branch(name);
        change.conditions.branch_there = true;
        change
    }

    /// Commit a snapshot that nothing names, to be published later. The table must have `write.wap.enabled`.
    #[must_use]
    pub fn staged(mut self, wap_id: impl Into<String>) -> Self {
        let wap_id = wap_id.into();
        self.target = Target::Staged(wap_id.clone());
        self.property(WAP_ID, wap_id)
    }

    /// A further entry of the snapshot summary.
    #[must_use]
    pub fn property(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(key.into(), value.into());
        self
    }
}
