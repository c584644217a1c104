//! Who may call.

use std::net::IpAddr;
use std::sync::Arc;

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
use crate::state::State as CatalogState;
use tidewater_core::secret::Secret;
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

/// Lets a request in that bears a good token, or every request when no token is wanted. Logging in needs none.
pub(crate) async fn authenticate(State(guard): State<Guard>, mut request: Request, next: Next) -> Result<Response> {
    if request.uri().path() == oauth::PATH {
        return Ok(next.run(request).await);
    }
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
    let version = guard.consensus.state().state.policy_version();
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
    let let_in = match (&checked, &guard.access) {
        (Ok(Caller::User(_)), Access::Users { users, .. }) => Some(LetIn {
            users: Arc::clone(users),
            token: match certified {
                Some(_) => None,
                None => Some(Secret::new(token()?)),
            },
            from: peer.ip(),
            version,
        }),
        _ => None,
    };
    match checked {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            if let Some(let_in) = let_in {
                request.extensions_mut().insert(let_in);
            }
            Ok(next.run(request).await)
        }
        Err(Failure::Catalog(error)) => Err(error),
        Err(Failure::Token(error)) => Err(not_let_in(error)),
    }
}

fn refused(reason: &str) -> CatalogError {
    CatalogError::Unauthenticated { reason: reason.into() }
}

fn not_let_in(error: SecurityError) -> CatalogError {
    match error {
        SecurityError::ExpiredToken => CatalogError::TokenExpired,
        error if error.kind() == ErrorKind::Unavailable => error.into(),
        error => refused(&error.to_string()),
    }
}

/// How a user came in, to be looked at again by the state that a request is decided by: the one at the door may be old, and asking for a
/// newer one there would turn away who can wait for a leader.
#[derive(Debug, Clone)]
pub(super) struct LetIn {
    users: Arc<Authenticator>,
    /// None for who came by a certificate.
    token: Option<Secret>,
    from: Option<IpAddr>,
    /// Of the policy that let them in, or of an older one.
    version: u64,
}

impl LetIn {
    /// The user as `state` has them: out is who was disabled since, and whose token was taken back.
    ///
    /// # Errors
    /// As at the door.
    pub(super) async fn again(
        &self,
        user: Principal,
        authorizer: &Authorizer,
        state: &CatalogState,
    ) -> Result<Principal> {
        if state.policy_version() == self.version {
            return Ok(user);
        }
        let policy = known(authorizer, state);
        let checked = match &self.token {
            Some(token) => {
                let checked = self.users.admit_by(token.expose(), &policy).await;
                self.users.noted_if_refused(Way::Token, None, self.from, checked)
            }
            None => {
                let checked = self.users.certified_by(&user.name, &policy);
                let named = Some(user.name.as_str());
                self.users.noted_if_refused(Way::Certificate, named, self.from, checked)
            }
        };
        checked.map_err(not_let_in)
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

impl Guard {
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
