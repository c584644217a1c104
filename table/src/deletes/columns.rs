//! Columns of Parquet files that deletes are made of, found by field id.

use arrow::array::{ArrayRef, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Schema as ArrowSchema};
use arrow::util::display::FormatOptions;
use bytes::Bytes;
use iceberg::spec::{NestedFieldRef, Schema, TableMetadata, Type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Names;
use crate::error::{Result, TableError};
use crate::schema::{field_id, initial_default, repeated, to_arrow};

/// A value that does not fit is an error: as a null it would be equal to every other one.
const STRICT: CastOptions<'static> = CastOptions {
    safe: false,
    format_options: FormatOptions::new(),
};

/// A column to be read, and as what.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    id: i32,
    name: String,
    /// What it is called in files without field ids.
    names: Vec<String>,
    data_type: DataType,
    /// What it is in rows of files that lack it; null without.
    default: Option<ArrayRef>,
}

/// The wanted columns of some rows, in the order asked for; `None` for a column that the file lacks.
pub(crate) type Columns = Vec<Option<ArrayRef>>;

impl Wanted {
    pub(crate) fn new(id: i32, name: &str, data_type: DataType) -> Self {
        Self {
            id,
            name: name.to_owned(),
            names: vec![name.to_owned()],
            data_type,
            default: None,
        }
    }

    /// The same, called otherwise in files without field ids.
    pub(crate) fn called(self, names: Vec<String>) -> Self {
        Self { names, ..self }
    }

    /// The same, called in such files as the table maps it, if it maps names.
    pub(super) fn named(self, names: Option<&Names>) -> Self {
        match names {
            Some(names) => {
                let own = names.get(&self.id).cloned().unwrap_or_default();
                self.called(own)
            }
            None => self,
        }
    }

    /// What tells apart how the values of a file are read.
    pub(super) fn key(&self) -> String {
        format!("{} {:?}", self.data_type, self.names)
    }

    /// The columns of a schema.
    pub(super) fn all(columns: &Schema) -> Result<Vec<Self>> {
        let arrow = to_arrow(columns)?;
        let fields = columns.as_struct().fields().iter().zip(arrow.fields());
        let wanted = fields.map(|(field, arrow)| {
            Ok(Self {
                default: initial_default(arrow)?,
                ..Self::new(field.id, &field.name, arrow.data_type().clone())
            })
        });
        wanted.collect()
    }

    /// The same, which is one of these values, by field id, in rows of files that lack it.
    pub(crate) fn told(mut self, values: &[(i32, ArrayRef)]) -> Self {
        if let Some((_, value)) = values.iter().find(|(id, _)| *id == self.id) {
            self.default = Some(value.clone());
        }
        self
    }

    /// So many rows of a file that lacks it.
    fn absent(&self, rows: usize) -> Result<ArrayRef> {
        match &self.default {
            Some(one) => repeated(one, rows),
            None => Ok(new_null_array(&self.data_type, rows)),
        }
    }

    pub(super) fn data_type(&self) -> &DataType {
        &self.data_type
    }
}

/// The columns of so many rows: one that the file lacks is the same in all of them.
pub(crate) fn filled(columns: Columns, wanted: &[Wanted], rows: usize) -> Result<Vec<ArrayRef>> {
    let fill = |(column, wanted): (Option<ArrayRef>, &Wanted)| match column {
        Some(column) => Ok(column),
        None => wanted.absent(rows),
    };
    columns.into_iter().zip(wanted).map(fill).collect()
}

/// Columns that a table has or had, for an equality delete file.
pub(super) fn of_equality(ids: &[i32], table: &TableMetadata, path: &str) -> Result<Schema> {
    let field = |id: &i32| {
        // A column that was dropped may have been widened before: what its last files hold does not fit into what it once was.
        let all = table.schemas_iter();
        let having = all.filter_map(|schema| Some((schema.schema_id(), schema.as_struct().field_by_id(*id)?)));
        let newest = having.max_by_key(|(schema_id, _)| *schema_id).map(|(_, field)| field);
        let found: Option<&NestedFieldRef> = table.current_schema().as_struct().field_by_id(*id).or(newest);
        match found {
            Some(field) if matches!(*field.field_type, Type::Primitive(_)) => Ok(field.clone()),
            _ => Err(TableError::Unsupported {
                what: format!("a delete file on column {id}, which is not at the top level of the table ({path})"),
            }),
        }
    };
    if ids.is_empty() {
        return Err(TableError::damaged(format!(
            "equality delete file {path} names no columns"
        )));
    }
    let fields = ids.iter().map(field).collect::<Result<Vec<_>>>()?;
    let schema = Schema::builder().with_fields(fields).build();
    schema.map_err(TableError::metadata(format!("the columns of delete file {path}")))
}

