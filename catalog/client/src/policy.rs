//! Roles, grants and tokens.

use reqwest::Method;

use tidewater_security::PolicyChange;

use crate::client::CatalogClient;
use crate::dto::PolicyState;
use crate::error::Result;

impl CatalogClient {
    /// Who may do what, unless `known` is its version still.
    ///
    /// # Errors
    /// If no node answers, or this client's token is a user's.
    pub async fn policy(&self, known: Option<u64>) -> Result<PolicyState> {
        let path = match known {
            Some(known) => format!("/internal/v1/policy?known={known}"),
            None => "/internal/v1/policy".to_owned(),
        };
        self.get(path).await?.json()
    }

    /// Changes who may do what; whether whoever wants it may is to be decided before. Answers the policy's version.
    ///
    /// # Errors
    /// If the change makes no sense as things stand, or no node answers.
    pub async fn change_policy(&self, change: &PolicyChange) -> Result<u64> {
        let path = "/internal/v1/policy".to_owned();
        let answer: PolicyState = self.mutate(Method::POST, path, Some(change)).await?.json()?;
        Ok(answer.version)
    }
}
