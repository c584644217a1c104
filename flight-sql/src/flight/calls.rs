//! The calls of Flight SQL, each handed on to what serves it.

use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionBeginTransactionRequest, ActionBeginTransactionResult, ActionCancelQueryRequest, ActionCancelQueryResult,
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementQuery,
    CommandStatementUpdate, DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{Action, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse, Ticket};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use prost::Message;
use tonic::{Request, Response, Status, Streaming};

use super::answers::one_batch;
use super::{DataStream, FlightSql, cancel, coming, flight_info, ingest, keys, metadata, sql_info};

type Rows = Response<<FlightSql as FlightService>::DoGetStream>;
type Info = Response<FlightInfo>;

impl FlightSql {
    /// What is told of a metadata command, which is its own ticket.
    async fn told(
        &self,
        request: Request<FlightDescriptor>,
        schema: &Schema,
        command: &impl ProstMessageExt,
    ) -> Result<Info, Status> {
        self.principal(&request).await?;
        flight_info(schema, command.as_any().encode_to_vec(), request.into_inner())
    }

    /// The answer about foreign keys, of which there are none.
    async fn no_keys(&self, request: Request<Ticket>) -> Result<Rows, Status> {
        self.principal(&request).await?;
        one_batch(Ok(RecordBatch::new_empty(keys::foreign_key_schema())))
    }
}

#[tonic::async_trait]
impl FlightSqlService for FlightSql {
    type FlightService = Self;

    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<DataStream<HandshakeResponse>>, Status> {
        self.let_in(request).await
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Info, Status> {
        self.statement_info(query, request).await
    }

    async fn do_get_statement(&self, ticket: TicketStatementQuery, request: Request<Ticket>) -> Result<Rows, Status> {
        self.statement_rows(ticket, request).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        self.prepare(query, request).await
    }

    async fn do_action_close_prepared_statement(
        &self,
        _: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        self.principal(&request).await.map(drop)
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        self.bind(query, request).await
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Info, Status> {
        self.prepared_info(query, request).await
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Rows, Status> {
        self.prepared_rows(query, request).await
    }

    async fn do_put_statement_update(
        &self,
        update: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        self.statement_update(update, request).await
    }

    async fn do_put_prepared_statement_update(
        &self,
        query: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        self.prepared_update(query, request).await
    }

    async fn do_put_statement_ingest(
        &self,
        command: CommandStatementIngest,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let principal = self.principal(&request).await?;
        let front = self.of(&principal, &request);
        let rows = coming::rows(&front.service, request.into_inner());
        ingest::ingest(&front.service, &principal, command, rows).await
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Info, Status> {
        let schema = query.into_builder().schema();
        self.told(request, &schema, &query).await
    }

    async fn do_get_catalogs(&self, query: CommandGetCatalogs, request: Request<Ticket>) -> Result<Rows, Status> {
        self.principal(&request).await?;
        let mut builder = query.into_builder();
        builder.append(self.service.catalog_name());
        one_batch(builder.build())
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Info, Status> {
        let schema = query.clone().into_builder().schema();
        self.told(request, &schema, &query).await
    }

    async fn do_get_schemas(&self, query: CommandGetDbSchemas, request: Request<Ticket>) -> Result<Rows, Status> {
        let principal = self.principal(&request).await?;
        one_batch(metadata::schemas(&self.service, &principal, query).await?)
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Info, Status> {
        let schema = query.clone().into_builder().schema();
        self.told(request, &schema, &query).await
    }

    async fn do_get_tables(&self, query: CommandGetTables, request: Request<Ticket>) -> Result<Rows, Status> {
        let principal = self.principal(&request).await?;
        one_batch(metadata::tables(&self.service, &principal, query).await?)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Info, Status> {
        let schema = query.into_builder().schema();
        self.told(request, &schema, &query).await
    }

    async fn do_get_table_types(&self, query: CommandGetTableTypes, request: Request<Ticket>) -> Result<Rows, Status> {
        self.principal(&request).await?;
        let mut builder = query.into_builder();
        builder.append(metadata::TABLE);
        builder.append(metadata::VIEW);
        one_batch(builder.build())
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Info, Status> {
        let schema = sql_info::schema(&query.clone().into_builder(&self.sql_info).schema());
        self.told(request, &schema, &query).await
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, request: Request<Ticket>) -> Result<Rows, Status> {
        self.principal(&request).await?;
        let told = query.into_builder(&self.sql_info).build();
        one_batch(told.and_then(|told| sql_info::values(&told).map_err(FlightError::from)))
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Info, Status> {
        let schema = query.into_builder(&self.type_info).schema();
        self.told(request, &schema, &query).await
    }

    async fn do_get_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<Ticket>,
    ) -> Result<Rows, Status> {
        self.principal(&request).await?;
        one_batch(query.into_builder(&self.type_info).build())
    }

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Info, Status> {
        self.told(request, &keys::primary_key_schema(), &query).await
    }

    async fn do_get_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<Ticket>,
    ) -> Result<Rows, Status> {
        let principal = self.principal(&request).await?;
        one_batch(metadata::primary_keys(&self.service, &principal, query).await?)
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Info, Status> {
        self.told(request, &keys::foreign_key_schema(), &query).await
    }

    async fn do_get_exported_keys(&self, _: CommandGetExportedKeys, request: Request<Ticket>) -> Result<Rows, Status> {
        self.no_keys(request).await
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Info, Status> {
        self.told(request, &keys::foreign_key_schema(), &query).await
    }

    async fn do_get_imported_keys(&self, _: CommandGetImportedKeys, request: Request<Ticket>) -> Result<Rows, Status> {
        self.no_keys(request).await
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Result<Info, Status> {
        self.told(request, &keys::foreign_key_schema(), &query).await
    }

    async fn do_get_cross_reference(
        &self,
        _: CommandGetCrossReference,
        request: Request<Ticket>,
    ) -> Result<Rows, Status> {
        self.no_keys(request).await
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
        let principal = self.principal(&request).await?;
        Ok(ActionCancelQueryResult {
            result: cancel::query(&self.service, &principal, query.info).await?,
        })
    }

    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Result<Response<<Self as FlightService>::DoActionStream>, Status> {
        self.act(request).await
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}
