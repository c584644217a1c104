//! Logging in, for engines that know no other way than the protocol's own token endpoint (which it means to give up).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Form, FromRequest, Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

use super::Shared;
use super::authenticate::peer_of;
use super::respond::json_bytes;
use crate::policy::known;
use crate::service::Service;
use tidewater_security::{Authenticator, Principal, SecurityError, Way};

/// The path, which needs no token.
pub(crate) const PATH: &str = "/v1/oauth/tokens";

/// Passwords checked at a time: each takes tens of milliseconds of a core and 19 MiB.
const LOGINS_AT_ONCE: usize = 2;

/// Longest form: names, a secret and a token or two.
const FORM_BYTES_MAX: usize = 64 << 10;

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Who can log in, and the places for those who try.
#[derive(Debug, Clone)]
pub(crate) struct Logins {
    users: Arc<Authenticator>,
    places: Arc<Semaphore>,
}

impl Logins {
    pub(crate) fn new(users: Arc<Authenticator>) -> Self {
        Self {
            users,
            places: Arc::new(Semaphore::new(LOGINS_AT_ONCE)),
        }
    }

    /// Whether the configuration has a user of this name.
    pub(crate) fn configures(&self, user: &str) -> bool {
        self.users.configures(user)
    }

    /// From now on logins go by what the catalog knows: a token in the place of the password may have been taken back, and the user may be
    /// the catalog's.
    fn heed(&self, service: &Service) {
        if let Some(authorizer) = &service.authorizer {
            self.users.heed(known(authorizer, &service.consensus.state().state));
        }
    }

    async fn login(&self, user: String, password: String, address: Option<IpAddr>) -> Result<Principal, Failure> {
        // Never closed, so there is always a place in the end.
        let _place = self.places.acquire().await;
        let users = Arc::clone(&self.users);
        let checked = tokio::task::spawn_blocking(move || users.login_from(&user, &password, address)).await;
        checked
            .map_err(|_| Failure::new("invalid_request", "the login could not be checked"))?
            .map_err(|error| refused(&error))
    }
}

/// What is sent, of either grant.
#[derive(Deserialize)]
struct Asked {
    grant_type: String,
    client_id: Option<String>,
    client_secret: Option<String>,
    subject_token: Option<String>,
    subject_token_type: Option<String>,
    scope: Option<String>,
}

/// An error as OAuth words it.
#[derive(Debug)]
struct Failure {
    error: &'static str,
    says: String,
}

impl Failure {
    fn new(error: &'static str, says: impl Into<String>) -> Self {
        Self {
            error,
            says: says.into(),
        }
    }
}

/// `POST /v1/oauth/tokens`
pub(super) async fn tokens(State(service): Shared, request: Request) -> Response {
    let (status, body) = match issue(&service, request).await {
        Ok(body) => (StatusCode::OK, body),
        Err(failure) => {
            let status = match failure.error {
                "invalid_client" => StatusCode::UNAUTHORIZED,
                _ => StatusCode::BAD_REQUEST,
            };
            (
                status,
                json!({"error": failure.error, "error_description": failure.says}),
            )
        }
    };
    let mut response = json_bytes(status, body.to_string().into());
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn issue(service: &Service, request: Request) -> Result<serde_json::Value, Failure> {
    let headers = request.headers().clone();
    let address = peer_of(&request).ip();
    let asked = parse(request).await?;
    let Some(logins) = &service.logins else {
        return Err(Failure::new(
            "unauthorized_client",
            "this catalog has no users to log in as: leave the credential out, or set a token that its operator gave you",
        ));
    };
    let (principal, shown) = match asked.grant_type.as_str() {
        "client_credentials" => {
            let (user, password) = credentials(&headers, &asked)?;
            logins.heed(service);
            let principal = logins.login(user, password.clone(), address).await?;
            (principal, password)
        }
        TOKEN_EXCHANGE => exchange(service, logins, &headers, &asked, address).await?,
        _ => {
            let says = "the grants are client_credentials and token-exchange";
            return Err(Failure::new("unsupported_grant_type", says));
        }
    };
    let (token, ttl_ms) = logins.users.issue_by(&principal, &shown);
    Ok(json!({
        "access_token": token,
        "token_type": "bearer",
        "expires_in": ttl_ms / 1_000,
        "issued_token_type": ACCESS_TOKEN,
        "scope": asked.scope.as_deref().unwrap_or("catalog"),
    }))
}

/// Who shows a token, and by what they are let in: by the token, or where that has expired, by the password that comes with it.
async fn exchange(
    service: &Service,
    logins: &Logins,
    headers: &HeaderMap,
    asked: &Asked,
    address: Option<IpAddr>,
) -> Result<(Principal, String), Failure> {
    let token = asked.subject_token.as_deref().unwrap_or_default();
    match asked.subject_token_type.as_deref() {
        Some(ACCESS_TOKEN) if !token.is_empty() => {}
        _ => {
            let says = "token exchange takes a subject_token of type access_token that this catalog issued";
            return Err(Failure::new("invalid_request", says));
        }
    }
    let checked = match &service.authorizer {
        Some(authorizer) => {
            let policy = known(authorizer, &service.consensus.state().state);
            logins.users.admit_by(token, &policy).await
        }
        None => logins.users.admit(token).await,
    };
    // Iceberg's Java client never asks for client_credentials again: when its token is refused, it sends the same with the password once.
    if matches!(checked, Err(SecurityError::ExpiredToken))
        && let Ok((user, password)) = credentials(headers, asked)
    {
        logins.heed(service);
        if logins.users.subject_of_expired(token).as_ref() == Some(&user) {
            let principal = logins.login(user, password.clone(), address).await?;
            return Ok((principal, password));
        }
    }
    let user = checked.as_ref().ok().map(|principal| principal.name.clone());
    let checked = logins.users.noted(Way::Token, user.as_deref(), address, checked);
    let principal = checked.map_err(|error| refused(&error))?;
    if principal.is_vouched() {
        let says = "a token of another issuer is exchanged for none of ours: use it as it is";
        return Err(Failure::new("invalid_request", says));
    }
    Ok((principal, token.to_owned()))
}

async fn parse(request: Request) -> Result<Asked, Failure> {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, FORM_BYTES_MAX).await else {
        let says = format!("the form is over the limit of {FORM_BYTES_MAX} bytes");
        return Err(Failure::new("invalid_request", says));
    };
    let request = Request::from_parts(parts, bytes.into());
    match Form::from_request(request, &()).await {
        Ok(Form(asked)) => Ok(asked),
        Err(rejection) => Err(Failure::new("invalid_request", rejection.body_text())),
    }
}

/// The user and the password: of the form, or of the header that OAuth prefers.
fn credentials(headers: &HeaderMap, asked: &Asked) -> Result<(String, String), Failure> {
    if let (Some(user), Some(password)) = (&asked.client_id, &asked.client_secret) {
        return Ok((user.clone(), password.clone()));
    }
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let basic = header.and_then(|value| value.strip_prefix("Basic "));
    let basic = basic.and_then(|encoded| String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok());
    match basic.as_deref().and_then(|text| text.split_once(':')) {
        Some((user, password)) => Ok((user.to_owned(), password.to_owned())),
        None => Err(Failure::new(
            "invalid_request",
            "client_credentials takes client_id and client_secret: a user and the password",
        )),
    }
}

fn refused(error: &SecurityError) -> Failure {
    Failure::new("invalid_client", error.to_string())
}
