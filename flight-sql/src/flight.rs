//! The Flight SQL front: it carries statements to the query service and results back, and has no logic of its own.

use std::pin::Pin;
use std::sync::Arc;

use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::metadata::{SqlInfoData, XdbcTypeInfoData};
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionBeginTransactionRequest, ActionBeginTransactionResult, ActionCancelQueryRequest, ActionCancelQueryResult,
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementQuery,
    CommandStatementUpdate, DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{
    Action, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse, IpcMessage, SchemaAsIpc,
    Ticket,
};
use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::writer::IpcWriteOptions;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use tidewater_security::Principal;

use crate::error::QueryError;
use crate::handle::Statement;
use crate::service::QueryService;

mod answers;
pub mod authentication;
mod cancel;
mod ingest;
pub mod keys;
mod metadata;
pub mod options;
mod parameters;
mod schema_calls;
pub mod sql_info;
pub mod status;

use self::answers::one_batch;
use self::status::to_status;
pub use schema_calls::WithSchemaCalls;

/// What a data stream of a response is.
type DataStream<S> = Pin<Box<dyn Stream<Item = Result<S, Status>> + Send>>;

/// The Flight SQL front of a query service.
#[derive(Clone)]
pub struct FlightSql {
    service: QueryService,
    sql_info: Arc<SqlInfoData>,
    type_info: Arc<XdbcTypeInfoData>,
}

impl std::fmt::Debug for FlightSql {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlightSql")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

impl FlightSql {
    /// In front of `service`.
    pub fn new(service: QueryService) -> Result<Self, QueryError> {
        let sql_info = sql_info::sql_info(&service.functions()).map_err(QueryError::encoding)?;
        let type_info = sql_info::type_info().map_err(QueryError::encoding)?;
        Ok(Self {
            service,
            sql_info: sql_info.into(),
            type_info: type_info.into(),
        })
    }

    /// The same front for the client of this call.
    fn of(&self, metadata: &MetadataMap) -> Self {
        let mut front = self.clone();
        front.service = self.service.of_client(authentication::client(metadata));
        front
    }

    async fn principal(&self, metadata: &MetadataMap) -> Result<Principal, Status> {
        authentication::principal(&self.service, metadata)
            .await
            .map_err(to_status)
    }

    async fn info(
        &self,
        principal: &Principal,
        mut statement: Statement,
        descriptor: FlightDescriptor,
    ) -> Result<Response<FlightInfo>, Status> {
        statement.id = self.service.fresh_id();
        // What changes something is done here, once: a client may fetch the rows of an answer as often as it likes.
        let schema = match self.service.change(principal, &statement).await.map_err(to_status)? {
            Some(changed) => {
                let (schema, answer) = changed.answer().map_err(to_status)?;
                statement.answer = answer;
                schema
            }
            None => self
                .service
                .result_schema(principal, &statement)
                .await
                .map_err(to_status)?,
        };
        let ticket = TicketStatementQuery {
            statement_handle: statement.seal(self.service.key()),
        };
        flight_info(&schema, ticket.as_any().encode_to_vec(), descriptor)
    }

    /// Carries out what changes something: the number of rows.
    async fn update(&self, principal: &Principal, statement: &Statement) -> Result<i64, Status> {
        let statement = Statement {
            id: self.service.fresh_id(),
            ..statement.clone()
        };
        match self.service.change(principal, &statement).await.map_err(to_status)? {
            Some(changed) => Ok(changed.rows()),
            None => Err(Status::invalid_argument(
                "the statement returns rows: send it as a query",
            )),
        }
    }

    async fn rows(
        &self,
        principal: &Principal,
        statement: &Statement,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let results = match self.service.answered(statement).map_err(to_status)? {
            Some(results) => results,
            None => self.service.run(principal, statement).await.map_err(to_status)?,
        };
        let batches = results
            .batches
            .map_err(|error| FlightError::Tonic(Box::new(to_status(error))));
        // A driver that is sent no batch at all does not know the columns of an empty result.
        let empty = RecordBatch::new_empty(results.schema.clone());
        let encoder = FlightDataEncoderBuilder::new().with_schema(results.schema);
        let first = stream::once(async move { Ok(empty) });
        let data = encoder.build(first.chain(batches)).map_err(Status::from);
        Ok(Response::new(Box::pin(data)))
    }
}

/// An answer of one endpoint at the place the client is connected to already.
fn flight_info(
    schema: &Schema,
    ticket: impl Into<Bytes>,
    descriptor: FlightDescriptor,
) -> Result<Response<FlightInfo>, Status> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
    let info = FlightInfo::new()
        .try_with_schema(schema)
        .map_err(arrow_status)?
        .with_endpoint(endpoint)
        .with_descriptor(descriptor)
        .with_total_records(-1)
        .with_total_bytes(-1);
    Ok(Response::new(info))
}

