//! One open connection to a Flight SQL endpoint, answers as text.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

use super::Node;

/// Far longer than any statement of a test takes: a query that never ends must not stop the suite.
const DEADLINE: Duration = Duration::from_secs(30);

/// The connection, with a runtime of its own.
pub struct Sql {
    runtime: Runtime,
    client: FlightSqlServiceClient<Channel>,
}

/// Values by row; `None` is null.
pub type Rows = Vec<Vec<Option<String>>>;

impl Sql {
    /// Connects to a process that is ready.
    pub fn connect(node: &Node) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let url = format!("http://127.0.0.1:{}", node.ports().flight);
        let channel = runtime.block_on(Endpoint::from_shared(url).unwrap().connect()).unwrap();
        let client = FlightSqlServiceClient::new(channel);
        Self { runtime, client }
    }

    /// Runs one statement; what the server says if it refuses.
    pub fn run(&mut self, sql: &str) -> Result<Vec<RecordBatch>, String> {
        let client = &mut self.client;
        let ask = async move {
            let info = client.execute(sql.to_owned(), None).await?;
            let mut batches = Vec::new();
            for ticket in info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket) {
                let stream = client.do_get(ticket).await?;
                batches.extend(stream.try_collect::<Vec<_>>().await?);
            }
            Ok::<_, FlightError>(batches)
        };
        let timed = async { tokio::time::timeout(DEADLINE, ask).await };
        let Ok(answered) = self.runtime.block_on(timed) else {
            return Err(format!("no answer within {DEADLINE:?}"));
        };
        answered.map_err(|error| match error {
            FlightError::Tonic(status) => status.message().to_owned(),
            other => other.to_string(),
        })
    }

    /// The same, as text.
    pub fn rows(&mut self, sql: &str) -> Result<Rows, String> {
        Ok(self.run(sql)?.iter().flat_map(text).collect())
    }
}

/// Each value as text.
pub fn text(batch: &RecordBatch) -> Rows {
    let options = FormatOptions::default();
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
        .collect();
    let row = |at: usize| {
        let value = |(column, shown): (&arrow::array::ArrayRef, &ArrayFormatter<'_>)| {
            column.is_valid(at).then(|| shown.value(at).to_string())
        };
        batch.columns().iter().zip(&columns).map(value).collect()
    };
    (0..batch.num_rows()).map(row).collect()
}
