//! What later files are partitioned by. Files that are there keep the partitions they were written with.

use std::collections::BTreeSet;

use iceberg::spec::{
    FormatVersion, PrimitiveType, Schema, TableMetadata, Transform, Type, UnboundPartitionField, UnboundPartitionSpec,
};

use super::{PartitionBy, PartitionField, no_column, refused};
use crate::error::{Result, TableError};

/// The fields of the spec to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spec {
    fields: Vec<UnboundPartitionField>,
    version: FormatVersion,
    last_id: i32,
}

impl Spec {
    pub(super) fn of(table: &TableMetadata) -> Self {
        let spec = table.default_partition_spec().as_ref().clone().into_unbound();
        Self {
            fields: spec.fields().to_vec(),
            version: table.format_version(),
            last_id: table.last_partition_id(),
        }
    }

    pub(super) fn add(&mut self, new: &PartitionBy, schema: &Schema) -> Result<()> {
        let what = format!("partitioning by {}({})", new.transform, new.path);
        let dotted = new.path.to_string();
        let source = schema.field_by_name(&dotted).ok_or_else(|| no_column(&new.path))?;
        if let Err(error) = new.transform.result_type(&source.field_type) {
            return Err(refused(what, error.message(), "choose another transform or column"));
        }
        let is_same = |field: &&UnboundPartitionField| field.source_id == source.id && field.transform == new.transform;
        if let Some(there) = self.fields.iter().find(is_same) {
            return Err(TableError::NameTaken {
                what: "partition field",
                name: there.name.clone(),
            });
        }
        let name = new.name.clone().unwrap_or_else(|| usual_name(&dotted, new.transform));
        let is_column = schema.field_by_name(&name);
        if is_column.is_some_and(|column| new.transform != Transform::Identity || column.id != source.id) {
            return Err(TableError::NameTaken { what: "column", name });
        }
        if let Some(taken) = self.fields.iter_mut().find(|field| field.name == name) {
            if taken.transform != Transform::Void {
                return Err(TableError::NameTaken {
                    what: "partition field",
                    name,
                });
            }
            // Version 1 cannot forget a field; it makes way.
            taken.name = set_aside(taken);
        }
        let field_id = match self.version {
            // There a void field keeps the id of what it was.
            FormatVersion::V1 => {
                self.last_id = self.last_id.saturating_add(1);
                Some(self.last_id)
            }
            // The catalog gives it the id that the same field had before, or a new one.
            _ => None,
        };
        self.fields.push(UnboundPartitionField {
            source_id: source.id,
            field_id,
            name,
            transform: new.transform,
        });
        check_partition_fields(schema, &self.fields)
    }

    pub(super) fn drop(&mut self, gone: &PartitionField, schema: &Schema) -> Result<()> {
        let at = self.fields.iter().position(|field| match gone {
            PartitionField::Named(name) => field.name == *name && field.transform != Transform::Void,
            PartitionField::Of(path, transform) => {
                schema.field_id_by_name(&path.to_string()) == Some(field.source_id) && field.transform == *transform
            }
        });
        let Some(at) = at else {
            let name = match gone {
                PartitionField::Named(name) => name.clone(),
                PartitionField::Of(path, transform) => format!("{transform}({path})"),
            };
            return Err(refused(
                format!("dropping partition field {name}"),
                "the table is not partitioned by it",
                "look at the table's partition fields",
            ));
        };
        match self.version {
            // There fields are known by their place, which must stay taken.
            FormatVersion::V1 => {
                let name = self.name_of_void(at, schema);
                if let Some(field) = self.fields.get_mut(at) {
                    field.transform = Transform::Void;
                    field.name = name.unwrap_or_else(|| field.name.clone());
                }
            }
            _ => {
                self.fields.remove(at);
            }
        }
        Ok(())
    }

    /// Another name for a field that becomes void, if a column has its name: only what is partitioned by a column as it is may be called
    /// as the column.
    fn name_of_void(&self, at: usize, schema: &Schema) -> Option<String> {
        let field = self.fields.get(at)?;
        schema.field_by_name(&field.name)?;
        let mut name = set_aside(field);
        while schema.field_by_name(&name).is_some() || self.fields.iter().any(|other| other.name == name) {
            name.push('_');
        }
        Some(name)
    }

    /// The name of the field that is made from this column.
    pub(super) fn made_from(&self, source_id: i32) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|field| field.source_id == source_id)
            .map(|field| field.name.as_str())
    }

    pub(super) fn unbound(&self) -> Result<UnboundPartitionSpec> {
        let builder = UnboundPartitionSpec::builder()
            .add_partition_fields(self.fields.iter().cloned())
            .map_err(|error| refused("partitioning that way", error.message(), "choose other fields"))?;
        Ok(builder.build())
    }

    pub(super) fn is_default_of(&self, table: &TableMetadata) -> bool {
        let there = table.default_partition_spec().fields();
        let pairs = self.fields.iter().zip(there);
        self.fields.len() == there.len()
            && pairs.into_iter().all(|(ours, theirs)| {
                (ours.source_id, ours.transform, &ours.name) == (theirs.source_id, theirs.transform, &theirs.name)
            })
    }
}

/// Refuses fields of whose values no manifest could be written: the format's library makes texts of UUIDs there, which these are not, and
/// gives all fixed bytes of one length the same name, which must be used once (iceberg 0.10).
///
/// # Errors
/// [`TableError::Alteration`] that names the field.
pub fn check_partition_fields(schema: &Schema, fields: &[UnboundPartitionField]) -> Result<()> {
    let mut lengths = BTreeSet::new();
    for field in fields {
        let Some(source) = schema.field_by_id(field.source_id) else {
            continue;
        };
        let (reason, advice) = match field.transform.result_type(&source.field_type) {
            Ok(Type::Primitive(PrimitiveType::Uuid)) if field.transform != Transform::Void => (
                "no manifest can be written of partitions that are UUIDs",
                "partition by buckets of the column: bucket(16, …)",
            ),
            Ok(Type::Primitive(PrimitiveType::Fixed(length))) if !lengths.insert(length) => (
                "no manifest can be written of two partition fields that are fixed bytes of one length",
                "partition by buckets of one of the columns: bucket(16, …)",
            ),
            _ => continue,
        };
        let what = format!("partitioning by {}({})", field.transform, source.name);
        return Err(refused(what, reason, advice));
    }
    Ok(())
}

/// What a field is called that is in the way of another name, as other engines have it.
fn set_aside(field: &UnboundPartitionField) -> String {
    format!("{}_{}", field.name, field.field_id.unwrap_or_default())
}

/// A partition field's name where nobody chose one, as other engines have it.
pub fn usual_name(column: &str, transform: Transform) -> String {
    match transform {
        Transform::Identity => column.to_owned(),
        Transform::Bucket(buckets) => format!("{column}_bucket_{buckets}"),
        Transform::Truncate(width) => format!("{column}_trunc_{width}"),
        Transform::Void => format!("{column}_null"),
        other => format!("{column}_{other}"),
    }
}
