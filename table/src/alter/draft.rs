//! The form that a table is to have.

mod commit;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use iceberg::spec::{FormatVersion, Schema, SortField, TableMetadata, TableProperties, Transform};

use super::columns::{self, Fields};
use super::partitions::Spec;
use super::{Alteration, ColumnPath, SortBy, no_column, refused};
use crate::create::{FORMAT_VERSION, parse_version};
use crate::error::{Result, TableError};
use crate::file_store::FileStore;
use crate::scan::Scan;
use crate::schema::FreshIds;

pub(super) struct Draft {
    table: TableMetadata,
    schema: Schema,
    ids: FreshIds,
    spec: Spec,
    order: Vec<SortField>,
    set: BTreeMap<String, String>,
    unset: BTreeSet<String>,
    version: FormatVersion,
    /// Columns that must not be null any more, by id and name: to be proven.
    to_prove: Vec<(i32, String)>,
}

impl Draft {
    pub(super) fn of(table: &TableMetadata) -> Self {
        let schema = table.current_schema().as_ref().clone();
        Self {
            ids: FreshIds::after(table.last_column_id().max(schema.highest_field_id())),
            schema,
            spec: Spec::of(table),
            order: table.default_sort_order().fields.clone(),
            set: BTreeMap::new(),
            unset: BTreeSet::new(),
            version: table.format_version(),
            to_prove: Vec::new(),
            table: table.clone(),
        }
    }

    pub(super) fn apply(&mut self, alteration: &Alteration) -> Result<()> {
        match alteration {
            Alteration::AddColumn(new) => {
                let fields = self.fields();
                let fields = columns::add(&fields, new, &mut self.ids, self.version)?;
                self.require_no_partition(&new.path.to_string())?;
                self.columns(fields)
            }
            Alteration::DropColumn(path) => self.drop_column(path),
            Alteration::RenameColumn(path, to) => {
                let mut names = path.names().to_vec();
                if let Some(last) = names.last_mut() {
                    last.clone_from(to);
                }
                let fields = columns::rename(&self.fields(), path, to)?;
                self.require_no_partition(&ColumnPath(names).to_string())?;
                self.columns(fields)
            }
            Alteration::WidenColumn(path, to) => self.columns(columns::widen(&self.fields(), path, to)?),
            Alteration::SetRequired(path, required) => self.set_required(path, *required),
            Alteration::SetComment(path, doc) => self.columns(columns::change(&self.fields(), path, &mut |field| {
                field.doc.clone_from(doc);
                Ok(())
            })?),
            Alteration::SetDefault(path, default) => {
                let fields = columns::set_default(&self.fields(), path, default.as_ref(), self.version)?;
                self.columns(fields)
            }
            Alteration::MoveColumn(path, position) => self.columns(columns::reorder(&self.fields(), path, position)?),
            Alteration::SetIdentifierFields(paths) => {
                let ids = paths.iter().map(|path| self.id(path)).collect::<Result<Vec<_>>>()?;
                self.rebuild(self.fields(), ids)
            }
            Alteration::AddPartitionField(new) => self.spec.add(new, &self.schema),
            Alteration::DropPartitionField(gone) => self.spec.drop(gone, &self.schema),
            Alteration::ReplacePartitionField(gone, new) => {
                self.spec.drop(gone, &self.schema)?;
                self.spec.add(new, &self.schema)
            }
            Alteration::SetSortOrder(fields) => self.set_order(fields),
            Alteration::SetProperties(properties) => {
                for (key, value) in properties {
                    self.set_property(key, value)?;
                }
                Ok(())
            }
            Alteration::UnsetProperties(keys) => {
                for key in keys {
                    require_free(key)?;
                    self.set.remove(key);
                    self.unset.insert(key.clone());
                }
                Ok(())
            }
            Alteration::UpgradeFormat(version) => self.upgrade(*version),
            Alteration::SetLocation(location) => Err(refused(
                format!("moving the table to {location}"),
                "its files stay where they are, and only those below its location are looked after",
                "create a table there from a query of this one",
            )),
        }
    }

    /// What only the files can tell.
    pub(super) async fn check(&self, store: &FileStore) -> Result<()> {
        if self.to_prove.is_empty() || self.table.snapshots().len() == 0 {
            return Ok(());
        }
        let files = Scan::new(store, &self.table).with_deletes().plan().await?;
        for (id, name) in &self.to_prove {
            let has_value = |counts: &HashMap<i32, u64>, wanted| counts.get(id) == Some(&wanted);
            let unproven = files.iter().find(|file| {
                let known = file.data_file();
                !has_value(known.null_value_counts(), 0) || !has_value(known.value_counts(), file.record_count)
            });
            if let Some(file) = unproven {
                return Err(refused(
                    format!("forbidding nulls in column {name}"),
                    format!("{} may hold one, as far as its statistics tell", file.path),
                    "delete or fill rows that have none first, and let their files be rewritten",
                ));
            }
        }
        Ok(())
    }

