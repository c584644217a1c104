//! Credentials in gRPC metadata: `authorization: Basic …` at the handshake, `Bearer …` ever after.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tonic::metadata::MetadataMap;

use tidewater_security::{Principal, SecurityError};

use crate::error::QueryError;
use crate::service::QueryService;

enum Credentials {
    Basic { user: String, password: String },
    Bearer(String),
}

fn credentials(metadata: &MetadataMap) -> Option<Credentials> {
    let header = metadata.get("authorization")?.to_str().ok()?;
    let (scheme, rest) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Credentials::Bearer(rest.trim().to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Credentials::Basic {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

/// Whom a call speaks for.
pub(super) async fn principal(service: &QueryService, metadata: &MetadataMap) -> Result<Principal, QueryError> {
    let authenticator = service.authenticator();
    if !authenticator.required() {
        return Ok(Principal::local());
    }
    match credentials(metadata) {
        Some(Credentials::Bearer(token)) => Ok(authenticator.verify(&token)?),
        // Clients that send the password with each call pay for the hash each time; tokens are the fast way.
        Some(Credentials::Basic { user, password }) => service.login(user, password).await,
        None => Err(SecurityError::BadCredentials.into()),
    }
}

/// Checks the credentials of a handshake and gives the token for the calls after it.
pub(super) async fn handshake(service: &QueryService, metadata: &MetadataMap) -> Result<String, QueryError> {
    let principal = match credentials(metadata) {
        Some(Credentials::Basic { user, password }) => service.login(user, password).await?,
        Some(Credentials::Bearer(token)) if service.authenticator().required() => {
            service.authenticator().verify(&token)?
        }
        _ if !service.authenticator().required() => Principal::local(),
        _ => return Err(SecurityError::BadCredentials.into()),
    };
    Ok(service.authenticator().issue(&principal))
}
