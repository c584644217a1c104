//! Tables kept in shape by the process that schedules.

use std::sync::Arc;
use std::time::Duration;

use tidewater_engine::Engine;
use tidewater_ingest::TOPIC_KEY;
use tidewater_scheduler::{Maintenance, MaintenanceOptions};
use tidewater_table::{Retention, RewriteOptions};

use super::{Parts, SharedRunner};

/// Snapshots that stay however old they are: somebody may be reading one.
const SNAPSHOTS_MIN: u32 = 20;

/// Looks after tables once it is told to, and answers what operators ask.
pub(super) fn open(parts: &Parts, engine: &Engine, runner: &SharedRunner) -> Maintenance {
    let settings = &parts.settings.maintenance;
    let options = MaintenanceOptions {
        interval: Duration::from_secs(settings.interval_s.max(1)),
        rewrite: RewriteOptions {
            target_file_size_bytes: settings.target_file_bytes,
            files_min: settings.files_min,
            ..RewriteOptions::default()
        },
        retention: Retention {
            snapshots_min: SNAPSHOTS_MIN.min(settings.keep_snapshots),
            age: Duration::from_secs(settings.keep_s),
            snapshots_max: settings.keep_snapshots,
        },
        consumers_max: settings.keep_for_consumers,
        own_key: TOPIC_KEY.to_owned(),
    };
    Maintenance::new(engine.clone(), Arc::clone(runner), options)
}
