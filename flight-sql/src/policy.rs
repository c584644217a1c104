//! Where the service hears what users may do.

use async_trait::async_trait;

use tidewater_engine::EngineError;
use tidewater_security::{Authorizer, PolicyChange, SecurityError};

/// Whoever keeps the policy of this process up to date.
#[async_trait]
pub trait PolicySource: std::fmt::Debug + Send + Sync {
    /// What decides.
    ///
    /// # Errors
    /// [`SecurityError::PolicyUnknown`] when what is known is too old to decide by.
    fn authorizer(&self) -> Result<&Authorizer, SecurityError>;

    /// Changes the policy, which whoever asks for it may. What is known afterwards has the change.
    async fn change(&self, change: &PolicyChange) -> Result<(), EngineError>;
}
