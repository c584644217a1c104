//! The first metadata of a table: from a request to make one, or from the updates of a staged one.

use std::collections::HashMap;

use iceberg::spec::{
    FormatVersion, Schema, SortOrder, TableMetadata, TableMetadataBuilder, UnboundPartitionField, UnboundPartitionSpec,
};
use iceberg::{TableRequirement, TableUpdate};
use serde_json::{Value, json};
use uuid::Uuid;

use super::TableWork;
use super::build::check_time;
use super::columns;
use super::row_ids::RowIds;
use super::spec_ids::SpecIds;
use crate::command::{Ident, Refusal};
use crate::error::{CatalogError, Result};
use crate::service::Service;
use crate::state::State;
use crate::warehouse::Warehouse;

/// The property by which a client chooses the format version. Not kept as a property.
const FORMAT_VERSION: &str = "format-version";

/// Ids below are columns'; this one says that no partition field was made yet.
const NO_PARTITION_ID: i64 = 999;

/// A table to be made.
#[derive(Debug, Clone)]
pub(crate) struct NewTable {
    pub(crate) table: Ident,
    pub(crate) uuid: Uuid,
    pub(crate) schema: Schema,
    pub(crate) spec: Option<UnboundPartitionSpec>,
    pub(crate) sort_order: Option<SortOrder>,
    pub(crate) properties: HashMap<String, String>,
    pub(crate) location: Option<String>,
}

impl NewTable {
    /// Its first metadata; ids of columns and partition fields are given afresh, as the protocol wants it.
    pub(crate) fn metadata(mut self, warehouse: &Warehouse) -> Result<TableMetadata> {
        let location = match &self.location {
            Some(location) => warehouse.accepted(location)?,
            None => warehouse.place(&self.table, self.uuid),
        };
        let version = match self.properties.remove(FORMAT_VERSION) {
            Some(version) => parse_version(&version)?,
            None => FormatVersion::V2,
        };
        warehouse.check_properties(&location, &self.properties)?;
        let spec = self.spec.unwrap_or_default();
        let order = self.sort_order.unwrap_or_else(SortOrder::unsorted_order);
        let invalid = |error| CatalogError::from_iceberg(&self.table, &error);
        let builder =
            TableMetadataBuilder::new(self.schema, spec, order, location, version, self.properties).map_err(invalid)?;
        let built = builder.assign_uuid(self.uuid).build().map_err(invalid)?;
        columns::check(&self.table, None, &built.metadata)?;
        Ok(built.metadata)
    }
}

fn parse_version(version: &str) -> Result<FormatVersion> {
    match version {
        "1" => Ok(FormatVersion::V1),
        "2" => Ok(FormatVersion::V2),
        "3" => Ok(FormatVersion::V3),
        _ => Err(CatalogError::bad_request(format!(
            "format version {version:?} is none of 1, 2, 3"
        ))),
    }
}

/// Whether the commit is to make the table.
pub(super) fn asserts(work: &TableWork) -> bool {
    let mut requirements = work.requirements.iter();
    requirements.any(|requirement| matches!(requirement, TableRequirement::NotExist))
}

/// The first metadata of a staged table. Its ids stay as they are: files may have been written with them.
pub(super) fn from_updates(service: &Service, state: &State, work: &TableWork, at_ms: i64) -> Result<TableMetadata> {
    let warehouse = &service.warehouse;
    let others = work
        .requirements
        .iter()
        .any(|requirement| !matches!(requirement, TableRequirement::NotExist));
    if !asserts(work) || others {
        return Err(CatalogError::NoSuchTable {
            table: work.table.clone(),
        });
    }
    let invalid = |error: iceberg::Error| CatalogError::from_iceberg(&work.table, &error);
    let first = First::of(work)?;
    let mut specs = SpecIds::none(first.version);
    let seed = first.seed(warehouse, work, &mut specs, at_ms)?;
    let mut row_ids = RowIds::of(&seed);
    let mut builder = TableMetadataBuilder::new_from_metadata(seed, None);
    for update in work.updates.clone() {
        row_ids.check(&work.table, &update)?;
        let update = match update {
            TableUpdate::SetLocation { location } => TableUpdate::SetLocation {
                location: warehouse.accepted(&location)?,
            },
            TableUpdate::AddSpec { spec } => TableUpdate::AddSpec {
                spec: specs.assign(&work.table, spec)?,
            },
            TableUpdate::AddSnapshot { snapshot } => {
                check_time(&work.table, &snapshot, at_ms)?;
                TableUpdate::AddSnapshot { snapshot }
            }
            update => update,
        };
        builder = update.apply(builder).map_err(invalid)?;
    }
    let metadata = builder.build().map_err(invalid)?.metadata;
    columns::check(&work.table, None, &metadata)?;
    warehouse.check_properties(metadata.location(), metadata.properties())?;
    let location = warehouse.checked(metadata.location())?;
    let files = service.files_of(state, None, &location);
    files.check_location(&work.table, &location, work.choice)?;
    files.check_all(&metadata)?;
    check_uuid(state, metadata.uuid())?;
    Ok(metadata)
}

