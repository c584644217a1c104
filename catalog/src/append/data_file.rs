//! A data file as the protocol describes it, and as scan planning tells it.

use std::collections::{BTreeMap, HashMap};

use iceberg::spec::{
    DataContentType, DataFileBuilder, DataFileFormat, Datum, NestedFieldRef, PartitionSpecRef, PrimitiveType, Struct,
    StructType, TableMetadata,
};
use serde::Deserialize;
use serde_json::Value;

use tidewater_table::{Added, partition_value};

/// The table property that says of which columns statistics are kept; `none` means of none.
const METRICS_DEFAULT: &str = "write.metadata.metrics.default";

/// The protocol's `DataFile`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct DataFileJson {
    #[serde(default)]
    content: Option<String>,
    file_path: String,
    file_format: String,
    spec_id: i32,
    #[serde(default)]
    partition: Option<Vec<Value>>,
    file_size_in_bytes: u64,
    record_count: u64,
    key_metadata: Option<String>,
    split_offsets: Option<Vec<i64>>,
    sort_order_id: Option<i32>,
    first_row_id: Option<i64>,
    column_sizes: Option<Columns<u64>>,
    value_counts: Option<Columns<u64>>,
    null_value_counts: Option<Columns<u64>>,
    nan_value_counts: Option<Columns<u64>>,
    /// Bytes as the table format writes them, in hexadecimal.
    lower_bounds: Option<Columns<String>>,
    upper_bounds: Option<Columns<String>>,
}

/// Values of columns, by the columns' ids.
#[derive(Debug, Deserialize)]
struct Columns<T> {
    #[serde(default = "Vec::new")]
    keys: Vec<i32>,
    #[serde(default = "Vec::new")]
    values: Vec<T>,
}

impl DataFileJson {
    pub(crate) fn path(&self) -> &str {
        &self.file_path
    }

    /// The file as a manifest holds it, and its partition spec; or why it cannot join this table.
    pub(crate) fn into_added(self, table: &TableMetadata) -> Result<(Added, PartitionSpecRef), String> {
        self.check(table)?;
        let spec = table
            .partition_spec_by_id(self.spec_id)
            .ok_or_else(|| format!("the table has no partition spec {}", self.spec_id))?
            .clone();
        // A column that was dropped since is still in an older schema.
        let schemas = std::iter::once(table.current_schema()).chain(table.schemas_iter());
        let types = schemas.filter_map(|schema| spec.partition_type(schema).ok()).next();
        let types = types.ok_or_else(|| format!("no schema fits partition spec {}", self.spec_id))?;
        let partition = partition(self.partition.unwrap_or_default(), &types)?;
        let mut builder = DataFileBuilder::default();
        builder
            .content(DataContentType::Data)
            .file_path(self.file_path)
            .file_format(DataFileFormat::Parquet)
            .partition(partition)
            .partition_spec_id(self.spec_id)
            .record_count(self.record_count)
            .file_size_in_bytes(self.file_size_in_bytes)
            .column_sizes(counts(table, "column-sizes", self.column_sizes)?)
            .value_counts(counts(table, "value-counts", self.value_counts)?)
            .null_value_counts(counts(table, "null-value-counts", self.null_value_counts)?)
            .nan_value_counts(counts(table, "nan-value-counts", self.nan_value_counts)?)
            .lower_bounds(bounds(table, "lower-bounds", self.lower_bounds)?)
            .upper_bounds(bounds(table, "upper-bounds", self.upper_bounds)?)
            .split_offsets(self.split_offsets);
        if let Some(order) = self.sort_order_id {
            builder.sort_order_id(order);
        }
        let file = builder.build().map_err(|error| error.to_string())?;
        Ok((Added::new(file, self.spec_id), spec))
    }

    fn check(&self, table: &TableMetadata) -> Result<(), String> {
        let wrong = |reason: &str| Err(reason.to_owned());
        if self.content.as_deref().is_some_and(|content| content != "data") {
            return wrong("only data files can be appended");
        }
        if !self.file_format.eq_ignore_ascii_case("parquet") {
            return Err(format!("its format is {:?} and not parquet", self.file_format));
        }
        if self.key_metadata.is_some() {
            return wrong("it is encrypted");
        }
        if self.first_row_id.is_some() {
            return wrong("it has row ids already: it is in a table");
        }
        if self.record_count == 0 || self.file_size_in_bytes == 0 {
            return wrong("it has no rows or no bytes");
        }
        if let Some(order) = self.sort_order_id
            && order != 0
            && table.sort_order_by_id(i64::from(order)).is_none()
        {
            return Err(format!("the table has no sort order {order}"));
        }
        let wants_none = table
            .properties()
            .get(METRICS_DEFAULT)
            .is_some_and(|mode| mode.eq_ignore_ascii_case("none"));
        let missing = |columns: &Option<Columns<u64>>| columns.as_ref().is_none_or(|columns| columns.keys.is_empty());
        if !wants_none && (missing(&self.value_counts) || missing(&self.null_value_counts)) {
            return wrong("it has no value-counts or null-value-counts: scans could not leave it out");
        }
        Ok(())
    }
}

