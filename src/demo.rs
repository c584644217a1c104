//! The demo: the synthetic hospital streams through an installation on this machine.

use std::io::IsTerminal;
use std::sync::Arc;

use tidewater_core::SystemClock;
use tidewater_synth::{Hooks, RunOptions, SinkOptions, WorldOptions};

use crate::cli::failure::Failure;
use crate::roles::{Running, storage};
use crate::settings::{Settings, SourceSettings};

mod project;
mod screen;

/// Whether a person looks at a terminal.
pub(crate) fn has_screen() -> bool {
    std::io::stdout().is_terminal()
}

/// A prepared demo.
#[derive(Debug)]
pub(crate) struct Demo {
    changelog: std::path::PathBuf,
    events_per_second: u32,
}

/// Puts the hospital's project and change log into the data directory and points the configuration at them.
pub(crate) fn prepare(settings: &mut Settings, events_per_second: u32) -> Result<Demo, Failure> {
    let io = |what: &str, source| Failure::io(what, source);
    let data_dir =
        std::path::absolute(&settings.data_dir).map_err(|source| io("resolve the data directory", source))?;
    storage::prepare_data_dir(&data_dir)?;
    let changelog = data_dir.join("changelog");
    std::fs::create_dir_all(&changelog).map_err(|source| io("make the change log's folder", source))?;
    let project = data_dir.join("hospital");
    project::unpack(&project).map_err(|source| io("unpack the hospital project", source))?;
    settings.ingest.sources = vec![SourceSettings::File {
        path: changelog.clone(),
    }];
    settings.pipelines.project = Some(project);
    settings.pipelines.follow = true;
    Ok(Demo {
        changelog,
        events_per_second,
    })
}

impl Demo {
    /// Streams changes and shows what becomes of them, until the process is told to stop.
    pub(crate) async fn play(self, running: Running) -> Result<(), Failure> {
        let clock = SystemClock::shared();
        let stop = running.parts.tasks.token();
        let mut options = RunOptions::new(SinkOptions::File {
            folder: self.changelog,
            segment_bytes: SEGMENT_BYTES,
            bytes_max: Some(CHANGELOG_BYTES_MAX),
            full_wait: std::time::Duration::from_secs(600),
        });
        options.world = WorldOptions {
            patients: PATIENTS,
            ..WorldOptions::live(clock.now_ms(), self.events_per_second)
        };
        options.records_per_second = None;
        options.live = true;
        let hooks = Hooks {
            committed: running.ingest.as_ref().map(|ingest| {
                let ingest = ingest.clone();
                let committed: Arc<dyn Fn() -> _ + Send + Sync> = Arc::new(move || ingest.committed());
                committed
            }),
            progress: None,
        };
        let stream = tidewater_synth::run::run(options, Arc::clone(&clock), hooks, stop.clone());
        let show = screen::show(&running, stop.clone());
        tokio::select! {
            streamed = stream => { streamed?; }
            () = show => {}
        }
        Ok(())
    }
}

/// Enough for every table to have rows, few enough to fill gold within the first minute.
const PATIENTS: u32 = 40;

/// Rotated often, so that what was committed can be trimmed soon.
const SEGMENT_BYTES: u64 = 32 << 20;

/// The change log never grows beyond this: the stream waits for its readers.
const CHANGELOG_BYTES_MAX: u64 = 1 << 30;