fn arrow_status(error: ArrowError) -> Status {
    to_status(QueryError::encoding(error))
}

fn schema_bytes(schema: &Schema) -> Result<Bytes, Status> {
    let options = IpcWriteOptions::default();
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &options).try_into().map_err(arrow_status)?;
    Ok(bytes)
}

#[tonic::async_trait]
impl FlightSqlService for FlightSql {
    type FlightService = Self;

    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<DataStream<HandshakeResponse>>, Status> {
        let token = authentication::handshake(&self.service, request.metadata())
            .await
            .map_err(to_status)?;
        let answer = HandshakeResponse {
            protocol_version: 0,
            payload: Bytes::from(token.clone()),
        };
        let answers: DataStream<HandshakeResponse> = Box::pin(stream::once(async move { Ok(answer) }));
        let mut response = Response::new(answers);
        // The JDBC driver reads the token from this header only.
        let header = format!("Bearer {token}")
            .parse()
            .map_err(|_| Status::internal("a token that is no header"))?;
        response.metadata_mut().insert("authorization", header);
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let principal = self.principal(request.metadata()).await?;
        let front = self.of(request.metadata());
        front
            .info(&principal, Statement::new(query.query), request.into_inner())
            .await
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let principal = self.principal(request.metadata()).await?;
        let statement = Statement::open(&ticket.statement_handle, self.service.key()).map_err(to_status)?;
        Box::pin(self.of(request.metadata()).rows(&principal, &statement)).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let principal = self.principal(request.metadata()).await?;
        let prepared = self
            .service
            .prepare(&principal, &query.query)
            .await
            .map_err(to_status)?;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: Statement::new(query.query).seal(self.service.key()),
            dataset_schema: schema_bytes(&prepared.schema)?,
            parameter_schema: schema_bytes(&prepared.parameters)?,
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        _: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        self.principal(request.metadata()).await.map(drop)
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        self.principal(request.metadata()).await?;
        let mut statement = Statement::open(&query.prepared_statement_handle, self.service.key()).map_err(to_status)?;
        statement.parameters = parameters::read(request.into_inner()).await?;
        Ok(DoPutPreparedStatementResult {
            prepared_statement_handle: Some(statement.seal(self.service.key())),
        })
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let principal = self.principal(request.metadata()).await?;
        let statement = Statement::open(&query.prepared_statement_handle, self.service.key()).map_err(to_status)?;
        let front = self.of(request.metadata());
        front.info(&principal, statement, request.into_inner()).await
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let principal = self.principal(request.metadata()).await?;
        let statement = Statement::open(&query.prepared_statement_handle, self.service.key()).map_err(to_status)?;
        Box::pin(self.of(request.metadata()).rows(&principal, &statement)).await
    }

    async fn do_put_statement_update(
        &self,
        update: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let principal = self.principal(request.metadata()).await?;
        self.of(request.metadata())
            .update(&principal, &Statement::new(update.query))
            .await
    }

    async fn do_put_prepared_statement_update(
        &self,
        query: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let principal = self.principal(request.metadata()).await?;
        let mut statement = Statement::open(&query.prepared_statement_handle, self.service.key()).map_err(to_status)?;
        let front = self.of(request.metadata());
        let rows = parameters::read_rows(request.into_inner()).await?;
        if rows.is_empty() {
            return front.update(&principal, &statement).await;
        }
        let mut changed = 0;
        for row in rows {
            statement.parameters = row;
            changed += front.update(&principal, &statement).await?;
        }
        Ok(changed)
    }

    async fn do_put_statement_ingest(
        &self,
        command: CommandStatementIngest,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let principal = self.principal(request.metadata()).await?;
        ingest::ingest(&self.service, &principal, command, request.into_inner()).await
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.principal(request.metadata()).await?;
        flight_info(
            &query.into_builder().schema(),
            query.as_any().encode_to_vec(),
            request.into_inner(),
        )
    }

