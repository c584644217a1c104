//! `ALTER TABLE`: columns, partitions, order and properties in one commit; branches and tags in another.

use std::collections::{BTreeMap, HashMap};

use tidewater_core::TableName;
use tidewater_table::alter::{
    Alteration, ColumnPath, NewColumn, PartitionBy, PartitionField as Existing, Position as Place, SortBy, alter_table,
};
use tidewater_table::iceberg::spec::{Literal, Schema, SnapshotRetention, Type};
use tidewater_table::{LoadedTable, OnExisting, RefChange, TableError, change_refs, check_write_properties};

use super::{Done, Workshop, missing, writable};
use crate::error::{EngineError, Result};
use crate::provider::check_staleness;
use crate::sql::{self, AlterTable, Name, PartitionField, PartitionRef, Position, RefKind};

impl Workshop<'_> {
    /// Alters a table, all of it or nothing.
    pub(super) async fn alter(&self, name: &Name, if_exists: bool, changes: &[AlterTable]) -> Result<Done> {
        let name = self.table_name(name)?;
        let loaded = self
            .engine
            .catalog()
            .load_table(&name)
            .await
            .map_err(TableError::from)?;
        let Some(table) = loaded else {
            return if if_exists {
                Ok(Done::default())
            } else {
                Err(missing(&name))
            };
        };
        // Its properties are what lets SQL write it.
        if !changes.iter().all(|change| matches!(change, AlterTable::Properties(_))) {
            writable(&table)?;
        }
        let mut alterations = Vec::new();
        let mut refs = Vec::new();
        for change in changes {
            match ref_change(change) {
                Some(change) => refs.push(change),
                None => alterations.extend(alteration(&table, change)?),
            }
        }
        if !refs.is_empty() && !alterations.is_empty() {
            return Err(EngineError::statement(
                "branches and tags are altered by a statement of their own",
            ));
        }
        self.altered(&name, &alterations).await?;
        if !refs.is_empty() {
            change_refs(self.engine.catalog().as_ref(), self.engine.store(), &name, &refs).await?;
        }
        Ok(Done::default())
    }

    /// Sets or removes a column's comment.
    pub(super) async fn comment_column(&self, table: &Name, column: &[String], text: Option<String>) -> Result<Done> {
        let name = self.table_name(table)?;
        let alteration = Alteration::SetComment(ColumnPath::new(column), text);
        self.altered(&name, &[alteration]).await?;
        Ok(Done::default())
    }

    /// Sets and removes properties of a table.
    pub(super) async fn table_properties(
        &self,
        name: &Name,
        properties: &BTreeMap<String, Option<String>>,
    ) -> Result<Done> {
        let name = self.table_name(name)?;
        self.altered(&name, &property_changes(&HashMap::new(), properties)?)
            .await?;
        Ok(Done::default())
    }

    async fn altered(&self, name: &TableName, alterations: &[Alteration]) -> Result<()> {
        if !alterations.is_empty() {
            alter_table(self.engine.catalog().as_ref(), self.engine.store(), name, alterations).await?;
        }
        Ok(())
    }
}

/// Changes of a table that has the properties of `before`.
fn property_changes(
    before: &HashMap<String, String>,
    properties: &BTreeMap<String, Option<String>>,
) -> Result<Vec<Alteration>> {
    let set = properties
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
    let set: HashMap<String, String> = set.collect();
    check_staleness(&set)?;
    check_write_properties(before, &set)?;
    let unset = properties
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(key, _)| key.clone());
    let unset: Vec<String> = unset.collect();
    let mut changes = Vec::with_capacity(2);
    if !set.is_empty() {
        changes.push(Alteration::SetProperties(set));
    }
    if !unset.is_empty() {
        changes.push(Alteration::UnsetProperties(unset));
    }
    Ok(changes)
}

