//! Values, types and schemas as pieces of a key. Their texts for people are of no use here: they leave things out.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::scalar::ScalarValue;

use super::Bypass;
use super::writer::Writer;

/// A value with its type. Floating-point numbers are told by their bits: zero has two signs.
pub(super) fn scalar(writer: &mut Writer, value: &ScalarValue) -> Result<(), Bypass> {
    data_type(writer, &value.data_type());
    writer.flag(value.is_null());
    if value.is_null() {
        return Ok(());
    }
    match value {
        ScalarValue::Boolean(Some(value)) => writer.flag(*value),
        ScalarValue::Float32(Some(value)) => writer.piece(&value.to_bits().to_le_bytes()),
        ScalarValue::Float64(Some(value)) => writer.piece(&value.to_bits().to_le_bytes()),
        ScalarValue::Decimal128(Some(value), _, _) => writer.piece(&value.to_le_bytes()),
        ScalarValue::Int8(Some(value)) => writer.number(i64::from(*value)),
        ScalarValue::Int16(Some(value)) => writer.number(i64::from(*value)),
        ScalarValue::Int32(Some(value)) | ScalarValue::Date32(Some(value)) => writer.number(i64::from(*value)),
        ScalarValue::Int64(Some(value))
        | ScalarValue::Time64Microsecond(Some(value))
        | ScalarValue::TimestampMicrosecond(Some(value), _)
        | ScalarValue::TimestampNanosecond(Some(value), _) => writer.number(*value),
        ScalarValue::Utf8(Some(value)) | ScalarValue::Utf8View(Some(value)) | ScalarValue::LargeUtf8(Some(value)) => {
            writer.text(value);
        }
        ScalarValue::Binary(Some(value)) => writer.piece(value),
        // Whatever else there is, the wire's form of it tells all.
        other => return encoded(writer, other),
    }
    Ok(())
}

fn encoded(writer: &mut Writer, value: &ScalarValue) -> Result<(), Bypass> {
    let unknown = || Bypass::Unknown {
        what: format!("a value of type {}", value.data_type()),
    };
    let array = value.to_array_of_size(1).map_err(|_| unknown())?;
    let schema = Arc::new(Schema::new(vec![Field::new("v", array.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![array]).map_err(|_| unknown())?;
    let mut stream = StreamWriter::try_new(Vec::new(), &schema).map_err(|_| unknown())?;
    stream.write(&batch).map_err(|_| unknown())?;
    writer.piece(&stream.into_inner().map_err(|_| unknown())?);
    Ok(())
}

/// Its derived text tells everything of a type, the fields in it among them.
pub(super) fn data_type(writer: &mut Writer, of: &DataType) {
    writer.debug(of);
}

pub(super) fn field(writer: &mut Writer, field: &Field) {
    writer.text(field.name());
    data_type(writer, field.data_type());
    writer.flag(field.is_nullable());
    metadata(writer, field.metadata().iter());
}

/// In the order of their names: maps tell them in any.
pub(super) fn metadata<'a>(writer: &mut Writer, entries: impl Iterator<Item = (&'a String, &'a String)>) {
    let sorted: BTreeMap<&String, &String> = entries.collect();
    writer.count(sorted.len());
    for (key, value) in sorted {
        writer.text(key);
        writer.text(value);
    }
}

pub(super) fn schema(writer: &mut Writer, schema: &Schema) {
    writer.count(schema.fields().len());
    for one in schema.fields() {
        field(writer, one);
    }
    metadata(writer, schema.metadata().iter());
}

/// The columns of a node, with whose they are.
pub(super) fn columns(writer: &mut Writer, columns: &DFSchema) -> Result<(), Bypass> {
    writer.count(columns.fields().len());
    for (qualifier, one) in columns.iter() {
        writer.maybe(qualifier, |writer, qualifier| {
            reference(writer, qualifier);
            Ok(())
        })?;
        field(writer, one);
    }
    metadata(writer, columns.metadata().iter());
    Ok(())
}

pub(super) fn column(writer: &mut Writer, column: &Column) -> Result<(), Bypass> {
    // Where it stands in the text means nothing.
    let Column {
        relation,
        name,
        spans: _,
    } = column;
    writer.maybe(relation.as_ref(), |writer, relation| {
        reference(writer, relation);
        Ok(())
    })?;
    writer.text(name);
    Ok(())
}

pub(super) fn reference(writer: &mut Writer, reference: &TableReference) {
    let parts: [Option<&str>; 3] = match reference {
        TableReference::Bare { table } => [None, None, Some(table)],
        TableReference::Partial { schema, table } => [None, Some(schema), Some(table)],
        TableReference::Full { catalog, schema, table } => [Some(catalog), Some(schema), Some(table)],
    };
    for part in parts {
        writer.flag(part.is_some());
        writer.text(part.unwrap_or_default());
    }
}
