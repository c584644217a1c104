//! One scan, planned by a process that does nothing else.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tidewater_core::SystemClock;
use tidewater_table::{FileStore, Scan};

use crate::{Result, large};

/// Plans after the first.
const WARM_PLANS: usize = 3;

/// What the scan asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Case {
    /// Everything.
    All,
    /// One partition of a hundred.
    Partition,
    /// One file in a hundred, by the bounds of a column, in any manifest.
    Column,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "no filter",
            Self::Partition => "partition",
            Self::Column => "column bounds",
        })
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let all = [Self::All, Self::Partition, Self::Column];
        let found = all.into_iter().find(|case| case.to_string() == name);
        found.ok_or_else(|| format!("no case {name}"))
    }
}

/// What was found; memory is what the process grew by.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) files: usize,
    pub(crate) cold_ms: f64,
    pub(crate) cold_processor_ms: f64,
    pub(crate) warm_ms: f64,
    /// The most during the first plan.
    pub(crate) peak_bytes: f64,
    /// After it, with its files.
    pub(crate) planned_bytes: f64,
    /// After all, without any files: what the caches hold.
    pub(crate) kept_bytes: f64,
}

pub(crate) async fn measure(folder: &Path, case: Case) -> Result<Measured> {
    let clock = SystemClock::shared();
    let store = FileStore::system();
    let table = large::load(&store, folder).await?;
    let condition = large::condition(case);
    let plan = || {
        Scan::new(&store, &table)
            .filter(condition.as_ref())
            .with_deletes()
            .plan()
    };
    let (resident, processor) = (resident_bytes("VmRSS")?, processor_ms()?);
    let begun = clock.monotonic();
    let files = plan().await?;
    let cold_ms = (clock.monotonic() - begun).as_secs_f64() * 1_000.0;
    let mut measured = Measured {
        files: files.len(),
        cold_ms,
        cold_processor_ms: processor_ms()? - processor,
        warm_ms: f64::INFINITY,
        peak_bytes: resident_bytes("VmHWM")? - resident,
        planned_bytes: resident_bytes("VmRSS")? - resident,
        kept_bytes: 0.0,
    };
    drop(files);
    for _ in 0..WARM_PLANS {
        let begun = clock.monotonic();
        let files = plan().await?;
        let warm_ms = (clock.monotonic() - begun).as_secs_f64() * 1_000.0;
        measured.warm_ms = measured.warm_ms.min(warm_ms);
        if files.len() != measured.files {
            return Err("two plans of one snapshot differ".into());
        }
    }
    measured.kept_bytes = resident_bytes("VmRSS")? - resident;
    Ok(measured)
}

fn resident_bytes(which: &str) -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(which)?.strip_prefix(':'));
    let kib: f64 = line
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .ok_or("the kernel tells no memory")?
        .parse()?;
    Ok(kib * 1_024.0)
}

/// Of all threads, in the kernel and outside. Linux counts in hundredths of a second.
fn processor_ms() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, after_name) = stat.rsplit_once(')').ok_or("the kernel tells no times")?;
    let ticks = after_name.split_whitespace().skip(11).take(2);
    let ticks: Vec<f64> = ticks.map(str::parse).collect::<std::result::Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() * 10.0)
}
