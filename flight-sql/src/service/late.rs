//! Sessions that are made when they are needed: an answer that is kept needs none.

use std::sync::{Arc, OnceLock};

use datafusion::prelude::SessionContext;

use tidewater_engine::{Class, Engine, SessionOptions};

/// The session of one statement. Clones are one session.
#[derive(Clone)]
pub(super) struct LateSession(Arc<Late>);

struct Late {
    engine: Engine,
    options: Arc<SessionOptions>,
    sql: Arc<str>,
    made: OnceLock<SessionContext>,
}

impl LateSession {
    pub(super) fn new(engine: Engine, options: SessionOptions, sql: &str) -> Self {
        Self(Arc::new(Late {
            engine,
            options: Arc::new(options),
            sql: Arc::from(sql),
            made: OnceLock::new(),
        }))
    }

    pub(super) fn options(&self) -> &SessionOptions {
        &self.0.options
    }

    /// The same, to be kept without the session.
    pub(super) fn shared_options(&self) -> Arc<SessionOptions> {
        Arc::clone(&self.0.options)
    }

    /// The statement, as it was planned.
    pub(super) fn sql(&self) -> Arc<str> {
        Arc::clone(&self.0.sql)
    }

    /// The session, made now if it is not yet.
    pub(super) fn made(&self) -> &SessionContext {
        let late = &self.0;
        late.made
            .get_or_init(|| late.engine.session(Class::Interactive, &late.options))
    }
}