    async fn do_get_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        self.principal(request.metadata()).await?;
        let mut builder = query.into_builder();
        builder.append(self.service.catalog_name());
        one_batch(builder.build())
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.principal(request.metadata()).await?;
        let ticket = query.as_any().encode_to_vec();
        flight_info(&query.into_builder().schema(), ticket, request.into_inner())
    }

    async fn do_get_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let principal = self.principal(request.metadata()).await?;
        one_batch(metadata::schemas(&self.service, &principal, query).await?)
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.principal(request.metadata()).await?;
        let ticket = query.as_any().encode_to_vec();
        flight_info(&query.into_builder().schema(), ticket, request.into_inner())
    }

    async fn do_get_tables(
        &self,
        query: CommandGetTables,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let principal = self.principal(request.metadata()).await?;
        one_batch(metadata::tables(&self.service, &principal, query).await?)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.principal(request.metadata()).await?;
        flight_info(
            &query.into_builder().schema(),
            query.as_any().encode_to_vec(),
            request.into_inner(),
        )
    }

    async fn do_get_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        self.principal(request.metadata()).await?;
        let mut builder = query.into_builder();
        builder.append(metadata::TABLE);
        builder.append(metadata::VIEW);
        one_batch(builder.build())
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.principal(request.metadata()).await?;
        let ticket = query.as_any().encode_to_vec();
        flight_info(
            &query.into_builder(&self.sql_info).schema(),
            ticket,
            request.into_inner(),
        )
    }

    async fn do_get_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        self.principal(request.metadata()).await?;
        one_batch(query.into_builder(&self.sql_info).build())
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.principal(request.metadata()).await?;
        let ticket = query.as_any().encode_to_vec();
        flight_info(
            &query.into_builder(&self.type_info).schema(),
            ticket,
            request.into_inner(),
        )
    }

    async fn do_get_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        self.principal(request.metadata()).await?;
        one_batch(query.into_builder(&self.type_info).build())
    }

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.principal(request.metadata()).await?;
        flight_info(
            &keys::primary_key_schema(),
            query.as_any().encode_to_vec(),
            request.into_inner(),
        )
    }

    async fn do_get_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let principal = self.principal(request.metadata()).await?;
        one_batch(metadata::primary_keys(&self.service, &principal, query).await?)
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.principal(request.metadata()).await?;
        flight_info(
            &keys::foreign_key_schema(),
            query.as_any().encode_to_vec(),
            request.into_inner(),
        )
    }

    async fn do_get_exported_keys(
        &self,
        _: CommandGetExportedKeys,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        self.principal(request.metadata()).await?;
        one_batch(Ok(RecordBatch::new_empty(keys::foreign_key_schema())))
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.principal(request.metadata()).await?;
        flight_info(
            &keys::foreign_key_schema(),
            query.as_any().encode_to_vec(),
            request.into_inner(),
        )
    }

    async fn do_get_imported_keys(
        &self,
        _: CommandGetImportedKeys,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        self.principal(request.metadata()).await?;
        one_batch(Ok(RecordBatch::new_empty(keys::foreign_key_schema())))
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.principal(request.metadata()).await?;
        flight_info(
            &keys::foreign_key_schema(),
            query.as_any().encode_to_vec(),
            request.into_inner(),
        )
    }

    async fn do_get_cross_reference(
        &self,
        _: CommandGetCrossReference,
        request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        self.principal(request.metadata()).await?;
        one_batch(Ok(RecordBatch::new_empty(keys::foreign_key_schema())))
    }

    async fn do_action_begin_transaction(
        &self,
        _: ActionBeginTransactionRequest,
        _: Request<Action>,
    ) -> Result<ActionBeginTransactionResult, Status> {
        Err(Status::unimplemented(
            "transactions are not supported: every statement stands alone",
        ))
    }

    async fn do_action_cancel_query(
        &self,
        query: ActionCancelQueryRequest,
        request: Request<Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        let principal = self.principal(request.metadata()).await?;
        Ok(ActionCancelQueryResult {
            result: cancel::query(&self.service, &principal, query.info)?,
        })
    }

    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Result<Response<<Self as FlightService>::DoActionStream>, Status> {
        let principal = self.principal(request.metadata()).await?;
        let action = request.into_inner();
        let body = match options::answer(&action, self.service.catalog_name())? {
            Some(body) => body,
            None if action.r#type == "CancelFlightInfo" => {
                let status = cancel::flight_info(&self.service, &principal, action.body)?;
                arrow_flight::CancelFlightInfoResult { status }.encode_to_vec()
            }
            None => {
                return Err(Status::unimplemented(format!(
                    "action {} is not supported",
                    action.r#type
                )));
            }
        };
        let result = arrow_flight::Result { body: body.into() };
        Ok(Response::new(Box::pin(stream::once(async move { Ok(result) }))))
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}
