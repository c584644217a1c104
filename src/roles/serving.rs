//! The flight-sql role: the query service and its Flight SQL front.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use tidewater_core::SharedClock;
use tidewater_engine::{Engine, SessionOptions};
use tidewater_flight_sql::{QueryOptions, QueryService, SessionSource, serve};
use tidewater_pipelines::{Pipelines, Views};
use tidewater_security::{Authenticator, TokenKey};

use super::{Parts, Role, SharedRunner, bind};
use crate::cli::failure::Failure;
use crate::control::RoleReport;

/// Starts the listener.
pub(super) async fn start(
    parts: &Parts,
    engine: Engine,
    runner: SharedRunner,
    project: Option<Pipelines>,
) -> Result<RoleReport, Failure> {
    let settings = &parts.settings;
    let listener = bind(settings, settings.flight_sql.listen, "flight_sql").await?;
    let secret = match &settings.security.token_secret {
        Some(secret) => secret.clone().into_bytes(),
        None => parts.rng.uuid().as_bytes().to_vec(),
    };
    let key = TokenKey::derive(&secret);
    let authenticator = Authenticator::new(settings.security.users.clone(), key.clone(), Arc::clone(&parts.clock))?;
    let options = QueryOptions {
        query_timeout: Duration::from_millis(settings.flight_sql.query_timeout_ms),
        ..QueryOptions::default()
    };
    let sessions: Arc<dyn SessionSource> = Arc::new(ProjectViews {
        engine: engine.clone(),
        views: project.map(|pipelines| pipelines.views().clone()).unwrap_or_default(),
        clock: Arc::clone(&parts.clock),
    });
    let service = QueryService::new(engine, runner, authenticator, key, options, sessions);
    serve(listener, service, &parts.tasks.child("flight-sql"))?;
    Ok(RoleReport::new(Role::FlightSql, settings.flight_sql.listen.to_string()))
}

/// Words of statements that list what there is.
const LISTS: [&str; 2] = ["information_schema", "show"];

/// Statements see the project's views, which the catalog does not keep yet.
#[derive(Debug)]
struct ProjectViews {
    engine: Engine,
    views: Views,
    clock: SharedClock,
}

#[async_trait]
impl SessionSource for ProjectViews {
    async fn options(&self, sql: &str) -> SessionOptions {
        let text = sql.to_lowercase();
        if LISTS.iter().any(|word| text.contains(word)) {
            return self.all().await;
        }
        let (options, now_ms) = (SessionOptions::default(), self.clock.now_ms());
        self.views.for_statement(&self.engine, options, sql, now_ms).await
    }

    async fn all(&self) -> SessionOptions {
        let options = SessionOptions::default();
        self.views.options(&self.engine, options, self.clock.now_ms()).await
    }
}
