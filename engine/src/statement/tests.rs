mod branches;
mod formats;
mod judged;
mod lineage;
mod loads;
mod meanwhile;
mod once;
mod partition_values;
mod rows;
mod staged;
mod tables;
mod travels;
mod upkeep;
mod weather;
mod writers;

use super::{Done, Workshop};
use crate::error::{EngineError, Result};
use crate::sql::{Sql, parse};
use crate::testing::Lake;
use crate::{PlanRunner, SessionOptions};

pub(crate) async fn tried(lake: &Lake, sql: &str) -> Result<Done> {
    tried_with(lake, &SessionOptions::default(), sql).await
}

async fn tried_with(lake: &Lake, options: &SessionOptions, sql: &str) -> Result<Done> {
    tried_in(lake, &lake.engine.local_runner(), options, sql).await
}

/// The same where another runner runs its plans.
async fn tried_by(lake: &Lake, runner: &dyn PlanRunner, sql: &str) -> Result<Done> {
    tried_in(lake, runner, &SessionOptions::default(), sql).await
}

async fn tried_in(lake: &Lake, runner: &dyn PlanRunner, options: &SessionOptions, sql: &str) -> Result<Done> {
    let Sql::Command(command) = parse(sql)? else {
        panic!("{sql} is no command");
    };
    let shop = Workshop {
        engine: &lake.engine,
        runner,
        options,
        deadline: None,
    };
    shop.execute(&command).await
}

pub(crate) async fn done(lake: &Lake, sql: &str) -> Done {
    tried(lake, sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
}

pub(crate) async fn rows(lake: &Lake, sql: &str) -> u64 {
    done(lake, sql)
        .await
        .rows
        .unwrap_or_else(|| panic!("{sql} is about no rows"))
}

async fn refused(lake: &Lake, sql: &str) -> EngineError {
    tried(lake, sql).await.expect_err(sql)
}

/// A lake with the schema `s`.
pub(crate) async fn lake() -> Lake {
    let lake = Lake::new();
    done(&lake, "CREATE SCHEMA s").await;
    lake
}

const MODES: &[&str] = &[
    "'format-version' = '2'",
    "'format-version' = '2', 'write.update.mode' = 'merge-on-read', 'write.delete.mode' = 'merge-on-read', 'write.merge.mode' = 'merge-on-read'",
    "'format-version' = '3', 'write.update.mode' = 'merge-on-read', 'write.delete.mode' = 'merge-on-read', 'write.merge.mode' = 'merge-on-read'",
    "'format-version' = '3', 'write.update.mode' = 'copy-on-write', 'write.delete.mode' = 'copy-on-write', 'write.merge.mode' = 'copy-on-write'",
];