/// Reads these columns of a file in memory.
pub(super) fn read(path: &str, bytes: Bytes, wanted: &[Wanted]) -> Result<impl Iterator<Item = Result<Columns>>> {
    let what = |path: &str| format!("read {path}");
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(TableError::encode(what(path)))?;
    let places = Places::new(builder.schema(), wanted);
    let mask = places.mask(builder.parquet_schema());
    let reader = builder
        .with_projection(mask)
        .build()
        .map_err(TableError::encode(what(path)))?;
    let path = path.to_owned();
    Ok(reader.map(move |batch| places.take(&batch.map_err(TableError::encode(what(&path)))?, &path)))
}

/// Where the wanted columns are in a file.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    wanted: Vec<Wanted>,
    roots: Vec<Option<usize>>,
}

impl Places {
    /// By field id; in a file without any id by what the columns are called there.
    pub(crate) fn new(file: &ArrowSchema, wanted: &[Wanted]) -> Self {
        let has_ids = file.fields().iter().any(|field| field_id(field).is_some());
        let find = |wanted: &Wanted| {
            file.fields().iter().position(|field| match has_ids {
                true => field_id(field) == Some(wanted.id),
                false => wanted.names.contains(field.name()),
            })
        };
        Self {
            roots: wanted.iter().map(find).collect(),
            wanted: wanted.to_vec(),
        }
    }

    pub(crate) fn mask(&self, file: &parquet::schema::types::SchemaDescriptor) -> ProjectionMask {
        ProjectionMask::roots(file, self.roots.iter().flatten().copied())
    }

    /// The columns of a batch that was read with [`Self::mask`].
    pub(crate) fn take(&self, batch: &arrow::array::RecordBatch, path: &str) -> Result<Columns> {
        // The reader keeps the file's order and leaves out what is not asked for.
        let mut read: Vec<usize> = self.roots.iter().flatten().copied().collect();
        read.sort_unstable();
        read.dedup();
        let column = |(wanted, root): (&Wanted, &Option<usize>)| {
            let Some(root) = root else { return Ok(None) };
            let index = read.binary_search(root).unwrap_or_default();
            let column = cast_with_options(batch.column(index), &wanted.data_type, &STRICT);
            column.map(Some).map_err(|error| {
                let name = &wanted.name;
                TableError::damaged(format!("column {name} of {path} does not fit the table's: {error}"))
            })
        };
        self.wanted.iter().zip(&self.roots).map(column).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array, RecordBatch};
    use arrow::datatypes::Int32Type;
    use iceberg::spec::PrimitiveType;
    use serde_json::json;

    use super::*;

    // Goal: a column that was dropped is compared as what it was last. Method: one that was widened before, deep in a table's schemas, which
    // the format library keeps in another order each time.
    #[test]
    fn dropped_columns_are_as_wide_as_they_were_last() {
        let schema = |id: i32| {
            let mut fields = vec![json!({"id": 1, "name": "id", "required": false, "type": "long"})];
            if id < 8 {
                let of = if id < 7 { "int" } else { "long" };
                fields.push(json!({"id": 2, "name": "k", "required": false, "type": of}));
            }
            json!({"type": "struct", "schema-id": id, "fields": fields})
        };
        let schemas: Vec<serde_json::Value> = (0..=8).map(schema).collect();
        let document = json!({"format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1",
            "location": "memory://lake/t", "last-sequence-number": 0, "last-updated-ms": 1_602_638_573_590_i64,
            "last-column-id": 2, "current-schema-id": 8, "schemas": schemas, "default-spec-id": 0,
            "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999,
            "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}]});
        for _ in 0..20 {
            let table: TableMetadata = serde_json::from_value(document.clone()).expect("metadata");
            let columns = of_equality(&[2], &table, "d.parquet").expect("a column");
            let field = columns.field_by_id(2).expect("the column");
            assert_eq!(*field.field_type, Type::Primitive(PrimitiveType::Long));
        }
    }

    // Goal: a value that does not fit is an error, and no null, which other such values would be equal to. Method: a number that fits a
    // narrower column, and one that does not.
    #[test]
    fn values_fit_or_are_refused() {
        let wanted = [Wanted::new(1, "k", DataType::Int32)];
        let read = |value: i64| {
            let column: ArrayRef = Arc::new(Int64Array::from(vec![value]));
            let batch = RecordBatch::try_from_iter([("k", column)]).expect("a batch");
            Places::new(&batch.schema(), &wanted).take(&batch, "d.parquet")
        };
        let fits = read(7).expect("it fits");
        let fits = fits[0].as_ref().expect("the column");
        assert_eq!(fits.as_primitive::<Int32Type>().value(0), 7);
        let refused = read(1 << 40);
        assert!(matches!(refused, Err(TableError::Damaged { .. })), "{refused:?}");
    }
}
