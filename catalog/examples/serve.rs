//! A catalog with one voter: `serve DIR [PORT [WAREHOUSE]]`. Prints its URI when it is ready; ends on Ctrl-C.
//! With `SERVE_USER=name:password` in the environment only that user gets in.
#![expect(clippy::print_stdout, reason = "the URI is this program's result")]

use std::sync::Arc;
use std::time::Duration;

use tidewater_catalog::raft::{RaftConsensus, RaftOptions};
use tidewater_catalog::{Access, CatalogOptions, CatalogServer, Warehouse};
use tidewater_core::{SystemClock, SystemRng, Tasks};
use tidewater_security::authenticator::hash_password;
use tidewater_security::{Authenticator, TokenKey, UserSettings};
use tidewater_table::{FileStore, StoreOptions};

/// How long everything may take to end.
const END_DEADLINE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("usage: serve DIR [PORT [WAREHOUSE]]")?;
    let port: u16 = arguments.next().map_or(Ok(0), |port| port.parse())?;
    std::fs::create_dir_all(&dir)?;
    let dir = std::fs::canonicalize(dir)?;

    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let uri = format!("http://{}", listener.local_addr()?);
    let (clock, rng, tasks) = (SystemClock::shared(), SystemRng::shared(), Tasks::new("catalog"));
    let options = RaftOptions::single(dir.join("raft"), uri.as_str());
    let consensus = RaftConsensus::start(options, Arc::clone(&clock), Arc::clone(&rng)).await?;
    let store = FileStore::new(StoreOptions::default(), Arc::clone(&clock), Arc::clone(&rng));
    let lake = arguments
        .next()
        .unwrap_or_else(|| dir.join("lake").to_string_lossy().into_owned());
    let warehouse = Warehouse::new("lake", &lake)?;
    let mut options = CatalogOptions::new(
        Arc::new(consensus.clone()),
        Arc::new(store),
        warehouse,
        Arc::clone(&clock),
        Arc::clone(&rng),
        tasks.clone(),
    );
    if let Ok(user) = std::env::var("SERVE_USER") {
        let (name, password) = user.split_once(':').ok_or("SERVE_USER is name:password")?;
        let user = UserSettings {
            name: name.to_owned(),
            password_hash: hash_password(password, &rng)?,
        };
        let key = TokenKey::derive(rng.uuid().as_bytes());
        options.access = Access::Users(Arc::new(Authenticator::new(vec![user], key, clock)?));
    }
    let server = CatalogServer::new(options);
    let ended = tasks.token();
    tasks.spawn("signal", async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => ended.cancel(),
            () = ended.cancelled() => {}
        }
    });
    println!("{uri}");
    server.serve(listener).await?;
    tasks.shutdown(END_DEADLINE).await;
    consensus.shutdown(END_DEADLINE).await;
    Ok(())
}
