//! Texts of files that do not say that they are texts: some writers leave Parquet's annotation out. The reader takes such a column for
//! text where the table has one of its name, and then looks at none of its bytes: what is no UTF-8 would be rows all the same.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use datafusion::parquet::errors::Result;
use datafusion::parquet::file::metadata::{FileMetaData, ParquetMetaData};
use datafusion::parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

/// The same metadata with the annotation where a text of `columns` is without, so that its bytes are looked at.
pub(super) fn annotated(metadata: &Arc<ParquetMetaData>, columns: &Schema) -> Result<Arc<ParquetMetaData>> {
    let file = metadata.file_metadata();
    let fields = file.schema().get_fields();
    if !fields.iter().any(|field| is_unsaid_text(field, columns)) {
        return Ok(Arc::clone(metadata));
    }
    let said = |field: &TypePtr| match is_unsaid_text(field, columns) {
        true => text(field).map(TypePtr::new),
        false => Ok(Arc::clone(field)),
    };
    let fields = fields.iter().map(said).collect::<Result<Vec<TypePtr>>>()?;
    let root = Type::group_type_builder(file.schema().name())
        .with_fields(fields)
        .build()?;
    let said = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        file.key_value_metadata().cloned(),
        Arc::new(SchemaDescriptor::new(Arc::new(root))),
        file.column_orders().cloned(),
    );
    let mut whole = ParquetMetaData::clone(metadata).into_builder();
    let row_groups = whole.take_row_groups();
    let (columns, offsets) = (whole.take_column_index(), whole.take_offset_index());
    let said = ParquetMetaData::new(said, row_groups).into_builder();
    Ok(Arc::new(
        said.set_column_index(columns).set_offset_index(offsets).build(),
    ))
}

fn is_unsaid_text(field: &Type, columns: &Schema) -> bool {
    let about = field.get_basic_info();
    field.is_primitive()
        && field.get_physical_type() == PhysicalType::BYTE_ARRAY
        && about.converted_type() == ConvertedType::NONE
        && about.logical_type_ref().is_none()
        && columns.field_with_name(field.name()).is_ok_and(|column| {
            matches!(
                column.data_type(),
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
            )
        })
}

fn text(field: &Type) -> Result<Type> {
    let about = field.get_basic_info();
    Type::primitive_type_builder(field.name(), PhysicalType::BYTE_ARRAY)
        .with_repetition(about.repetition())
        .with_logical_type(Some(LogicalType::String))
        .with_id(about.has_id().then(|| about.id()))
        .build()
}

#[cfg(test)]
mod tests;
