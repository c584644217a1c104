//! Catalog metadata: schemas, tables with their columns, keys.

use std::collections::{BTreeSet, HashMap};

use arrow_flight::error::FlightError;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTables};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use tonic::Status;

use tidewater_security::Principal;

use super::keys;
use super::status::to_status;
use crate::service::{QueryService, TableEntry, TableKind};
use crate::sql_types;
use crate::wire::wire_schema;

/// Table types as JDBC names them.
pub(super) const TABLE: &str = "TABLE";
pub(super) const VIEW: &str = "VIEW";

type Batch = Result<Result<RecordBatch, FlightError>, Status>;

pub(super) async fn schemas(service: &QueryService, principal: &Principal, query: CommandGetDbSchemas) -> Batch {
    let catalog = service.catalog_name().to_owned();
    let names: BTreeSet<String> = service
        .schemas(principal)
        .await
        .map_err(to_status)?
        .into_iter()
        .collect();
    let mut builder = query.into_builder();
    for name in names {
        builder.append(&catalog, name);
    }
    Ok(builder.build())
}

pub(super) async fn tables(service: &QueryService, principal: &Principal, query: CommandGetTables) -> Batch {
    let catalog = service.catalog_name().to_owned();
    let tables = service.tables(principal).await.map_err(to_status)?;
    let mut builder = query.into_builder();
    for table in tables {
        let kind = match table.kind {
            TableKind::Table => TABLE,
            TableKind::View => VIEW,
        };
        let schema = described(&catalog, &table);
        if let Err(error) = builder.append(&catalog, &table.schema, &table.name, kind, &schema) {
            return Ok(Err(error));
        }
    }
    Ok(builder.build())
}

pub(super) async fn primary_keys(service: &QueryService, principal: &Principal, query: CommandGetPrimaryKeys) -> Batch {
    let mut tables = Vec::new();
    if query
        .catalog
        .as_deref()
        .is_none_or(|catalog| catalog == service.catalog_name())
    {
        let named = service.tables_named(principal, query.db_schema.as_deref(), &query.table);
        tables = named.await.map_err(to_status)?;
    }
    let rows = tables
        .iter()
        .map(|table| keys::primary_key_rows(service.catalog_name(), &table.schema, &table.name, &table.key));
    let rows = rows.collect::<Result<Vec<_>, _>>();
    let rows = rows.and_then(|rows| concat_batches(&keys::primary_key_schema(), &rows));
    Ok(rows.map_err(FlightError::from))
}

/// The columns with what JDBC and Power BI read from their metadata (FlightSql.proto, CommandGetTables).
fn described(catalog: &str, table: &TableEntry) -> Schema {
    let fields: Vec<Field> = wire_schema(&table.columns)
        .fields()
        .iter()
        .map(|field| {
            let mut metadata: HashMap<String, String> = [
                ("CATALOG_NAME", catalog),
                ("DB_SCHEMA_NAME", table.schema.as_str()),
                // As the libraries of C++, Go and Java call it.
                ("SCHEMA_NAME", table.schema.as_str()),
                ("TABLE_NAME", table.name.as_str()),
                ("IS_AUTO_INCREMENT", "0"),
                (
                    "IS_CASE_SENSITIVE",
                    if *field.data_type() == DataType::Utf8 { "1" } else { "0" },
                ),
                ("IS_READ_ONLY", if table.kind == TableKind::View { "1" } else { "0" }),
                ("IS_SEARCHABLE", "1"),
            ]
            .into_iter()
            .map(|(key, value)| sql_types::entry(key, value))
            .chain(sql_types::entries(field.data_type()))
            .collect();
            if let Some(comment) = table.comments.get(field.name()) {
                metadata.extend([sql_types::entry("REMARKS", comment.clone())]);
            }
            field.as_ref().clone().with_metadata(metadata)
        })
        .collect();
    Schema::new(fields)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::SchemaRef;

    use super::*;

    // Goal: tools that read columns from the schemas of tables find what the protocol names. Method: a table with a decimal that has a
    // comment and a text that has none.
    #[test]
    fn columns_are_described() {
        let columns = Schema::new(vec![
            Field::new("price", DataType::Decimal128(12, 2), false),
            Field::new("name", DataType::Utf8View, true),
        ]);
        let table = TableEntry {
            schema: "gold".into(),
            name: "orders".into(),
            kind: TableKind::Table,
            columns: SchemaRef::new(columns),
            key: Vec::new(),
            comments: HashMap::from([("price".to_owned(), "in cents".to_owned())]),
        };
        let described = described("lake", &table);
        let of = |column: usize, key: &str| {
            let metadata = described.field(column).metadata();
            metadata.get(&format!("ARROW:FLIGHT:SQL:{key}")).cloned()
        };
        for (key, value) in [
            ("CATALOG_NAME", "lake"),
            ("SCHEMA_NAME", "gold"),
            ("DB_SCHEMA_NAME", "gold"),
            ("IS_READ_ONLY", "0"),
            ("TABLE_NAME", "orders"),
            ("TYPE_NAME", "DECIMAL"),
            ("PRECISION", "12"),
            ("SCALE", "2"),
            ("IS_AUTO_INCREMENT", "0"),
            ("IS_SEARCHABLE", "1"),
            ("REMARKS", "in cents"),
        ] {
            assert_eq!(of(0, key).as_deref(), Some(value), "{key}");
        }
        assert_eq!(of(1, "TYPE_NAME").as_deref(), Some("VARCHAR"));
        assert_eq!((of(1, "REMARKS"), of(1, "SCALE")), (None, None));
        assert_eq!(described.field(1).data_type(), &DataType::Utf8);
    }
}
