//! How much is told of each column: the table properties `write.metadata.metrics.*`.

use std::collections::{HashMap, HashSet};

use iceberg::spec::{Schema, TableMetadata};

const PREFIX: &str = "write.metadata.metrics.";
const BOUND_LENGTH: usize = 16;

/// Iceberg's default of `write.metadata.metrics.max-inferred-column-defaults`: beyond it, what a commit writes of a wide
/// table's files is mostly bounds that nobody asks for.
const INFERRED_COLUMNS_MAX: usize = 100;

/// What is told of a column beside its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetricsMode {
    None,
    Counts,
    /// Counts, and bounds of at most this many characters or bytes.
    Truncate(usize),
    Full,
}

impl MetricsMode {
    fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "none" => Some(Self::None),
            "counts" => Some(Self::Counts),
            "full" => Some(Self::Full),
            other => {
                let length = other
                    .strip_prefix("truncate(")?
                    .strip_suffix(')')?
                    .trim()
                    .parse()
                    .ok()?;
                (length > 0).then_some(Self::Truncate(length))
            }
        }
    }
}

/// The mode of each column by field id.
#[derive(Debug, Clone)]
pub(super) struct MetricsModes {
    by_id: HashMap<i32, MetricsMode>,
    others: MetricsMode,
}

impl MetricsModes {
    /// What the properties say. A property that cannot be read counts as not set: files without metrics are slow, not wrong.
    pub(super) fn of(table: &TableMetadata) -> Self {
        let properties = table.properties();
        let property = |name: String| properties.get(&name).map(String::as_str);
        let chosen = property(format!("{PREFIX}default")).and_then(MetricsMode::parse);
        let columns_max = property(format!("{PREFIX}max-inferred-column-defaults"));
        let columns_max = columns_max
            .and_then(|text| text.parse().ok())
            .unwrap_or(INFERRED_COLUMNS_MAX);
        let schema = table.current_schema();
        let mut by_id = HashMap::new();
        let inferred = chosen.unwrap_or(MetricsMode::Truncate(BOUND_LENGTH));
        // Whether a file has the columns that the table is partitioned by is asked at each scan.
        let spec = table.default_partition_spec();
        let parts: HashSet<i32> = spec.fields().iter().map(|field| field.source_id).collect();
        for (at, id) in primitive_ids(schema).into_iter().enumerate() {
            // Who sets a default means all columns.
            let mode = match (chosen.is_none() && at >= columns_max, parts.contains(&id)) {
                (false, _) => inferred,
                (true, true) => MetricsMode::Counts,
                (true, false) => MetricsMode::None,
            };
            by_id.insert(id, mode);
        }
        for (id, mode) in by_id.iter_mut() {
            let name = schema.name_by_field_id(*id).unwrap_or_default();
            if let Some(own) = property(format!("{PREFIX}column.{name}")).and_then(MetricsMode::parse) {
                *mode = own;
            }
        }
        Self {
            by_id,
            others: inferred,
        }
    }

    pub(super) fn mode(&self, field_id: i32) -> MetricsMode {
        self.by_id.get(&field_id).copied().unwrap_or(self.others)
    }
}

/// In the order of the schema: ids are given level by level, so top columns come before what is nested.
fn primitive_ids(schema: &Schema) -> Vec<i32> {
    let fields = schema.field_id_to_fields().iter();
    let mut ids: Vec<i32> = fields
        .filter(|(_, f)| f.field_type.is_primitive())
        .map(|(id, _)| *id)
        .collect();
    ids.sort_unstable();
    ids
}
