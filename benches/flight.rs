//! Queries over Flight SQL, as any client makes them.

use anyhow::{Context, Result};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use tonic::transport::{Channel, Endpoint};

/// A connection.
#[derive(Debug)]
pub(crate) struct Sql(FlightSqlServiceClient<Channel>);

impl Sql {
    pub(crate) async fn connect(address: &str) -> Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
        Ok(Self(FlightSqlServiceClient::new(channel)))
    }

    async fn fetch(&mut self, sql: &str) -> Result<Vec<RecordBatch>> {
        let info = self.0.execute(sql.to_owned(), None).await?;
        let mut batches = Vec::new();
        for ticket in info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket) {
            let stream = self.0.do_get(ticket).await?;
            batches.extend(stream.try_collect::<Vec<_>>().await?);
        }
        Ok(batches)
    }

    /// Rows of numbers; timestamps come as their count of microseconds, nulls as nothing.
    pub(crate) async fn numbers(&mut self, sql: &str) -> Result<Vec<Vec<Option<i64>>>> {
        let batches = self.fetch(sql).await.with_context(|| format!("query {sql}"))?;
        let mut rows = Vec::new();
        for batch in batches {
            let columns = batch
                .columns()
                .iter()
                .map(|column| cast(column, &DataType::Int64))
                .collect::<Result<Vec<_>, _>>()?;
            rows.extend((0..batch.num_rows()).map(|row| {
                let value = |column: &arrow::array::ArrayRef| {
                    let numbers = column.as_primitive::<Int64Type>();
                    numbers.is_valid(row).then(|| numbers.value(row))
                };
                columns.iter().map(value).collect()
            }));
        }
        Ok(rows)
    }

    /// The one number of a query; none if it is null or there is no row.
    pub(crate) async fn number(&mut self, sql: &str) -> Result<Option<i64>> {
        Ok(self
            .numbers(sql)
            .await?
            .first()
            .and_then(|row| row.first().copied().flatten()))
    }
}
