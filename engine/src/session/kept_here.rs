//! Plans that stay in the process that was asked, whatever they read.

use std::sync::Arc;

use datafusion::prelude::SessionContext;

/// Why the plans of a session stay in the process that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptHere(&'static str);

impl KeptHere {
    /// The plans of this session stay from now on.
    pub(crate) fn attach(session: &SessionContext, why: &'static str) {
        let state = session.state_ref();
        state.write().config_mut().set_extension(Arc::new(Self(why)));
    }

    /// Why the plans of a session stay; `None` if they need not.
    pub fn of(session: &SessionContext) -> Option<&'static str> {
        let state = session.state_ref();
        let kept = state.read().config().get_extension::<Self>();
        kept.map(|kept| kept.0)
    }
}
