//! The flight-sql role: the query service and its fronts, Flight SQL and the PostgreSQL wire.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use tidewater_core::{SharedClock, TableName};
use tidewater_engine::{Engine, SessionOptions};
use tidewater_flight_sql::{
    Fleet, PolicySource, Process, QueryHistory, QueryOptions, QueryService, SessionSource, serve,
};
use tidewater_pipelines::{Pipelines, Views};

use super::ops::OpsTables;
use super::policy::PolicyKeeper;
use super::ports::{self, Port};
use super::{Parts, Role, SharedRunner, audit, siblings, users};
use crate::cli::failure::Failure;
use crate::control::RoleReport;

/// Starts the listeners.
pub(super) async fn start(
    parts: &Parts,
    engine: Engine,
    runner: SharedRunner,
    project: Option<Pipelines>,
) -> Result<(RoleReport, QueryService), Failure> {
    let settings = &parts.settings;
    let listener = ports::bind(settings, Port::FlightSql).await?;
    let postgres = ports::bind(settings, Port::Postgres).await?;
    let key = parts.user_key.clone();
    let authenticator = users::known(&settings.security, key.clone(), parts.oidc.clone(), &parts.clock)?;
    let authenticator = authenticator.counting_in(Arc::clone(parts.users.logins()));
    let options = QueryOptions {
        query_timeout: Duration::from_millis(settings.flight_sql.query_timeout_ms),
        cache: settings.serving.cache.options(),
        user_connections_max: (settings.postgres.user_connections_max > 0)
            .then_some(settings.postgres.user_connections_max),
        ..QueryOptions::default()
    };
    let process = Process {
        name: audit::process(settings),
        id: parts.rng.uuid(),
    };
    let history = QueryHistory::new(Arc::clone(&parts.clock))
        .kept_in(parts.audit.clone())
        .of_process(process);
    let others = siblings::others(parts)?;
    parts.metrics.register(|registry| history.metrics().register(registry));
    let views = ProjectViews {
        engine: engine.clone(),
        views: project.map(|pipelines| pipelines.views().clone()).unwrap_or_default(),
        clock: Arc::clone(&parts.clock),
    };
    let fleet = Fleet::new(history.clone(), others.clone());
    let sessions: Arc<dyn SessionSource> =
        Arc::new(OpsTables::beside(views, fleet, &parts.client, settings.audit_dir()));
    let policy = Arc::new(PolicyKeeper::new(parts, &authenticator));
    // Nobody is let in before it is known what they may do.
    policy.hear().await?;
    let service = QueryService::new(engine, runner, authenticator, key, options, sessions)
        .remember(history)
        .govern(Arc::clone(&policy) as Arc<dyn PolicySource>);
    let service = match others {
        Some(others) => service.beside(others),
        None => service,
    };
    policy.follow(parts, service.clone());
    let tls = parts.tls.clone();
    tidewater_flight_sql::postgres::serve(postgres, service.clone(), tls.clone(), &parts.tasks.child("postgres"));
    serve(listener, service.clone(), tls, &parts.tasks.child("flight-sql"))?;
    let report = RoleReport::new(Role::FlightSql, settings.flight_sql.listen.to_string());
    Ok((report, service))
}

/// Statements and listings see the project's views, which the catalog does not keep yet.
#[derive(Debug)]
struct ProjectViews {
    engine: Engine,
    views: Views,
    clock: SharedClock,
}

#[async_trait]
impl SessionSource for ProjectViews {
    async fn options(&self, sql: &str, client: SessionOptions) -> SessionOptions {
        let (engine, now_ms) = (&self.engine, self.clock.now_ms());
        self.views.for_statement(engine, client, sql, now_ms).await
    }

    async fn view_names(&self) -> Vec<TableName> {
        self.views.names().cloned().collect()
    }

    async fn views(&self) -> Vec<(TableName, SchemaRef)> {
        let (engine, now_ms) = (&self.engine, self.clock.now_ms());
        let options = self.views.options(engine, SessionOptions::default(), now_ms).await;
        let views = options.overlay.into_iter();
        views.map(|(name, view)| (name, view.schema())).collect()
    }
}
