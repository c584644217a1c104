//! What whoever asks may read, asked of the plan that runs.
//!
//! A command is planned when it is carried out, at each of its attempts, and what its names stand for may be something else by then than
//! when it was asked who may: a view has another text. So it is not statements that are judged but plans, where they come from: a session
//! under a judge gets none ([`crate::Engine::plan`]) that was not put before it.

use std::fmt;
use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::engine::Engine;
use crate::error::Result;
use crate::session::{Named, SessionOptions};

/// Decides for one principal which plans they may have.
pub trait Judge: fmt::Debug + Send + Sync {
    /// Refuses a plan that reads what they may not. `options` are those of the session that it was made in, and `named` is what its
    /// statement names.
    ///
    /// # Errors
    /// [`crate::EngineError::Denied`].
    fn may_read(&self, options: &SessionOptions, named: &Named, plan: &LogicalPlan) -> Result<()>;
}

/// What a session that is under a judge was made with.
struct UnderJudge(SessionOptions);

/// Puts a session that is to be made under the judge of these options, if they have one.
pub(crate) fn bind(config: SessionConfig, options: &SessionOptions) -> SessionConfig {
    match options.judge {
        Some(_) => config.with_extension(Arc::new(UnderJudge(options.clone()))),
        None => config,
    }
}

/// Whether a session with this configuration is under a judge.
pub(crate) fn binds(config: &SessionConfig) -> bool {
    config.get_extension::<UnderJudge>().is_some()
}

impl Engine {
    /// Refuses a plan that this session may not have.
    pub(crate) fn judged(&self, session: &SessionContext, sql: &str, plan: &LogicalPlan) -> Result<()> {
        let state = session.state_ref();
        let under = state.read().config().get_extension::<UnderJudge>();
        match under {
            Some(under) => self.judged_for(&under.0, sql, plan),
            None => Ok(()),
        }
    }

    /// The same of a session that would be made with these options.
    pub(crate) fn judged_for(&self, options: &SessionOptions, sql: &str, plan: &LogicalPlan) -> Result<()> {
        match &options.judge {
            Some(judge) => judge.may_read(options, self.named(options, sql)?.as_ref(), plan),
            None => Ok(()),
        }
    }
}
