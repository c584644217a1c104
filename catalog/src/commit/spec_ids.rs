//! Field ids of partition specs: given when absent, refused when they name another field.
//!
//! Two fields with one id are read wrongly: Spark refuses such a table, DuckDB answers filters on it with no rows and no error.

use std::collections::HashMap;

use iceberg::spec::{FormatVersion, TableMetadata, Transform, UnboundPartitionSpec};

use crate::command::Ident;
use crate::error::{CatalogError, Result};

/// Ids below are columns'; the first partition field gets this one.
const FIRST_FIELD_ID: i32 = 1_000;

/// The ids that are taken, and by what.
#[derive(Debug, Default)]
pub(super) struct SpecIds {
    by_id: HashMap<i32, (i32, Transform)>,
    last: i32,
    /// In version 1 fields are known by their place, and ids begin anew in each spec.
    by_place: bool,
}

impl SpecIds {
    /// Nothing is taken.
    pub(super) fn none(version: FormatVersion) -> Self {
        Self {
            by_id: HashMap::new(),
            last: FIRST_FIELD_ID - 1,
            by_place: version == FormatVersion::V1,
        }
    }

    /// What the table's specs have taken.
    pub(super) fn of(metadata: &TableMetadata) -> Self {
        let fields = metadata.partition_specs_iter().flat_map(|spec| spec.fields());
        Self {
            by_id: fields
                .map(|field| (field.field_id, (field.source_id, field.transform)))
                .collect(),
            last: metadata.last_partition_id().max(FIRST_FIELD_ID - 1),
            by_place: metadata.format_version() == FormatVersion::V1,
        }
    }

    /// The spec with an id for each field.
    pub(super) fn assign(&mut self, table: &Ident, spec: UnboundPartitionSpec) -> Result<UnboundPartitionSpec> {
        if self.by_place {
            return Ok(spec);
        }
        let given: Vec<i32> = spec.fields().iter().filter_map(|field| field.field_id).collect();
        let mut fields = Vec::with_capacity(spec.fields().len());
        for field in spec.fields() {
            let mut field = field.clone();
            let meaning = (field.source_id, field.transform);
            let id = match field.field_id {
                Some(id) => id,
                None => self.known(&meaning).unwrap_or_else(|| self.next(&given)),
            };
            match self.by_id.get(&id) {
                Some(taken) if *taken != meaning => {
                    let reason = format!(
                        "commit to {table} is not valid: partition field id {id} of {:?} is already that of another field",
                        field.name
                    );
                    return Err(CatalogError::bad_request(reason));
                }
                _ => {}
            }
            self.by_id.insert(id, meaning);
            self.last = self.last.max(id);
            field.field_id = Some(id);
            fields.push(field);
        }
        let mut builder = UnboundPartitionSpec::builder();
        if let Some(id) = spec.spec_id() {
            builder = builder.with_spec_id(id);
        }
        let built = builder
            .add_partition_fields(fields)
            .map_err(|error| CatalogError::from_iceberg(table, &error))?;
        Ok(built.build())
    }

    fn known(&self, meaning: &(i32, Transform)) -> Option<i32> {
        self.by_id
            .iter()
            .filter(|(_, taken)| *taken == meaning)
            .map(|(id, _)| *id)
            .min()
    }

    fn next(&self, given: &[i32]) -> i32 {
        given.iter().copied().fold(self.last, i32::max).saturating_add(1)
    }
}