    fn drop_column(&mut self, path: &ColumnPath) -> Result<()> {
        let what = || format!("dropping column {path}");
        let fields = columns::drop(&self.fields(), path)?;
        let gone = self.id(path)?;
        let after = self.schema_of(fields, Vec::new())?;
        let is_lost = |id: i32| self.schema.field_by_id(id).is_some() && after.field_by_id(id).is_none();
        for id in self
            .schema
            .field_id_to_fields()
            .keys()
            .copied()
            .filter(|id| is_lost(*id))
        {
            if let Some(name) = self.spec.made_from(id) {
                return Err(refused(
                    what(),
                    format!("the table is partitioned by it ({name})"),
                    format!("drop partition field {name} first; in format version 1 it must stay"),
                ));
            }
            if self.order.iter().any(|field| field.source_id == id) {
                return Err(refused(
                    what(),
                    "the table is sorted by it",
                    "give the table another sort order first",
                ));
            }
            if self.schema.identifier_field_ids().any(|identifier| identifier == id) {
                return Err(refused(
                    what(),
                    "it is one of the table's identifier fields",
                    "set other identifier fields first",
                ));
            }
        }
        self.to_prove.retain(|(id, _)| *id != gone);
        let identifiers = self.schema.identifier_field_ids().collect();
        self.schema = self.schema_of(after.as_struct().fields().to_vec(), identifiers)?;
        Ok(())
    }

    fn set_required(&mut self, path: &ColumnPath, required: bool) -> Result<()> {
        let id = self.id(path)?;
        let field = self.schema.field_by_id(id).ok_or_else(|| no_column(path))?;
        if required && !field.required {
            // Counts of nulls tell nothing about elements of lists, nor about what is in a struct that may be null itself.
            let is_plain = path.names().len() == 1 && field.field_type.is_primitive();
            if !is_plain && self.table.snapshots().len() > 0 {
                return Err(refused(
                    format!("forbidding nulls in {path}"),
                    "only of columns that are neither structs nor within others it can be told that they have none",
                    "make a new table from a query of this one",
                ));
            }
            let other_refs = crate::refs::named_snapshots(&self.table)?;
            if other_refs
                .iter()
                .any(|id| Some(*id) != self.table.current_snapshot_id())
            {
                return Err(refused(
                    format!("forbidding nulls in column {path}"),
                    "branches and tags may have rows with one",
                    "drop the branches and tags first",
                ));
            }
            self.to_prove.push((id, path.to_string()));
        }
        if !required {
            if self.schema.identifier_field_ids().any(|identifier| identifier == id) {
                return Err(refused(
                    format!("allowing nulls in column {path}"),
                    "it is one of the table's identifier fields",
                    "set other identifier fields first",
                ));
            }
            self.to_prove.retain(|(other, _)| *other != id);
        }
        let fields = columns::change(&self.fields(), path, &mut |field| {
            field.required = required;
            Ok(())
        })?;
        self.columns(fields)
    }

    fn set_order(&mut self, fields: &[SortBy]) -> Result<()> {
        let mut order = Vec::with_capacity(fields.len());
        for by in fields {
            let source_id = self.id(&by.path)?;
            let source = self.schema.field_by_id(source_id).ok_or_else(|| no_column(&by.path))?;
            let can_sort = match by.transform {
                Transform::Void | Transform::Unknown => false,
                transform => transform.result_type(&source.field_type).is_ok(),
            };
            if !can_sort {
                return Err(refused(
                    format!("sorting by {}({})", by.transform, by.path),
                    format!("values of type {} have no such order", source.field_type),
                    "choose another transform or column",
                ));
            }
            order.push(SortField {
                source_id,
                transform: by.transform,
                direction: by.direction,
                null_order: by.nulls,
            });
        }
        self.order = order;
        Ok(())
    }

    fn set_property(&mut self, key: &str, value: &str) -> Result<()> {
        if key == FORMAT_VERSION {
            return self.upgrade(parse_version(value)?);
        }
        require_free(key)?;
        self.unset.remove(key);
        self.set.insert(key.into(), value.into());
        Ok(())
    }

    fn upgrade(&mut self, version: FormatVersion) -> Result<()> {
        if version < self.version {
            return Err(refused(
                format!("changing format version {} to {}", self.version as u8, version as u8),
                "there is no way back from a later version",
                "create a table of that version from a query of this one",
            ));
        }
        self.version = version;
        Ok(())
    }

    fn fields(&self) -> Fields {
        self.schema.as_struct().fields().to_vec()
    }

    fn columns(&mut self, fields: Fields) -> Result<()> {
        let identifiers = self.schema.identifier_field_ids().collect();
        self.rebuild(fields, identifiers)
    }

    fn rebuild(&mut self, fields: Fields, identifiers: Vec<i32>) -> Result<()> {
        self.schema = self.schema_of(fields, identifiers)?;
        Ok(())
    }

    fn schema_of(&self, fields: Fields, identifiers: Vec<i32>) -> Result<Schema> {
        let built = Schema::builder()
            .with_schema_id(self.schema.schema_id())
            .with_fields(fields)
            .with_identifier_field_ids(identifiers)
            .build();
        built.map_err(|error| TableError::SchemaChange {
            changes: vec![error.message().to_owned()],
        })
    }

    fn id(&self, path: &ColumnPath) -> Result<i32> {
        let id = self.schema.field_id_by_name(&path.to_string());
        id.ok_or_else(|| no_column(path))
    }

    /// A column must not be called as a partition field of any spec is, unless an older schema had it.
    fn require_no_partition(&self, name: &str) -> Result<()> {
        let mut specs = self.table.partition_specs_iter();
        let is_field = specs.any(|spec| spec.fields().iter().any(|field| field.name == name));
        let was_column = self
            .table
            .schemas_iter()
            .any(|schema| schema.field_by_name(name).is_some());
        match is_field && !was_column {
            true => Err(TableError::NameTaken {
                what: "partition field",
                name: name.into(),
            }),
            false => Ok(()),
        }
    }
}

fn require_free(key: &str) -> Result<()> {
    match TableProperties::RESERVED_PROPERTIES.contains(&key) {
        true => Err(refused(
            format!("setting property {key}"),
            "it is reserved: engines show the table's state under it",
            "choose another name",
        )),
        false => Ok(()),
    }
}
