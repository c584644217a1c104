//! What results look like on the wire: one schema for every call, plain types that every client can read.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::FormatOptions;

use crate::sql_types;
use tidewater_engine::pg_catalog::TYPE_KEY;
use tidewater_engine::{shown_name, sizes};

/// Rows of one message at most: small enough that five long text columns stay under the client's message limit.
const ROWS_MAX: usize = 8192;

/// Bytes of the rows of one message, unless it is one row: half of what the usual gRPC client takes, as what is around them and what
/// marks nulls is not counted.
const BYTES_MAX: usize = 2 << 20;

/// The schema a client is told for a result of `schema`: views and dictionaries become plain values, large lists become
/// lists, what is null throughout is text, and no name carries a qualifier, nor what told it apart from another; each column tells what SQL calls its type, its precision and
/// its scale, which ODBC reads there and nowhere else. Prepare, GetFlightInfo, GetSchema and DoGet all use this.
pub fn wire_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let plain = wire_field(field);
        let mut metadata = plain.metadata().clone();
        metadata.extend(sql_types::entries(plain.data_type()));
        let shown = plain.as_ref().clone().with_name(shown_name(plain.name()));
        shown.with_metadata(metadata)
    });
    Arc::new(Schema::new(fields.collect::<Vec<Field>>()))
}

fn wire_field(field: &FieldRef) -> FieldRef {
    // What PostgreSQL calls a value is for its wire alone: no other session has such fields.
    let kept = field.metadata().get_key_value(TYPE_KEY);
    let kept = kept.map(|(key, value)| (key.clone(), value.clone()));
    // Metadata of storage (field ids) means nothing to a client, and a reader compares schemas exactly.
    let plain = Field::new(field.name(), wire_type(field.data_type()), field.is_nullable());
    Arc::new(plain.with_metadata(kept.into_iter().collect()))
}

fn wire_type(data_type: &DataType) -> DataType {
    match data_type {
        // ODBC's driver cannot read a column of no type; PostgreSQL calls it text.
        DataType::Null | DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, value) => wire_type(value),
        DataType::RunEndEncoded(_, values) => wire_type(values.data_type()),
        DataType::LargeList(item) | DataType::List(item) | DataType::ListView(item) | DataType::LargeListView(item) => {
            DataType::List(wire_field(item))
        }
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(wire_field(item), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(wire_field).collect::<Fields>()),
        DataType::Map(entries, sorted) => DataType::Map(wire_field(entries), *sorted),
        // The zone says how to show an instant, not which it is. Java takes "+02:00" for GMT without a word.
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("UTC".into())),
        plain => plain.clone(),
    }
}