/// Refuses a uuid that another table has, a dropped one among them: it would not come back beside this one. The log looks at the living
/// again; here they are looked at so that no drop of the moment lets a uuid go.
fn check_uuid(state: &State, uuid: Uuid) -> Result<()> {
    let living = state.table_of_uuid(uuid, Uuid::nil());
    let holder = living.or_else(|| state.dropped_of_uuid(uuid).map(|dropped| &dropped.row));
    match holder.map(|row| row.name.clone()) {
        Some(by) => Err(Refusal::UuidTaken { uuid, by }.into()),
        None => Ok(()),
    }
}

/// What the updates begin with.
struct First<'a> {
    version: FormatVersion,
    uuid: Uuid,
    location: &'a str,
    schema: &'a Schema,
    spec: Option<&'a UnboundPartitionSpec>,
    order: Option<&'a SortOrder>,
}

impl<'a> First<'a> {
    fn of(work: &'a TableWork) -> Result<Self> {
        let (mut version, mut uuid, mut location, mut schema, mut spec, mut order) =
            (None, None, None, None, None, None);
        for update in &work.updates {
            match update {
                TableUpdate::UpgradeFormatVersion { format_version } => {
                    version.get_or_insert(*format_version);
                }
                TableUpdate::AssignUuid { uuid: given } => {
                    uuid.get_or_insert(*given);
                }
                TableUpdate::SetLocation { location: given } => {
                    location.get_or_insert(given.as_str());
                }
                TableUpdate::AddSchema { schema: given } => {
                    schema.get_or_insert(given);
                }
                TableUpdate::AddSpec { spec: given } => {
                    spec.get_or_insert(given);
                }
                TableUpdate::AddSortOrder { sort_order } => {
                    order.get_or_insert(sort_order);
                }
                _ => {}
            }
        }
        let missing =
            |what: &str| CatalogError::bad_request(format!("creating {} by a commit needs {what}", work.table));
        Ok(Self {
            version: version.unwrap_or(FormatVersion::V2),
            uuid: uuid.ok_or_else(|| missing("assign-uuid"))?,
            location: location.ok_or_else(|| missing("set-location"))?,
            schema: schema.ok_or_else(|| missing("add-schema"))?,
            spec,
            order,
        })
    }

    /// Metadata with the first schema, spec and order, and nothing else. Written as JSON, for the crate's builder gives all ids anew.
    fn seed(&self, warehouse: &Warehouse, work: &TableWork, specs: &mut SpecIds, at_ms: i64) -> Result<TableMetadata> {
        let spec = match self.spec {
            Some(spec) => specs.assign(&work.table, spec.clone())?,
            None => UnboundPartitionSpec::default(),
        };
        let fields: Vec<Value> = spec
            .fields()
            .iter()
            .enumerate()
            .map(|(at, field)| field_json(at, field))
            .collect();
        let last_partition_id = fields.iter().filter_map(|field| field.get("field-id")?.as_i64()).max();
        let order = self.order.cloned().unwrap_or_else(SortOrder::unsorted_order);
        let schema = serde_json::to_value(self.schema).map_err(|error| CatalogError::internal(error.to_string()))?;
        let mut metadata = json!({
            "format-version": self.version as u8,
            "table-uuid": self.uuid,
            "location": warehouse.accepted(self.location)?,
            "last-sequence-number": 0,
            "last-updated-ms": at_ms,
            "last-column-id": self.schema.highest_field_id(),
            "schemas": [schema],
            "current-schema-id": self.schema.schema_id(),
            "partition-specs": [{"spec-id": spec.spec_id().unwrap_or(0), "fields": fields}],
            "default-spec-id": spec.spec_id().unwrap_or(0),
            "last-partition-id": last_partition_id.unwrap_or(NO_PARTITION_ID),
            "sort-orders": [order],
            "default-sort-order-id": order.order_id,
            "properties": {},
        });
        if let Some(members) = metadata.as_object_mut() {
            match self.version {
                FormatVersion::V1 => {
                    members.insert("schema".into(), schema);
                    members.insert("partition-spec".into(), Value::Array(fields));
                }
                FormatVersion::V2 => {}
                FormatVersion::V3 => {
                    members.insert("next-row-id".into(), json!(0));
                }
            }
        }
        serde_json::from_value(metadata)
            .map_err(|error| CatalogError::bad_request(format!("the new table {} is not valid: {error}", work.table)))
    }
}

fn field_json(at: usize, field: &UnboundPartitionField) -> Value {
    let by_place = i64::try_from(at)
        .unwrap_or(i64::MAX)
        .saturating_add(NO_PARTITION_ID + 1);
    json!({
        "source-id": field.source_id,
        "field-id": field.field_id.map_or(by_place, i64::from),
        "name": field.name,
        "transform": field.transform,
    })
}
