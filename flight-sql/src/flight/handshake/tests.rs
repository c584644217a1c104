//! Logins by a message beside those by a header.

use std::pin::pin;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tonic::Code;
use tonic::metadata::MetadataValue;

use tidewater_core::{ManualClock, SeededRng, SharedRng};
use tidewater_security::authenticator::hash_password;
use tidewater_security::{Principal, Role, UserSettings};

use super::*;
use crate::service::QueryOptions;
use crate::service::tests::Lake;

type Said = stream::Iter<std::vec::IntoIter<Result<HandshakeRequest, Status>>>;

/// A lake whose only user is `ana`, with her password.
async fn anas(clock: &Arc<ManualClock>) -> (Lake, QueryService) {
    let lake = Lake::with(QueryOptions::default(), clock.clone()).await;
    let rng: SharedRng = Arc::new(SeededRng::new(4));
    let ana = UserSettings {
        name: "ana".into(),
        password_hash: hash_password("correct horse", &rng).expect("a hash"),
        scram: None,
        role: Role::Reader,
    };
    let (service, _) = lake.for_users(vec![ana]);
    (lake, service)
}

fn payload(bytes: Vec<u8>) -> Said {
    let message = HandshakeRequest {
        protocol_version: 0,
        payload: bytes.into(),
    };
    stream::iter(vec![Ok(message)])
}

fn message(user: &str, password: &str) -> Said {
    let basic = BasicAuth {
        username: user.into(),
        password: password.into(),
    };
    payload(basic.encode_to_vec())
}

fn silent() -> Said {
    stream::iter(Vec::new())
}

fn header(user: &str, password: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    metadata.insert("authorization", basic.parse().expect("a header"));
    metadata
}

fn older(token: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert_bin("auth-token-bin", MetadataValue::from_bytes(token.as_bytes()));
    metadata
}

fn here() -> Peer {
    Peer::at(Some("127.0.0.1:1".parse().expect("an address")))
}

async fn asked(service: &QueryService, metadata: &MetadataMap, mut said: Said) -> Result<String, Status> {
    token(service, metadata, &here(), &mut said).await
}

// Goal: who says the right password in a message is given a token that both headers of later calls take; so is who shows a token in its
// place. Method: the token as a password, as a bearer token and in the older header.
#[tokio::test]
async fn a_message_lets_in() {
    let (_lake, service) = anas(&Arc::new(ManualClock::new(0))).await;
    let nothing = MetadataMap::new();
    let token = asked(&service, &nothing, message("ana", "correct horse")).await;
    let token = token.expect("the right password");
    let mut bearer = MetadataMap::new();
    bearer.insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    for metadata in [&bearer, &older(&token)] {
        let caller = authentication::caller_by(&service, metadata, &here()).await;
        assert_eq!(caller.expect("a good token"), Principal::named("ana"));
        asked(&service, metadata, silent()).await.expect("a good token");
    }
    asked(&service, &nothing, message("ana", &token))
        .await
        .expect("a good token");
}

// Goal: whatever is wrong with a message, its client hears what one that says it in a header hears. Method: a wrong password and a user who
// is not there in both ways; messages that are none, an empty one, and none at all.
#[tokio::test]
async fn what_is_wrong_is_told_as_in_headers() {
    let (_lake, service) = anas(&Arc::new(ManualClock::new(0))).await;
    let nothing = MetadataMap::new();
    let told = |answer: Result<String, Status>| {
        let status = answer.expect_err("it is wrong");
        (status.code(), status.message().to_owned())
    };
    let expected = told(asked(&service, &header("ana", "wrong"), silent()).await);
    assert_eq!(expected.0, Code::Unauthenticated);
    assert!(expected.1.starts_with("SEC-0001"), "{expected:?}");
    for said in [
        message("ana", "wrong"),
        message("bob", "correct horse"),
        message("", ""),
        payload(b"ana:correct horse".to_vec()),
        payload(Vec::new()),
        silent(),
    ] {
        assert_eq!(told(asked(&service, &nothing, said).await), expected);
    }
}

// Goal: guesses in messages are counted with those in headers. Method: five of the one kind, then the right password in both.
#[tokio::test]
async fn guesses_are_counted_together() {
    for by_message in [true, false] {
        let clock = Arc::new(ManualClock::new(0));
        let (_lake, service) = anas(&clock).await;
        let guess = async |by_message: bool, password: &str| match by_message {
            true => asked(&service, &MetadataMap::new(), message("ana", password)).await,
            false => asked(&service, &header("ana", password), silent()).await,
        };
        for _ in 0..5 {
            let status = guess(by_message, "wrong").await.expect_err("wrong");
            assert_eq!(status.code(), Code::Unauthenticated, "{status}");
        }
        for way in [true, false] {
            let status = guess(way, "correct horse").await.expect_err("too early");
            assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
            assert!(status.message().starts_with("SEC-0007"), "{status}");
        }
        clock.advance(Duration::from_secs(2));
        guess(by_message, "correct horse").await.expect("late enough");
    }
}

// Goal: a header counts before a message, a message before the token of an older login, and nothing is waited for where all is known.
// Method: pairs that contradict each other; clients that never say anything, with a header and where there are no users.
#[tokio::test]
async fn each_way_has_its_place() {
    let clock = Arc::new(ManualClock::new(0));
    let (lake, service) = anas(&clock).await;
    let contradicted = asked(&service, &header("ana", "wrong"), message("ana", "correct horse")).await;
    assert_eq!(contradicted.expect_err("the header").code(), Code::Unauthenticated);
    let again = asked(&service, &older("an old token"), message("ana", "correct horse")).await;
    again.expect("the message");
    let old = asked(&service, &older("an old token"), silent()).await;
    assert_eq!(old.expect_err("no token of ours").code(), Code::Unauthenticated);
    let mut mute = stream::pending();
    let known = token(&service, &header("ana", "correct horse"), &here(), &mut mute).await;
    known.expect("the header");
    let anybody = token(&lake.service, &MetadataMap::new(), &here(), &mut mute).await;
    anybody.expect("there are no users");
}

// Goal: who neither says nor shows anything is not waited for longer than told. Method: a stream without an end, and a clock that is moved.
#[tokio::test]
async fn silence_has_an_end() {
    let clock = Arc::new(ManualClock::new(0));
    let (_lake, service) = anas(&clock).await;
    let (nothing, peer, mut mute) = (MetadataMap::new(), here(), stream::pending());
    let mut waiting = pin!(token(&service, &nothing, &peer, &mut mute));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    clock.advance(SAYS_WHO - Duration::from_millis(1));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    clock.advance(Duration::from_millis(1));
    let status = waiting.await.expect_err("nobody");
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
}
