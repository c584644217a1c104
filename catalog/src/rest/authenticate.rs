//! Who may call.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::AUTHORIZATION;

use super::connections::Remote;
use super::oauth;
use crate::error::{CatalogError, Result};
use crate::policy::known;
use crate::raft::Consensus;
use crate::server::Access;
use tidewater_core::{Coded, ErrorKind, SharedClock};
use tidewater_security::{Authenticator, Authorizer, Peer, Principal, SecurityError, TokenKey, Way};

/// What the check needs.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    pub(crate) access: Access,
    pub(crate) clock: SharedClock,
    /// Knows which tokens were taken back.
    pub(crate) consensus: Arc<dyn Consensus>,
    pub(crate) authorizer: Option<Arc<Authorizer>>,
}

/// Where a request comes from, and whom its client's certificate names.
pub(crate) fn peer_of(request: &Request) -> Peer {
    let told = request.extensions().get::<ConnectInfo<Remote>>();
    told.map(|ConnectInfo(Remote { peer, .. })| peer.clone())
        .unwrap_or_default()
}

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Whoever reaches the port, which is on loopback.
    Open,
    /// A node, an operator, or who was given a token of the nodes' secret: whom it names.
    Installation(String),
    /// Somebody who logged in.
    User(Principal),
}

/// How old the state may be by which a user is let in, and what they may do is decided: as long as SQL endpoints do so when they cannot ask.
pub(super) const USERS_AGE_MAX: Duration = Duration::from_secs(15);

/// Lets a request in that bears a good token, or every request when no token is wanted. Logging in needs none.
pub(crate) async fn authenticate(State(guard): State<Guard>, mut request: Request, next: Next) -> Result<Response> {
    if request.uri().path() == oauth::PATH {
        return Ok(next.run(request).await);
    }
    let refused = |reason: &str| CatalogError::Unauthenticated { reason: reason.into() };
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer "));
    let token = || {
        token
            .map(str::trim)
            .ok_or_else(|| refused("the request bears no token"))
    };
    let nodes_token = |key: &TokenKey| {
        let checked = key.verify(token()?, guard.clock.now_ms());
        checked
            .map(|node| Caller::Installation(node.name))
            .map_err(Failure::from)
    };
    let policy = guard.policy_version();
    let peer = peer_of(&request);
    let certified = peer.user().filter(|_| !request.headers().contains_key(AUTHORIZATION));
    let checked = match &guard.access {
        Access::Open => Ok(Caller::Open),
        Access::Tokens(key) => nodes_token(key),
        Access::Users { users, .. } if certified.is_some() => {
            let user = certified.unwrap_or_default();
            let named = guard.certified(users, user);
            let checked = users.noted_if_refused(Way::Certificate, Some(user), peer.ip(), named);
            checked.map(Caller::User).map_err(Failure::from)
        }
        Access::Users { users, nodes } => match (guard.user(users, token()?).await, nodes) {
            // Signed by neither key, or by the nodes'.
            (Err(SecurityError::BadToken), Some(nodes)) => {
                let checked = nodes.verify(token()?, guard.clock.now_ms());
                let checked = users.noted_if_refused(Way::Token, None, peer.ip(), checked);
                checked
                    .map(|node| Caller::Installation(node.name))
                    .map_err(Failure::from)
            }
            (checked, _) => {
                let checked = users.noted_if_refused(Way::Token, None, peer.ip(), checked);
                checked.map(Caller::User).map_err(Failure::from)
            }
        },
    };
    let checked = match (checked, &guard.access) {
        (Ok(Caller::User(user)), Access::Users { users, .. }) => {
            let again = match certified {
                Some(name) => Again::Certificate(name),
                None => Again::Token(token()?),
            };
            guard.still_in(users, user, policy, again).await
        }
        (checked, _) => checked,
    };
    match checked {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            Ok(next.run(request).await)
        }
        Err(Failure::Catalog(error)) => Err(error),
        Err(Failure::Token(SecurityError::ExpiredToken)) => Err(CatalogError::TokenExpired),
        Err(Failure::Token(error)) if error.kind() == ErrorKind::Unavailable => Err(error.into()),
        Err(Failure::Token(error)) => Err(refused(&error.to_string())),
    }
}

/// No token, or not a good one.
enum Failure {
    Catalog(CatalogError),
    Token(SecurityError),
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}

impl From<SecurityError> for Failure {
    fn from(error: SecurityError) -> Self {
        Self::Token(error)
    }
}

/// By what a user is known.
enum Again<'a> {
    Certificate(&'a str),
    Token(&'a str),
}

impl Guard {
    fn policy_version(&self) -> u64 {
        self.consensus.state().state.policy_version()
    }

    /// A user who was let in by the policy of `version`, as it stood here: if that was old, by a newer one.
    async fn still_in(
        &self,
        users: &Authenticator,
        user: Principal,
        version: u64,
        by: Again<'_>,
    ) -> Result<Caller, Failure> {
        if self.authorizer.is_some() {
            let late = self.consensus.barrier_within(USERS_AGE_MAX).await;
            late.map_err(CatalogError::from)?;
        }
        if self.policy_version() == version {
            return Ok(Caller::User(user));
        }
        let again = match by {
            Again::Certificate(name) => self.certified(users, name),
            Again::Token(token) => self.user(users, token).await,
        };
        again.map(Caller::User).map_err(Failure::from)
    }

    fn certified(&self, users: &Authenticator, user: &str) -> Result<Principal, SecurityError> {
        match &self.authorizer {
            Some(authorizer) => users.certified_by(user, &known(authorizer, &self.consensus.state().state)),
            None => users.certified(user),
        }
    }

    async fn user(&self, users: &Authenticator, token: &str) -> Result<Principal, SecurityError> {
        match &self.authorizer {
            Some(authorizer) => {
                let policy = known(authorizer, &self.consensus.state().state);
                users.admit_by(token, &policy).await
            }
            None => users.admit(token).await,
        }
    }
}
