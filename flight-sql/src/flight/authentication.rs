//! Credentials in gRPC metadata: `authorization: Basic …` at the handshake, `Bearer …` ever after.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use tonic::metadata::MetadataMap;

use tidewater_security::{Principal, SecurityError};

use crate::error::QueryError;
use crate::service::QueryService;

/// Go's Flight client, and with it ADBC, sends no padding; others do.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

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
    let text = String::from_utf8(BASE64.decode(rest.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Credentials::Basic {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

/// What the client of a call calls itself.
pub(super) fn client(metadata: &MetadataMap) -> &str {
    let agent = metadata.get("user-agent").and_then(|agent| agent.to_str().ok());
    agent.unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

    use super::*;

    // Goal: a user and password come through as they were typed, from any client. Method: passwords of three lengths, with colon
    // and umlaut, encoded with and without padding.
    #[test]
    fn basic_credentials_are_read_with_and_without_padding() {
        for password in ["a", "ab", "abc", "correct horse: battery", "größe:"] {
            let text = format!("ana:{password}");
            for encoded in [STANDARD.encode(&text), STANDARD_NO_PAD.encode(&text)] {
                let mut metadata = MetadataMap::new();
                metadata.insert("authorization", format!("Basic {encoded}").parse().expect("a header"));
                match credentials(&metadata) {
                    Some(Credentials::Basic { user, password: read }) => {
                        assert_eq!((user.as_str(), read.as_str()), ("ana", password));
                    }
                    _ => panic!("{encoded} was not read"),
                }
            }
        }
    }

    // Goal: what is no credential names nobody. Method: no header, another scheme, no base64, no colon.
    #[test]
    fn anything_else_is_no_credential() {
        assert!(credentials(&MetadataMap::new()).is_none());
        for header in ["Digest x", "Basic ???", "Basic YQ==", "Basic"] {
            let mut metadata = MetadataMap::new();
            metadata.insert("authorization", header.parse().expect("a header"));
            assert!(credentials(&metadata).is_none(), "{header}");
        }
    }
}
