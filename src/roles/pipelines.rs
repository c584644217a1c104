//! The project of models, followed by the process that schedules.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidewater_core::Tasks;
use tidewater_engine::Engine;
use tidewater_pipelines::{Pipelines, Project};

use super::{Parts, Role, SharedRunner, catalog_of};
use crate::cli::failure::Failure;
use crate::settings::Settings;

/// Refuses a project that cannot be loaded where [`open`] would, before anything is begun.
pub(super) fn check(settings: &Settings, roles: &BTreeSet<Role>) -> Result<(), Failure> {
    let opens = [Role::Scheduler, Role::Executor, Role::FlightSql];
    if let Some(dir) = &settings.pipelines.project
        && opens.iter().any(|role| roles.contains(role))
    {
        Project::load(dir)?;
    }
    Ok(())
}

/// The project of the configuration, when there is one.
pub(super) fn open(parts: &Parts, engine: &Engine, runner: &SharedRunner) -> Result<Option<Pipelines>, Failure> {
    let Some(dir) = &parts.settings.pipelines.project else {
        return Ok(None);
    };
    let project = Project::load(dir)?;
    let (clock, rng) = (Arc::clone(&parts.clock), Arc::clone(&parts.rng));
    let pipelines = Pipelines::new(
        engine.clone(),
        Arc::clone(runner),
        catalog_of(parts),
        Arc::new(parts.client.clone()),
        clock,
        rng,
        project,
    );
    Ok(Some(pipelines))
}

/// Finishes what the process that scheduled before was asked for, and refreshes models within their target lag as their inputs change,
/// as long as `tasks` live.
pub(super) fn follow(parts: &Parts, pipelines: &Pipelines, tasks: &Tasks) {
    pipelines.take_over(&tasks.child("pipelines"));
    if parts.settings.pipelines.follow {
        pipelines.follow(Arc::new(parts.client.clone()), &tasks.child("pipelines"));
    }
}
