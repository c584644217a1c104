//! What users may do, and which the catalog keeps, as this process heard it last from the catalog: asked for every second, so that a
//! grant that was taken back is gone everywhere soon, and not asked for with each statement.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use tidewater_catalog_client::{CatalogClient, ClientError};
use tidewater_core::{Coded, SharedClock};
use tidewater_engine::{EngineError, RunnerError};
use tidewater_flight_sql::{PolicySource, QueryService};
use tidewater_security::{Authenticator, Authorizer, PolicyChange, SecurityError};

use super::Parts;

/// How often the catalog is asked. It answers that nothing changed with a few bytes.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long an answer may take before the next try.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// How old what is known may be: an election and a slow answer fit in. After that nobody is let do anything by old grants.
const AGE_MAX: Duration = Duration::from_secs(15);

/// The policy of this process.
#[derive(Debug)]
pub(super) struct PolicyKeeper {
    client: CatalogClient,
    authorizer: Authorizer,
    required: bool,
    clock: SharedClock,
    /// When the catalog answered last, by the monotonic clock.
    heard: Mutex<Option<Duration>>,
}

impl PolicyKeeper {
    pub(super) fn new(parts: &Parts, users: &Authenticator) -> Self {
        Self {
            client: parts.client.clone(),
            authorizer: Authorizer::new(users),
            required: users.required(),
            clock: SharedClock::clone(&parts.clock),
            heard: Mutex::default(),
        }
    }

    /// Asks the catalog.
    pub(super) async fn hear(&self) -> Result<(), ClientError> {
        let began = self.clock.monotonic();
        let state = self.client.policy(Some(self.authorizer.policy().version)).await?;
        if let Some(policy) = state.policy {
            self.authorizer.update(policy);
        }
        // What was true when it was asked for.
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(began);
        Ok(())
    }

    fn age(&self) -> Option<Duration> {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.map(|heard| self.clock.monotonic().saturating_sub(heard))
    }

    /// Asks again and again, and lets the service know of users and of tokens that were taken back. Where nobody has to say who they
    /// are there is nothing to be heard.
    pub(super) fn follow(self: std::sync::Arc<Self>, parts: &Parts, service: QueryService) {
        if !self.required {
            return;
        }
        // Before the first login.
        service.authenticator().heed(self.authorizer.policy());
        let (clock, stop) = (SharedClock::clone(&parts.clock), parts.tasks.token());
        parts.tasks.spawn("policy", async move {
            let mut fails = false;
            while !stop.is_cancelled() {
                let answer = tokio::time::timeout(ANSWER_DEADLINE, self.hear()).await;
                match answer {
                    Ok(Ok(())) => fails = false,
                    failed if !fails => {
                        fails = true;
                        let code = match &failed {
                            Ok(Err(error)) => error.code(),
                            _ => "no answer",
                        };
                        tracing::warn!(code, "the catalog does not tell what users may do");
                    }
                    _ => {}
                }
                service.authenticator().heed(self.authorizer.policy());
                stop.run_until_cancelled(clock.sleep(INTERVAL)).await;
            }
        });
    }
}

#[async_trait]
impl PolicySource for PolicyKeeper {
    fn authorizer(&self) -> Result<&Authorizer, SecurityError> {
        match self.age() {
            _ if !self.required => Ok(&self.authorizer),
            Some(age) if age <= AGE_MAX => Ok(&self.authorizer),
            age => Err(SecurityError::PolicyUnknown {
                seconds: age.unwrap_or(AGE_MAX).as_secs(),
            }),
        }
    }

    async fn refresh(&self) -> Result<(), EngineError> {
        self.hear().await.map_err(unheard)
    }

    async fn change(&self, change: &PolicyChange) -> Result<(), EngineError> {
        self.client.change_policy(change).await.map_err(unheard)?;
        self.refresh().await
    }
}

fn unheard(error: ClientError) -> EngineError {
    EngineError::from(RunnerError::new(error))
}
