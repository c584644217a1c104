//! Where the service hears what users may do.

use std::sync::Arc;

use async_trait::async_trait;

use tidewater_engine::{EngineError, RowPolicies};
use tidewater_security::{Authorizer, PolicyChange, Principal, SecurityError};

/// Whoever keeps the policy of this process up to date.
#[async_trait]
pub trait PolicySource: std::fmt::Debug + Send + Sync {
    /// What decides.
    ///
    /// # Errors
    /// [`SecurityError::PolicyUnknown`] when what is known is too old to decide by.
    fn authorizer(&self) -> Result<&Authorizer, SecurityError>;

    /// What is left of the rows of tables for somebody; none where that is all of them, as it is for everybody today.
    fn row_policies(&self, _: &Principal) -> Option<Arc<dyn RowPolicies>> {
        None
    }

    /// Hears of it once more: what is known afterwards is no older than this call.
    async fn refresh(&self) -> Result<(), EngineError>;

    /// Changes the policy, which whoever asks for it may. What is known afterwards has the change.
    async fn change(&self, change: &PolicyChange) -> Result<(), EngineError>;
}