fn partition(values: Vec<Value>, types: &StructType) -> Result<Struct, String> {
    let fields = types.fields();
    if fields.len() != values.len() {
        return Err(format!(
            "its partition has {} values and its spec {} fields",
            values.len(),
            fields.len()
        ));
    }
    let read = |(value, field): (Value, &NestedFieldRef)| {
        let shown = value.to_string();
        let fault = |problem: String| format!("its partition value {shown} is no {}: {problem}", field.field_type);
        partition_value::from_json(value, &field.field_type).map_err(fault)
    };
    values.into_iter().zip(fields).map(read).collect()
}

fn paired<T>(name: &str, columns: Option<Columns<T>>) -> Result<BTreeMap<i32, T>, String> {
    let Some(Columns { keys, values }) = columns else {
        return Ok(BTreeMap::new());
    };
    let count = keys.len();
    if count != values.len() {
        return Err(format!("its {name} have {count} keys and {} values", values.len()));
    }
    let pairs: BTreeMap<i32, T> = keys.into_iter().zip(values).collect();
    match pairs.len() == count {
        true => Ok(pairs),
        false => Err(format!("its {name} name a column twice")),
    }
}

fn counts(table: &TableMetadata, name: &str, columns: Option<Columns<u64>>) -> Result<HashMap<i32, u64>, String> {
    let pairs = paired(name, columns)?;
    for (id, count) in &pairs {
        field(table, name, *id)?;
        if i64::try_from(*count).is_err() {
            return Err(format!("its {name} of column {id} are {count}, which is too large"));
        }
    }
    Ok(pairs.into_iter().collect())
}

fn bounds(table: &TableMetadata, name: &str, columns: Option<Columns<String>>) -> Result<HashMap<i32, Datum>, String> {
    let read = |(id, text): (i32, String)| {
        let fault = |problem: &str| format!("its {name} of column {id} cannot be read: {problem}");
        let bytes = unhex(&text).ok_or_else(|| fault("no hexadecimal digits"))?;
        let kind = field(table, name, id)?
            .field_type
            .as_primitive_type()
            .cloned()
            .ok_or_else(|| fault("it is no primitive"))?;
        let datum = datum(&bytes, kind).map_err(|problem| fault(&problem))?;
        Ok((id, datum))
    };
    paired(name, columns)?.into_iter().map(read).collect()
}

/// Checks the length first: the library takes it for granted.
fn datum(bytes: &[u8], kind: PrimitiveType) -> Result<Datum, String> {
    let wanted = match &kind {
        PrimitiveType::Boolean => Some(1),
        PrimitiveType::Int | PrimitiveType::Float | PrimitiveType::Date => Some(4),
        PrimitiveType::Long
        | PrimitiveType::Double
        | PrimitiveType::Time
        | PrimitiveType::Timestamp
        | PrimitiveType::Timestamptz
        | PrimitiveType::TimestampNs
        | PrimitiveType::TimestamptzNs => Some(8),
        PrimitiveType::Uuid => Some(16),
        _ => None,
    };
    if wanted.is_some_and(|wanted| wanted != bytes.len()) {
        return Err(format!("{} bytes are no {kind}", bytes.len()));
    }
    Datum::try_from_bytes(bytes, kind).map_err(|error| error.message().to_owned())
}

/// The column, in the newest schema that has it.
fn field<'a>(table: &'a TableMetadata, name: &str, id: i32) -> Result<&'a NestedFieldRef, String> {
    let mut schemas: Vec<_> = table.schemas_iter().collect();
    schemas.sort_by_key(|schema| (schema.schema_id() == table.current_schema_id(), schema.schema_id()));
    let mut found = schemas.into_iter().rev().filter_map(|schema| schema.field_by_id(id));
    found
        .next()
        .ok_or_else(|| format!("its {name} name column {id}, which the table never had"))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    };
    digits.chunks(2).map(byte).collect()
}
