//! Credentials in gRPC metadata: `authorization: Basic …` at the handshake, `Bearer …` ever after, or as older clients of Arrow Flight
//! have it the bare token in a header of its own.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use tonic::Request;
use tonic::metadata::MetadataMap;

use tidewater_engine::Execution;
use tidewater_security::{Peer, Principal, SecurityError, Way};

use crate::error::QueryError;
use crate::service::QueryService;

/// Go's Flight client, and with it ADBC, sends no padding; others do.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// In which older clients of Arrow Flight (its `ClientAuthHandler`) show the token that a handshake gave them.
const OLDER_TOKEN: &str = "auth-token-bin";

/// What is shown of who somebody is.
pub(super) enum Shown {
    /// Nothing.
    Nothing,
    /// What looks like credentials and is none, and must not be taken for their absence.
    Garbled,
    /// A user with their password, or with a token in its place.
    Password { user: String, password: String },
    /// A token.
    Token(String),
}

impl Shown {
    /// What a request shows in the header that all clients know.
    pub(super) fn by_header(metadata: &MetadataMap) -> Self {
        match metadata.get("authorization") {
            None => Self::Nothing,
            Some(header) => header.to_str().ok().and_then(Self::read).unwrap_or(Self::Garbled),
        }
    }

    fn read(header: &str) -> Option<Self> {
        let (scheme, rest) = header.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self::Token(rest.trim().to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = String::from_utf8(BASE64.decode(rest.trim()).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Self::Password {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    /// What a call of Flight shows: in the same header, or where that is missing in the older one.
    pub(super) fn by_call(metadata: &MetadataMap) -> Self {
        match (Self::by_header(metadata), metadata.get_bin(OLDER_TOKEN)) {
            (Self::Nothing, Some(token)) => {
                let bytes = token.to_bytes().ok();
                match bytes.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()) {
                    // Arrow's C++ client sends an empty one where nobody gave it any.
                    Some(token) if token.is_empty() => Self::Nothing,
                    Some(token) => Self::Token(token),
                    None => Self::Garbled,
                }
            }
            (shown, _) => shown,
        }
    }
}

/// Whether a password is among what was sent.
pub(crate) fn shows_password(metadata: &MetadataMap) -> bool {
    matches!(Shown::by_header(metadata), Shown::Password { .. })
}

/// Where a call comes from, and whom its client's certificate names. Nobody tells in tests of the front alone.
pub(super) fn peer<T>(request: &Request<T>) -> Peer {
    request.extensions().get::<Peer>().cloned().unwrap_or_default()
}

/// Whom a call speaks for: asked once, where it comes in.
pub(super) async fn caller<T>(service: &QueryService, request: &Request<T>) -> Result<Principal, QueryError> {
    match request.extensions().get::<Principal>() {
        Some(principal) => Ok(principal.clone()),
        None => caller_by(service, request.metadata(), &peer(request)).await,
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

/// What whoever asks has to know beside the rows.
pub const WARNING_ANSWER: &str = "x-tidewater-warning";

/// Warnings as the text of one header, of letters that it may hold; none where there are none.
pub(crate) fn warned(warnings: &[String]) -> Option<String> {
    let other = |letter: char| !matches!(letter, ' '..='~');
    (!warnings.is_empty()).then(|| warnings.join("; ").replace(other, "?"))
}

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

/// Whom a call of Flight speaks for.
pub(crate) async fn caller_by(
    service: &QueryService,
    metadata: &MetadataMap,
    peer: &Peer,
) -> Result<Principal, QueryError> {
    admitted(service, Shown::by_call(metadata), peer).await
}

/// Whom a request speaks for by the one header that all fronts know.
pub(crate) async fn principal(
    service: &QueryService,
    metadata: &MetadataMap,
    peer: &Peer,
) -> Result<Principal, QueryError> {
    admitted(service, Shown::by_header(metadata), peer).await
}

/// Whoever the credentials name, or without any the client's certificate.
async fn admitted(service: &QueryService, shown: Shown, peer: &Peer) -> Result<Principal, QueryError> {
    let authenticator = service.authenticator();
    if !authenticator.required() {
        return Ok(Principal::local());
    }
    match (shown, peer.user()) {
        (Shown::Token(token), _) => {
            let shown = authenticator.admit(&token).await;
            Ok(authenticator.noted_if_refused(Way::Token, None, peer.ip(), shown)?)
        }
        // Clients that send the password with each call pay for the hash each time; tokens are the fast way.
        (Shown::Password { user, password }, _) => service.login_from(user, password, peer.ip()).await,
        (Shown::Nothing, Some(user)) => {
            let shown = authenticator.certified(user);
            Ok(authenticator.noted_if_refused(Way::Certificate, Some(user), peer.ip(), shown)?)
        }
        (Shown::Nothing | Shown::Garbled, _) => Err(SecurityError::BadCredentials.into()),
    }
}

/// Checks what a handshake shows and gives the token for the calls after it: one of ours, or the one of another issuer that was shown,
/// whose word we cannot give in its place.
pub(super) async fn token_for(service: &QueryService, shown: Shown, peer: &Peer) -> Result<String, QueryError> {
    let secret = match &shown {
        Shown::Password { password: token, .. } | Shown::Token(token) => Some(token.clone()),
        Shown::Nothing | Shown::Garbled => None,
    };
    let principal = admitted(service, shown, peer).await?;
    Ok(match secret {
        Some(token) if principal.is_vouched() => token,
        Some(shown) => service.authenticator().issue_by(&principal, &shown).0,
        None => service.authenticator().issue(&principal),
    })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
    use tonic::metadata::MetadataValue;

    use super::*;

    fn headers(authorization: &str) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", authorization.parse().expect("a header"));
        metadata
    }

    // Goal: a user and password come through as they were typed, from any client. Method: passwords of three lengths, with colon
    // and umlaut, encoded with and without padding.
    #[test]
    fn basic_credentials_are_read_with_and_without_padding() {
        for password in ["a", "ab", "abc", "correct horse: battery", "größe:"] {
            let text = format!("ana:{password}");
            for encoded in [STANDARD.encode(&text), STANDARD_NO_PAD.encode(&text)] {
                match Shown::by_header(&headers(&format!("Basic {encoded}"))) {
                    Shown::Password { user, password: read } => {
                        assert_eq!((user.as_str(), read.as_str()), ("ana", password));
                    }
                    _ => panic!("{encoded} was not read"),
                }
            }
        }
    }

    // Goal: what is no credential names nobody, and is not taken for nothing. Method: no header, another scheme, no base64, no colon.
    #[test]
    fn anything_else_is_no_credential() {
        assert!(matches!(Shown::by_call(&MetadataMap::new()), Shown::Nothing));
        for header in ["Digest x", "Basic ???", "Basic YQ==", "Basic"] {
            assert!(matches!(Shown::by_call(&headers(header)), Shown::Garbled), "{header}");
        }
    }

    // Goal: the header of older clients is a token, in calls of Flight only, and gives way to the newer one. Method: a token, an empty one,
    // bytes that are no text, characters that are no bytes, each alone and beside the newer header.
    #[test]
    fn older_clients_show_their_token() {
        let older = |token: &[u8]| {
            let mut metadata = MetadataMap::new();
            metadata.insert_bin(OLDER_TOKEN, MetadataValue::from_bytes(token));
            metadata
        };
        assert!(matches!(Shown::by_call(&older(b"t-1")), Shown::Token(token) if token == "t-1"));
        assert!(matches!(Shown::by_header(&older(b"t-1")), Shown::Nothing));
        assert!(matches!(Shown::by_call(&older(b"")), Shown::Nothing));
        assert!(matches!(Shown::by_call(&older(b"\xff")), Shown::Garbled));
        let mut raw = HeaderMap::new();
        raw.insert(OLDER_TOKEN, HeaderValue::from_static("!!"));
        assert!(matches!(
            Shown::by_call(&MetadataMap::from_headers(raw)),
            Shown::Garbled
        ));
        for token in [&b"t-1"[..], b"", b"\xff"] {
            let mut both = older(token);
            both.insert("authorization", "Bearer t-2".parse().expect("a header"));
            assert!(matches!(Shown::by_call(&both), Shown::Token(token) if token == "t-2"));
        }
    }
}