/// The batch as the client was told it would come, cut into messages. Columns are taken by position: the names of a
/// physical plan may differ.
pub fn to_wire(batch: &RecordBatch, schema: &SchemaRef) -> Result<Vec<RecordBatch>, ArrowError> {
    let options = CastOptions {
        safe: false,
        format_options: FormatOptions::default(),
    };
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| cast_with_options(column, field.data_type(), &options))
        .collect::<Result<Vec<ArrayRef>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let batch = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?;
    let mut messages = Vec::new();
    for start in (0..batch.num_rows()).step_by(ROWS_MAX) {
        let part = batch.slice(start, ROWS_MAX.min(batch.num_rows() - start));
        sizes::halve(part, BYTES_MAX, &mut messages);
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Array, DictionaryArray, Int32Array, StringArray, StringViewArray};
    use datafusion::arrow::datatypes::{Int32Type, TimeUnit};

    use super::*;

    // Goal: no view, dictionary or large type reaches a client, at any depth. Method: one of each, nested too.
    #[test]
    fn exotic_types_become_plain() {
        let inner = Field::new("s", DataType::Utf8View, true);
        let list = DataType::LargeList(Arc::new(Field::new_list_field(
            DataType::Struct(vec![inner].into()),
            true,
        )));
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View));
        let schema = Schema::new(vec![Field::new("l", list, true), Field::new("d", dictionary, false)]);
        let wire = wire_schema(&schema);
        let zoned = |zone: &str| DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()));
        assert_eq!(wire_type(&zoned("+02:00")), zoned("UTC"));
        let inner = Field::new("s", DataType::Utf8, true);
        let expected = DataType::List(Arc::new(Field::new_list_field(
            DataType::Struct(vec![inner].into()),
            true,
        )));
        assert_eq!(wire.field(0).data_type(), &expected);
        let described = [sql_types::entry("TYPE_NAME", "VARCHAR")].into();
        assert_eq!(
            wire.field(1),
            &Field::new("d", DataType::Utf8, false).with_metadata(described)
        );
        let amount = Field::new("a", DataType::Decimal128(12, 2), true);
        let wire = wire_schema(&Schema::new(vec![amount, Field::new("n", DataType::Null, true)]));
        let scale = wire.field(0).metadata().get("ARROW:FLIGHT:SQL:SCALE");
        assert_eq!(scale.map(String::as_str), Some("2"));
        assert_eq!(wire.field(1).data_type(), &DataType::Utf8);
    }

    // Goal: clients are shown names as statements say them, also the same one twice. Method: a schema with such a name told apart, and rows of
    // it.
    #[test]
    fn names_are_those_that_are_said() -> Result<(), ArrowError> {
        let numbers = |number: i32| Arc::new(Int32Array::from(vec![number])) as ArrayRef;
        let batch = RecordBatch::try_from_iter([("k", numbers(1)), ("k\u{0}1", numbers(2)), ("i", numbers(3))])?;
        let schema = wire_schema(&batch.schema());
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["k", "k", "i"]);
        let parts = to_wire(&batch, &schema)?;
        let part = parts.first().expect("a message");
        assert_eq!(part.schema(), schema);
        assert_eq!(part.column(1), &numbers(2));
        Ok(())
    }

    // Goal: values survive the cast, and a large batch is cut. Method: views and dictionaries of 20,000 rows read back.
    #[test]
    fn values_survive_and_batches_are_cut() -> Result<(), ArrowError> {
        let rows = 20_000;
        let views = StringViewArray::from_iter_values((0..rows).map(|i| format!("a text that is long enough {i}")));
        let dictionary: DictionaryArray<Int32Type> =
            (0..rows).map(|i| if i % 2 == 0 { "even" } else { "odd" }).collect();
        let numbers = Int32Array::from_iter_values(0..rows);
        let batch = RecordBatch::try_from_iter([
            ("v", Arc::new(views) as ArrayRef),
            ("d", Arc::new(dictionary) as ArrayRef),
            ("n", Arc::new(numbers) as ArrayRef),
        ])?;
        let schema = wire_schema(&batch.schema());
        let parts = to_wire(&batch, &schema)?;
        assert!(parts.len() > 2);
        assert_eq!(parts.iter().map(RecordBatch::num_rows).sum::<usize>(), 20_000);
        let last = parts.last().expect("several parts");
        let text = last
            .column(0)
            .as_any()
            .downcast_ref::<StringArray>()
            .expect("plain text");
        assert!(text.value(text.len() - 1).ends_with(" 19999"));
        Ok(())
    }

    // Goal: a message has as many rows as fit, whatever they were cut from, and no more, however unlike they are. Method: a hundred rows
    // out of a million; and ten thousand of which the first hundred are nearly all of the bytes.
    #[test]
    fn messages_are_as_large_as_their_rows() -> Result<(), ArrowError> {
        let numbers = Int32Array::from_iter_values(0..1_000_000);
        let batch = RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef)])?;
        let schema = wire_schema(&batch.schema());
        let parts = to_wire(&batch.slice(500_000, 100), &schema)?;
        assert_eq!(parts.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [100]);
        let long = "x".repeat(100_000);
        let texts = StringArray::from_iter_values((0..10_000).map(|at| if at < 100 { long.as_str() } else { "y" }));
        let batch = RecordBatch::try_from_iter([("t", Arc::new(texts) as ArrayRef)])?;
        let parts = to_wire(&batch, &wire_schema(&batch.schema()))?;
        assert_eq!(parts.iter().map(RecordBatch::num_rows).sum::<usize>(), 10_000);
        assert!(parts.iter().all(|part| sizes::of_batch(part) <= BYTES_MAX));
        assert!(parts.len() < 30, "{} messages", parts.len());
        let last = parts.last().expect("several parts");
        let same = batch.slice(10_000 - last.num_rows(), last.num_rows());
        assert_eq!(last.column(0), same.column(0));
        Ok(())
    }
}