fn alteration(table: &LoadedTable, change: &AlterTable) -> Result<Vec<Alteration>> {
    let schema = table.metadata.current_schema();
    let there = |path: &[String]| schema.field_by_name(&path.join(".")).is_some();
    Ok(vec![match change {
        AlterTable::AddColumn {
            parent,
            column,
            position,
            if_not_exists,
        } => {
            let mut path = parent.clone();
            path.push(column.name.clone());
            if *if_not_exists && there(&path) {
                return Ok(Vec::new());
            }
            Alteration::AddColumn(NewColumn {
                required: !column.nullable,
                doc: column.comment.clone(),
                default: column.default.clone(),
                position: position.clone().map(place),
                ..NewColumn::new(ColumnPath::new(path), column.of.clone())
            })
        }
        AlterTable::DropColumn { column, if_exists } => {
            if *if_exists && !there(column) {
                return Ok(Vec::new());
            }
            Alteration::DropColumn(ColumnPath::new(column))
        }
        AlterTable::RenameColumn { column, to } => Alteration::RenameColumn(ColumnPath::new(column), to.clone()),
        AlterTable::Widen { column, to } => match to {
            Type::Primitive(to) => Alteration::WidenColumn(ColumnPath::new(column), to.clone()),
            Type::Struct(_) | Type::List(_) | Type::Map(_) => {
                return Err(EngineError::statement(format!(
                    "the type of {} cannot become {to}: alter the columns within it",
                    column.join(".")
                )));
            }
        },
        AlterTable::Nullable { column, nullable } => Alteration::SetRequired(ColumnPath::new(column), !nullable),
        AlterTable::SetDefault { column, value } => {
            let value = match value {
                Some(text) => Some(default_of(schema, column, text)?),
                None => None,
            };
            Alteration::SetDefault(ColumnPath::new(column), value)
        }
        AlterTable::CommentColumn { column, text } => Alteration::SetComment(ColumnPath::new(column), text.clone()),
        AlterTable::Move { column, position } => {
            Alteration::MoveColumn(ColumnPath::new(column), place(position.clone()))
        }
        AlterTable::SetKey { columns } => Alteration::SetIdentifierFields(paths(columns)),
        AlterTable::DropKey { columns } => {
            let left = schema
                .identifier_field_ids()
                .filter_map(|id| schema.name_by_field_id(id));
            let left: Vec<String> = left.map(str::to_owned).filter(|name| !columns.contains(name)).collect();
            Alteration::SetIdentifierFields(paths(&left))
        }
        AlterTable::AddPartition(field) => Alteration::AddPartitionField(partition_by(field)),
        AlterTable::DropPartition(field) => Alteration::DropPartitionField(existing(table, field)),
        AlterTable::ReplacePartition(old, new) => {
            Alteration::ReplacePartitionField(existing(table, old), partition_by(new))
        }
        AlterTable::Order(fields) => Alteration::SetSortOrder(fields.iter().map(sort_by).collect()),
        AlterTable::Properties(properties) => return property_changes(table.metadata.properties(), properties),
        AlterTable::CreateRef { .. } | AlterTable::DropRef { .. } => return Ok(Vec::new()),
    }])
}

/// A literal as a value of the column's type.
fn default_of(schema: &Schema, column: &[String], text: &str) -> Result<Literal> {
    let name = column.join(".");
    let Some(field) = schema.field_by_name(&name) else {
        return Err(EngineError::statement(format!("there is no column {name}")));
    };
    let of = field.field_type.as_primitive_type();
    of.and_then(|of| sql::default_literal(text, of)).ok_or_else(|| {
        EngineError::statement(format!(
            "{text:?} is no default for {name}, which is of type {}",
            field.field_type
        ))
    })
}

fn place(position: Position) -> Place {
    match position {
        Position::First => Place::First,
        Position::After(name) => Place::After(name),
    }
}

fn paths(columns: &[String]) -> Vec<ColumnPath> {
    columns.iter().map(|column| ColumnPath::new([column])).collect()
}

fn path(column: &str) -> ColumnPath {
    ColumnPath::new(column.split('.'))
}

fn partition_by(field: &PartitionField) -> PartitionBy {
    PartitionBy {
        path: path(&field.column),
        transform: field.transform,
        name: field.name.clone(),
    }
}

/// By its name, or else as the column that is partitioned by as it is.
fn existing(table: &LoadedTable, field: &PartitionRef) -> Existing {
    match field {
        PartitionRef::Made(field) => Existing::Of(path(&field.column), field.transform),
        PartitionRef::Name(name) => {
            let fields = table.metadata.default_partition_spec().fields();
            match fields.iter().any(|field| field.name == *name) {
                true => Existing::Named(name.clone()),
                false => Existing::Of(path(name), tidewater_table::iceberg::spec::Transform::Identity),
            }
        }
    }
}

fn sort_by(field: &sql::SortField) -> SortBy {
    SortBy {
        path: path(&field.column),
        transform: field.transform,
        direction: field.direction,
        nulls: field.nulls,
    }
}

fn ref_change(change: &AlterTable) -> Option<RefChange> {
    match change {
        AlterTable::CreateRef {
            kind,
            name,
            existing,
            snapshot,
            max_age_ms,
            snapshots_min,
            snapshot_age_ms,
        } => Some(RefChange::Create {
            name: name.clone(),
            snapshot_id: *snapshot,
            retention: match kind {
                RefKind::Branch => SnapshotRetention::branch(*snapshots_min, *snapshot_age_ms, *max_age_ms),
                RefKind::Tag => SnapshotRetention::Tag {
                    max_ref_age_ms: *max_age_ms,
                },
            },
            on_existing: match existing {
                sql::Existing::Refuse => OnExisting::Fail,
                sql::Existing::Keep => OnExisting::Skip,
                sql::Existing::Replace => OnExisting::Replace,
            },
        }),
        AlterTable::DropRef { kind, name, if_exists } => Some(RefChange::Drop {
            name: name.clone(),
            is_branch: *kind == RefKind::Branch,
            if_exists: *if_exists,
        }),
        _ => None,
    }
}
