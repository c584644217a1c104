//! Automation of the workspace: `cargo xtask tidy` checks the house rules that the compiler and clippy cannot see.

use anyhow::{Result, bail};

mod tidy;

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => tidy::run(),
        other => bail!("unknown task {:?}: use `cargo xtask tidy`", other.unwrap_or("")),
    }
}
