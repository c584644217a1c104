//! What one catalog, or a group of three, is measured at in processes of their own: `measure failover [KILLS]`, `measure group`,
//! `measure tables`. Figures are printed and go to `benches/results`. It needs the example `serve` built beside it.
#![expect(clippy::print_stdout, reason = "figures are this program's result")]

mod failover;
mod group;
mod process;
mod report;
mod tables;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Leaders that are killed when nobody says how many.
const KILLS: usize = 50;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let report = match arguments.next().as_deref() {
        Some("failover") => failover::run(arguments.next().map_or(Ok(KILLS), |kills| kills.parse())?).await?,
        Some("group") => group::run().await?,
        Some("tables") => tables::run().await?,
        _ => return Err("usage: measure failover [KILLS] | group | tables".into()),
    };
    report.write()
}
