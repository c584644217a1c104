//! Serves Flight SQL, and the PostgreSQL wire one port above, over a catalog in memory, for the probes of `tests/peers/bi`.
//!
//! `cargo run -p tidewater-flight-sql --example serve_sql -- PORT [USER PASSWORD]`

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{Decimal128Array, Int64Array, RecordBatch, StringArray};
use tokio::net::TcpListener;

use tidewater_core::{SystemClock, SystemRng, Tasks};
use tidewater_engine::{CpuRunner, CpuRuntime, Engine, EngineOptions};
use tidewater_flight_sql::{PlainSessions, QueryOptions, QueryService, serve};
use tidewater_security::authenticator::hash_password;
use tidewater_security::{Authenticator, Role, TokenKey, UserSettings};
use tidewater_table::testing::MemoryCatalog;
use tidewater_table::{
    Catalog, Change, CommitOptions, DataFileWriter, FileStore, NewTable, WriteOptions, commit_change,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port = arguments.first().map_or("32010", String::as_str);
    let (clock, rng) = (SystemClock::shared(), SystemRng::shared());
    let users = match arguments.get(1).zip(arguments.get(2)) {
        Some((name, password)) => vec![UserSettings {
            name: name.clone(),
            password_hash: hash_password(password, &rng)?,
            scram: None,
            role: Role::Writer,
        }],
        None => Vec::new(),
    };
    let spill = std::env::temp_dir().join(format!("tidewater-flight-{port}"));
    let store = FileStore::system();
    let catalog = Arc::new(MemoryCatalog::new(store.clone(), "memory://lake"));
    catalog.create_namespace(&"gold".parse()?).await?;
    let options = EngineOptions::new(spill);
    let engine = Engine::open(options, catalog.clone(), store.clone(), Arc::clone(&clock), rng)?;
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from_iter_values(0..100)) as _),
        (
            "name",
            Arc::new(StringArray::from_iter_values((0..100).map(|i| format!("row {i}")))) as _,
        ),
        (
            "amount",
            Arc::new(Decimal128Array::from_iter_values(0..100).with_precision_and_scale(10, 2)?) as _,
        ),
    ])?;
    let schema = tidewater_table::schema::from_arrow(&batch.schema(), 1)?;
    let table = catalog
        .create_table(NewTable::new("gold.numbers".parse()?, schema))
        .await?;
    let mut writer = DataFileWriter::new(store.clone(), &table.metadata, WriteOptions::default())?;
    writer.write(batch).await?;
    let change = Change::append(writer.close().await?);
    commit_change(
        catalog.as_ref(),
        &store,
        &table.name,
        &change,
        &CommitOptions::default(),
    )
    .await?;
    let key = TokenKey::derive(b"example");
    let authenticator = Authenticator::new(users, key.clone(), clock)?;
    let runner = Arc::new(CpuRunner::new(Arc::new(engine.local_runner()), CpuRuntime::start(2)?));
    let service = QueryService::new(
        engine,
        runner,
        authenticator,
        key,
        QueryOptions::default(),
        Arc::new(PlainSessions),
    );
    let tasks = Tasks::new("example");
    let above = port.parse::<u16>()?.saturating_add(1);
    let listener = TcpListener::bind(format!("127.0.0.1:{above}")).await?;
    tidewater_flight_sql::postgres::serve(listener, service.clone(), None, &tasks);
    serve(
        TcpListener::bind(format!("127.0.0.1:{port}")).await?,
        service,
        None,
        &tasks,
    )?;
    tasks.token().cancelled().await;
    tasks.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
