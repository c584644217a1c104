//! Statements that change something, for clients that want the number of rows and nothing else.

use arrow_flight::sql::server::PeekableFlightDataStream;
use arrow_flight::sql::{CommandPreparedStatementUpdate, CommandStatementUpdate};
use tonic::{Request, Status};

use tidewater_security::Principal;

use super::queries::no_transaction;
use super::status::to_status;
use super::{FlightSql, coming, parameters};
use crate::handle::Statement;

impl FlightSql {
    pub(super) async fn statement_update(
        &self,
        update: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let principal = self.principal(&request).await?;
        no_transaction(update.transaction_id.as_ref())?;
        let front = self.of(&principal, &request);
        front.update(&principal, &front.statement(update.query)).await
    }

    pub(super) async fn prepared_update(
        &self,
        query: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let principal = self.principal(&request).await?;
        let (front, mut statement) = self.prepared(&principal, &query.prepared_statement_handle, &request)?;
        let rows = parameters::read_rows(coming::rows(&front.service, request.into_inner())).await?;
        if rows.is_empty() {
            return front.update(&principal, &statement).await;
        }
        if rows.len() > 1 && self.service.takes_rows(&statement.sql) {
            statement.parameters = parameters::together(&rows)?;
            return front.update(&principal, &statement).await;
        }
        let mut changed = 0;
        for row in rows {
            statement.parameters = row;
            changed += front.update(&principal, &statement).await?;
        }
        Ok(changed)
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
}
