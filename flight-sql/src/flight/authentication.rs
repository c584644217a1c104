//! Credentials in gRPC metadata: `authorization: Basic …` at the handshake, `Bearer …` ever after.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use tonic::Request;
use tonic::metadata::MetadataMap;

use tidewater_engine::Execution;
use tidewater_security::{Peer, Principal, SecurityError};

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

/// Whether a password is among what was sent.
pub(crate) fn shows_password(metadata: &MetadataMap) -> bool {
    matches!(credentials(metadata), Some(Credentials::Basic { .. }))
}

/// Where a call comes from, and whom its client's certificate names. Nobody tells in tests of the front alone.
pub(super) fn peer<T>(request: &Request<T>) -> Peer {
    request.extensions().get::<Peer>().cloned().unwrap_or_default()
}

/// Whom a call speaks for: asked once, where it comes in.
pub(super) async fn caller<T>(service: &QueryService, request: &Request<T>) -> Result<Principal, QueryError> {
    match request.extensions().get::<Principal>() {
        Some(principal) => Ok(principal.clone()),
        None => principal(service, request.metadata(), &peer(request)).await,
    }
}

/// What the client of a call calls itself.
pub(crate) fn client(metadata: &MetadataMap) -> &str {
    let agent = metadata.get("user-agent").and_then(|agent| agent.to_str().ok());
    agent.unwrap_or_default()
}

/// By which a client says `off` when it does not take rows that are kept; JDBC sends properties of its URL as headers.
const CACHE_WANTED: &str = "tidewater.cache";

/// Tells what became of a statement in the cache.
pub(crate) const CACHE_ANSWER: &str = "x-cache";

/// Tells how old kept rows are at most, in seconds, where their tables bear that they are.
pub(super) const AGE_ANSWER: &str = "age";

/// By which a client says where its queries run, as `SET tidewater.execution` does.
const EXECUTION_WANTED: &str = "tidewater.execution";

/// Where the client of a call wants its queries to run. What is no such place is no wish.
pub(crate) fn execution(metadata: &MetadataMap) -> Execution {
    execution_wanted(metadata).unwrap_or_default()
}

/// The same; none if the call does not say.
pub(super) fn execution_wanted(metadata: &MetadataMap) -> Option<Execution> {
    let wanted = metadata.get(EXECUTION_WANTED).and_then(|wanted| wanted.to_str().ok());
    wanted.and_then(Execution::named)
}

/// Whether the client of a call takes rows that are kept.
pub(crate) fn takes_kept_rows(metadata: &MetadataMap) -> bool {
    cache_wanted(metadata).unwrap_or(true)
}

/// The same; none if the call does not say.
pub(super) fn cache_wanted(metadata: &MetadataMap) -> Option<bool> {
    let wanted = metadata.get(CACHE_WANTED).and_then(|wanted| wanted.to_str().ok())?;
    Some(!["off", "false"].iter().any(|word| wanted.eq_ignore_ascii_case(word)))
}

/// Whom a call speaks for: whoever its credentials name, or without any its client's certificate.
pub(crate) async fn principal(
    service: &QueryService,
    metadata: &MetadataMap,
    peer: &Peer,
) -> Result<Principal, QueryError> {
    let authenticator = service.authenticator();
    if !authenticator.required() {
        return Ok(Principal::local());
    }
    match (credentials(metadata), peer.user()) {
        (Some(Credentials::Bearer(token)), _) => Ok(authenticator.admit(&token).await?),
        // Clients that send the password with each call pay for the hash each time; tokens are the fast way.
        (Some(Credentials::Basic { user, password }), _) => service.login_from(user, password, peer.ip()).await,
        // What looks like credentials and is none must not be taken for their absence.
        (None, Some(user)) if metadata.get("authorization").is_none() => Ok(authenticator.certified(user)?),
        (None, _) => Err(SecurityError::BadCredentials.into()),
    }
}

/// Checks the credentials of a handshake and gives the token for the calls after it: one of ours, or the one of another issuer that was
/// shown, whose word we cannot give in its place.
pub(super) async fn handshake(
    service: &QueryService,
    metadata: &MetadataMap,
    peer: &Peer,
) -> Result<String, QueryError> {
    let principal = principal(service, metadata, peer).await?;
    match credentials(metadata) {
        Some(Credentials::Basic { password: token, .. } | Credentials::Bearer(token)) if principal.is_vouched() => {
            Ok(token)
        }
        _ => Ok(service.authenticator().issue(&principal)),
    }
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
