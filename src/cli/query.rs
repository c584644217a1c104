//! `tidewater query SQL`: through the Flight SQL endpoint, as any other client.

use arrow::array::RecordBatch;
use arrow::json::writer::{ArrayWriter, JsonArray, WriterBuilder};
use arrow::util::pretty::pretty_format_batches;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use clap::Args;
use futures::TryStreamExt;
use tonic::transport::{Channel, Endpoint};

use super::block_on;
use super::failure::Failure;
use super::output::Output;
use super::progress::Progress;
use crate::settings::Settings;

#[derive(Debug, Args)]
pub(super) struct QueryArgs {
    /// The statement
    sql: String,
    /// The endpoint; by default the one of the configuration
    #[arg(long, value_name = "HOST:PORT")]
    endpoint: Option<String>,
    /// User name; the password comes from TIDEWATER_PASSWORD
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

pub(super) fn run(settings: &Settings, args: QueryArgs, output: &Output) -> Result<(), Failure> {
    let endpoint = args
        .endpoint
        .clone()
        .unwrap_or_else(|| settings.flight_sql.listen.to_string());
    let progress = Progress::start("running the query");
    let batches = block_on(async {
        let mut client = connect(&endpoint).await?;
        if let Some(user) = &args.user {
            let password = std::env::var("TIDEWATER_PASSWORD").unwrap_or_default();
            client
                .handshake(user, &password)
                .await
                .map_err(|error| refused(&error))?;
        }
        fetch(&mut client, args.sql).await
    });
    drop(progress);
    print(&batches?, output)
}

async fn connect(endpoint: &str) -> Result<FlightSqlServiceClient<Channel>, Failure> {
    let unreachable = |error: tonic::transport::Error| {
        Failure::new(format!("cannot reach the Flight SQL endpoint {endpoint}: {error}"))
            .hint("start it with: tidewater up, or name another with --endpoint")
    };
    let channel = Endpoint::from_shared(format!("http://{endpoint}"))
        .map_err(unreachable)?
        .connect()
        .await
        .map_err(unreachable)?;
    Ok(FlightSqlServiceClient::new(channel))
}

async fn fetch(client: &mut FlightSqlServiceClient<Channel>, sql: String) -> Result<Vec<RecordBatch>, Failure> {
    let info = client.execute(sql, None).await.map_err(|error| refused(&error))?;
    let mut batches = Vec::new();
    for endpoint in info.endpoint {
        let Some(ticket) = endpoint.ticket else { continue };
        let stream = client.do_get(ticket).await.map_err(|error| refused(&error))?;
        let part: Vec<RecordBatch> = stream.try_collect().await.map_err(|error| refused(&error))?;
        batches.extend(part);
    }
    Ok(batches)
}

/// The server's words without what the transport wraps around them.
fn refused(error: &FlightError) -> Failure {
    let text = match error {
        FlightError::Tonic(status) => status.message().to_owned(),
        other => other.to_string(),
    };
    match text.split_once("; hint: ") {
        Some((message, hint)) => Failure::new(message).hint(hint),
        None => Failure::new(text),
    }
}

fn print(batches: &[RecordBatch], output: &Output) -> Result<(), Failure> {
    let failed = |error: arrow::error::ArrowError| Failure::new(format!("cannot print the result: {error}"));
    if output.is_json() {
        let mut writer: ArrayWriter<Vec<u8>> = WriterBuilder::new()
            .with_explicit_nulls(true)
            .build::<_, JsonArray>(Vec::new());
        writer
            .write_batches(&batches.iter().collect::<Vec<_>>())
            .map_err(failed)?;
        writer.finish().map_err(failed)?;
        let text = String::from_utf8(writer.into_inner()).unwrap_or_default();
        return output.line(if text.is_empty() { "[]" } else { &text });
    }
    output.line(&pretty_format_batches(batches).map_err(failed)?.to_string())
}
