//! Sessions that are made when they are needed: an answer that is kept needs none.

use std::sync::{Arc, OnceLock};

use datafusion::prelude::SessionContext;

use tidewater_engine::{Class, Engine, SessionOptions};

/// The session of one statement. Clones are one session.
#[derive(Clone)]
pub(super) struct LateSession(Arc<Late>);

struct Late {
    engine: Engine,
    options: SessionOptions,
    made: OnceLock<SessionContext>,
}

impl LateSession {
    pub(super) fn new(engine: Engine, options: SessionOptions) -> Self {
        Self(Arc::new(Late {
            engine,
            options,
            made: OnceLock::new(),
        }))
    }

    pub(super) fn options(&self) -> &SessionOptions {
        &self.0.options
    }

    /// The session, made now if it is not yet.
    pub(super) fn made(&self) -> &SessionContext {
        let late = &self.0;
        late.made
            .get_or_init(|| late.engine.session(Class::Interactive, &late.options))
    }
}
