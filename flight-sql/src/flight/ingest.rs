//! Bulk loads (`CommandStatementIngest`): the rows of one stream become one commit.

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};
use datafusion::arrow::array::RecordBatch;
use futures::{StreamExt, TryStreamExt};
use tonic::Status;

use tidewater_core::{Namespace, TableName};
use tidewater_engine::{BulkLoad, IfExists};
use tidewater_security::Principal;

use super::coming;
use super::status::to_status;
use crate::error::QueryError;
use crate::service::QueryService;

/// Takes the rows of `batches` in: how many there were.
pub(super) async fn ingest(
    service: &QueryService,
    principal: &Principal,
    command: CommandStatementIngest,
    mut batches: FlightRecordBatchStream,
) -> Result<i64, Status> {
    let first = batches.try_next().await.map_err(coming::status)?;
    let Some(schema) = batches.schema().cloned() else {
        return Err(Status::invalid_argument("the load has no schema"));
    };
    let (create, if_exists) = wanted(&command)?;
    let load = BulkLoad {
        table: target(service, &command)?,
        schema,
        create,
        if_exists,
    };
    let rest = batches.map_err(coming::failure);
    let rows = futures::stream::iter(first.map(Ok::<RecordBatch, QueryError>)).chain(rest);
    let rows = service
        .load(principal, &load, Box::pin(rows))
        .await
        .map_err(to_status)?;
    Ok(i64::try_from(rows).unwrap_or(i64::MAX))
}

/// Whether a table that is not there is made, and what happens to one that is there. Who says one of them has to say both
/// (FlightSql.proto: "Do not use. Servers should error if this is specified by a client.").
fn wanted(command: &CommandStatementIngest) -> Result<(bool, IfExists), Status> {
    let Some(options) = command.table_definition_options.as_ref() else {
        return Ok((false, IfExists::Fail));
    };
    let unknown = |option: &str, value: i32| {
        Status::invalid_argument(format!(
            "table_definition_options.{option} is {value}, which says nothing"
        ))
    };
    let create = match TableNotExistOption::try_from(options.if_not_exist) {
        Ok(TableNotExistOption::Create) => true,
        Ok(TableNotExistOption::Fail) => false,
        Ok(TableNotExistOption::Unspecified) | Err(_) => return Err(unknown("if_not_exist", options.if_not_exist)),
    };
    let if_exists = match TableExistsOption::try_from(options.if_exists) {
        Ok(TableExistsOption::Append) => IfExists::Append,
        Ok(TableExistsOption::Replace) => IfExists::Replace,
        Ok(TableExistsOption::Fail) => IfExists::Fail,
        Ok(TableExistsOption::Unspecified) | Err(_) => return Err(unknown("if_exists", options.if_exists)),
    };
    Ok((create, if_exists))
}

fn target(service: &QueryService, command: &CommandStatementIngest) -> Result<TableName, Status> {
    if command.temporary || command.transaction_id.as_ref().is_some_and(|id| !id.is_empty()) {
        return Err(Status::unimplemented(
            "loads into temporary tables or as part of a transaction are not supported",
        ));
    }
    if let Some(catalog) = command
        .catalog
        .as_ref()
        .filter(|catalog| *catalog != service.catalog_name())
    {
        return Err(Status::not_found(format!("there is no catalog {catalog:?}")));
    }
    let schema = command
        .schema
        .clone()
        .unwrap_or_else(|| service.default_schema().to_owned());
    let unnamed = |error: tidewater_core::NameError| Status::invalid_argument(format!("the table's name: {error}"));
    let namespace: Namespace = schema.parse().map_err(unnamed)?;
    TableName::new(namespace, command.table.as_str()).map_err(unnamed)
}
