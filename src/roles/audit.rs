//! The log of who did what, of processes that let anybody in: begun before they do, and waited for when all else has ended.

use std::collections::BTreeSet;
use std::time::Duration;

use tidewater_core::SharedClock;
use tidewater_security::{AuditLog, AuditOptions};

use super::Role;
use crate::cli::failure::{Failure, Reason};
use crate::settings::Settings;

/// Least disk that a log is of use with.
const BYTES_MIN: u64 = 1 << 20;

/// Refuses settings that nothing could be kept with, or that contradict one another.
pub(super) fn check(settings: &Settings, roles: &BTreeSet<Role>) -> Result<(), Failure> {
    let wanted = &settings.audit;
    if !lets_in(roles) {
        return Ok(());
    }
    if wanted.required && !wanted.enabled {
        return Err(
            Failure::of(Reason::Settings, "audit.required is set, and audit.enabled is not")
                .hint("leave audit.enabled out")
                .exit(2),
        );
    }
    if wanted.bytes_max < BYTES_MIN {
        return Err(
            Failure::of(Reason::Settings, format!("audit.bytes_max is {}", wanted.bytes_max))
                .hint(format!("it is at least {BYTES_MIN}"))
                .exit(2),
        );
    }
    Ok(())
}

fn lets_in(roles: &BTreeSet<Role>) -> bool {
    roles.contains(&Role::Catalog) || roles.contains(&Role::FlightSql)
}

/// Begins to keep it; none where nothing is kept.
pub(super) fn start(
    settings: &Settings,
    roles: &BTreeSet<Role>,
    clock: &SharedClock,
) -> Result<Option<AuditLog>, Failure> {
    let wanted = &settings.audit;
    if !wanted.enabled || !lets_in(roles) {
        return Ok(None);
    }
    let options = AuditOptions {
        directory: settings.audit_dir(),
        keep: Duration::from_secs(u64::from(wanted.keep_days) * 24 * 60 * 60),
        bytes_max: wanted.bytes_max,
        required: wanted.required,
        process: process(settings),
    };
    let log = AuditLog::start(options, clock.clone());
    log.map(Some)
        .map_err(|source| Failure::io("begin the audit log", source))
}

/// What tells this process from others of the installation: its machine, and where it is operated.
pub(super) fn process(settings: &Settings) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "localhost",
        host => host,
    };
    format!("{host}:{}", settings.http.listen.port())
}

/// Waits until every line is on the disk; for when nothing runs any more that could add one.
pub(super) fn settle(log: &AuditLog) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    if let Err(error) = runtime.and_then(|runtime| runtime.block_on(log.flush())) {
        tracing::error!(%error, "the last lines of the audit log may be missing");
    }
}
