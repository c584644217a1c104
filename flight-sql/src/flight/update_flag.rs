//! `is_update` of a prepared statement (FlightSql.proto, `ActionCreatePreparedStatementResult`, field 4), by which newer drivers tell a
//! change from a query. The arrow-flight crate 59.3 does not carry it.

use arrow_flight::sql::{ActionCreatePreparedStatementResult, Any};
use datafusion::arrow::ipc::convert::try_schema_from_ipc_buffer;
use prost::Message;
use tonic::Status;

/// The action whose answer has it.
pub(super) const PREPARE: &str = "CreatePreparedStatement";

/// The answer that the crate knows, in front of what it does not know.
#[derive(Clone, PartialEq, Message)]
struct Flag {
    #[prost(bool, optional, tag = "4")]
    is_update: Option<bool>,
}

/// The answer with the flag: what has no columns is a change.
pub(super) fn told(answer: arrow_flight::Result) -> Result<arrow_flight::Result, Status> {
    let unreadable = |_| Status::internal("an answer that is none");
    let mut any = Any::decode(&*answer.body).map_err(unreadable)?;
    let known = ActionCreatePreparedStatementResult::decode(&*any.value).map_err(unreadable)?;
    let schema = try_schema_from_ipc_buffer(&known.dataset_schema);
    let schema = schema.map_err(|error| Status::internal(error.to_string()))?;
    let flag = Flag {
        is_update: Some(schema.fields().is_empty()),
    };
    let mut value = any.value.to_vec();
    value.extend(flag.encode_to_vec());
    any.value = value.into();
    Ok(arrow_flight::Result {
        body: any.encode_to_vec().into(),
    })
}

#[cfg(test)]
pub(super) fn flag_of(answer: &[u8]) -> Option<bool> {
    let any = Any::decode(answer).expect("an answer");
    Flag::decode(&*any.value).expect("a result").is_update
}
