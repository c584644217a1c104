//! Attacks on tokens, each beside a good token that differs from it in one thing only; and issuers that change their keys.

mod issuer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use tidewater_core::ManualClock;

use self::issuer::{Documents, Signer, compact, encode};
use super::*;
use crate::authenticator::{Authenticator, UserSettings};
use crate::token::TokenKey;

const ISSUER: &str = "https://login.example/realms/lake";
const OTHER: &str = "https://other.example";
const NOW_S: i64 = 1_800_000_000;

fn settings(issuer: &str) -> OidcSettings {
    OidcSettings {
        issuer: issuer.into(),
        audience: vec!["tidewater".into(), "lake".into()],
        algorithms: all_algorithms(),
        jwks_url: None,
        clock_skew_s: 60,
        lifetime_s_max: 24 * 3600,
        user_claim: "preferred_username".into(),
        user_prefix: "corp:".into(),
        groups_claim: Some("realm_access.groups".into()),
        roles: BTreeMap::from([("clinicians".into(), BTreeSet::from(["reader".into(), "nurse".into()]))]),
        writers: BTreeSet::from(["engineers".into()]),
        admins: BTreeSet::from(["stewards".into()]),
    }
}

/// Two issuers with keys of their own, and who believes the tokens of both.
struct World {
    rsa: Signer,
    ec: Signer,
    ed: Signer,
    theirs: Signer,
    documents: Arc<Documents>,
    clock: Arc<ManualClock>,
    oidc: Oidc,
}

fn world() -> World {
    let (rsa, ec, ed, theirs) = (
        Signer::rsa("r1"),
        Signer::ec("e1"),
        Signer::ed("d1"),
        Signer::ec("theirs"),
    );
    let documents = Arc::new(Documents::default());
    documents.publish(ISSUER, &[rsa.jwk(), ec.jwk(), ed.jwk()]);
    documents.publish(OTHER, &[theirs.jwk()]);
    let clock = Arc::new(ManualClock::new(NOW_S * 1_000));
    let issuers = vec![settings(ISSUER), settings(OTHER)];
    let fetch = Arc::clone(&documents) as Arc<dyn Fetch>;
    let oidc = Oidc::new(issuers, fetch, clock.clone()).expect("good issuers");
    World {
        rsa,
        ec,
        ed,
        theirs,
        documents,
        clock,
        oidc,
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "tidewater", "sub": "8f1", "preferred_username": "ana",
        "iat": NOW_S - 10, "exp": NOW_S + 600,
        "realm_access": {"groups": ["clinicians", "unknown"]},
    })
}

fn with(key: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[key] = value;
    claims
}

fn without(key: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().expect("an object").remove(key);
    claims
}

impl World {
    async fn verify(&self, token: &str) -> Result<Principal, SecurityError> {
        self.oidc.verify(token, &Policy::default()).await
    }
}

// Goal: good tokens of every algorithm let their bearer in, under the name and with the roles that are configured. Method: one each,
// and the forms in which claims may come.
#[tokio::test]
async fn good_tokens_are_believed() {
    let world = world();
    for signer in [&world.rsa, &world.ec, &world.ed] {
        for algorithm in signer.algorithms() {
            let token = signer.sign(&json!({"alg": algorithm, "kid": signer.id, "typ": "JWT"}), &claims());
            let ana = world.verify(&token).await.expect("a good token");
            assert_eq!(ana.name, "corp:ana");
            assert_eq!(ana.role(), Some(Role::Reader));
            assert_eq!(ana.roles().collect::<Vec<_>>(), ["nurse", "reader"]);
        }
    }
    let good = [
        with("aud", json!(["others", "lake"])),
        with("exp", json!(1_800_000_060.5)),
        with("nbf", json!(NOW_S + 59)),
        {
            let mut late = with("exp", json!(NOW_S - 59));
            late["iat"] = json!(NOW_S - 600);
            late
        },
        without("realm_access"),
        with("realm_access", json!({"groups": "clinicians"})),
        with("jti", json!("x")),
    ];
    for claims in good {
        let token = world
            .ec
            .sign(&json!({"alg": "ES256", "kid": "e1", "typ": "at+jwt"}), &claims);
        world
            .verify(&token)
            .await
            .unwrap_or_else(|error| panic!("{claims}: {error}"));
    }
    for (group, role) in [("engineers", Role::Writer), ("stewards", Role::Admin)] {
        let claims = with("realm_access", json!({"groups": [group]}));
        let token = world.ec.sign(&json!({"alg": "ES256", "kid": "e1"}), &claims);
        assert_eq!(world.verify(&token).await.expect("good").role(), Some(role));
    }
    // The one key for its algorithm needs no name.
    let token = world.ed.sign(&json!({"alg": "EdDSA"}), &claims());
    world.verify(&token).await.expect("a good token");
}

// Goal: no forged, altered, misdirected or stale token lets anybody in. Method: more than forty of them; what signs the attacker's is a
// good key of his own, an issuer's public key as a shared secret, another issuer's key, or nothing.
#[tokio::test]
async fn attacks_on_tokens_fail() {
    let world = world();
    let evil = Signer::ec("e1");
    let header = json!({"alg": "ES256", "kid": "e1", "typ": "JWT"});
    let good = world.ec.sign(&header, &claims());
    world.verify(&good).await.expect("what the attacks differ from is good");
    let signed = |claims: &Value| world.ec.sign(&header, claims);
    let headed = |header: Value| world.ec.sign(&header, &claims());
    let forged = |header: Value| evil.sign(&header, &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let public = world.rsa.public();
    let mut attacks: Vec<(&str, String)> = vec![
        // Nothing, or the wrong thing, signs it.
        ("alg none", compact(&json!({"alg": "none"}), &claims(), b"")),
        ("alg none, signed", compact(&json!({"alg": "none"}), &claims(), b"x")),
        ("alg None", compact(&json!({"alg": "None"}), &claims(), b"x")),
        ("alg NONE with a key", forged(json!({"alg": "NONE", "kid": "e1"}))),
        ("no alg", compact(&json!({"kid": "e1"}), &claims(), b"x")),
        (
            "alg of another type",
            compact(&json!({"alg": ["ES256"], "kid": "e1"}), &claims(), b"x"),
        ),
        ("alg null", compact(&json!({"alg": null, "kid": "e1"}), &claims(), b"x")),
        ("alg in lower case", headed(json!({"alg": "es256", "kid": "e1"}))),
        (
            "HS256 with the public key",
            issuer::hmac(&public, &json!({"alg": "HS256", "kid": "r1"}), &claims()),
        ),
        (
            "HS256 called RS256",
            issuer::hmac(&public, &json!({"alg": "RS256", "kid": "r1"}), &claims()),
        ),
        (
            "HS256 with nothing",
            issuer::hmac(b"", &json!({"alg": "HS256", "kid": "r1"}), &claims()),
        ),
        (
            "HS512 with the document",
            issuer::hmac(
                world.rsa.jwk().to_string().as_bytes(),
                &json!({"alg": "HS512", "kid": "r1"}),
                &claims(),
            ),
        ),
        ("ES256 said to be ES384", headed(json!({"alg": "ES384", "kid": "e1"}))),
        (
            "ES256 with an RSA key's name",
            headed(json!({"alg": "ES256", "kid": "r1"})),
        ),
        (
            "RS256 said to be PS256",
            world
                .rsa
                .sign_as("RS256", &json!({"alg": "PS256", "kid": "r1"}), &claims()),
        ),
        (
            "EdDSA said to be ES256",
            world
                .ed
                .sign_as("EdDSA", &json!({"alg": "ES256", "kid": "e1"}), &claims()),
        ),
        ("a signature of zeros", compact(&header, &claims(), &[0; 64])),
        ("an empty signature", format!("{}.{}.", parts[0], parts[1])),
        ("a signature of another token", {
            let other = signed(&with("preferred_username", json!("bob")));
            format!(
                "{}.{}.{}",
                parts[0],
                parts[1],
                other.rsplit('.').next().expect("three parts")
            )
        }),
        ("claims of another token", {
            let other = signed(&with("preferred_username", json!("bob")));
            format!(
                "{}.{}.{}",
                parts[0],
                other.split('.').nth(1).expect("three parts"),
                parts[2]
            )
        }),
        // A key that the attacker brings.
        ("another's key of the same name", forged(header.clone())),
        ("an unknown key", forged(json!({"alg": "ES256", "kid": "mine"}))),
        ("no kid, and several keys", {
            world.documents.publish(
                ISSUER,
                &[world.rsa.jwk(), world.ec.jwk(), world.ed.jwk(), Signer::ec("e2").jwk()],
            );
            forged(json!({"alg": "ES256"}))
        }),
        (
            "kid of another issuer",
            world.theirs.sign(&json!({"alg": "ES256", "kid": "theirs"}), &claims()),
        ),
        (
            "another issuer's key called ours",
            world.theirs.sign(&header, &claims()),
        ),
        (
            "kid with a path",
            forged(json!({"alg": "ES256", "kid": "../../../../dev/null"})),
        ),
        (
            "kid with an address",
            forged(json!({"alg": "ES256", "kid": "https://evil.example/key"})),
        ),
        (
            "kid with SQL",
            forged(json!({"alg": "ES256", "kid": "x' UNION SELECT 'k"})),
        ),
        ("kid of another type", forged(json!({"alg": "ES256", "kid": 1}))),
        ("an empty kid", forged(json!({"alg": "ES256", "kid": ""}))),
        ("a long kid", forged(json!({"alg": "ES256", "kid": "k".repeat(300)}))),
        (
            "jwk in the header",
            forged(json!({"alg": "ES256", "kid": "e1", "jwk": evil.jwk()})),
        ),
        ("jwk and no kid", forged(json!({"alg": "ES256", "jwk": evil.jwk()}))),
        (
            "jku in the header",
            forged(json!({"alg": "ES256", "kid": "e1", "jku": "https://evil.example/jwks"})),
        ),
        (
            "x5u in the header",
            forged(json!({"alg": "ES256", "kid": "e1", "x5u": "https://evil.example/x5u"})),
        ),
        (
            "x5c in the header",
            forged(json!({"alg": "ES256", "kid": "e1", "x5c": ["MIIB"]})),
        ),
        // What has to be understood, and is not.
        ("crit", headed(json!({"alg": "ES256", "kid": "e1", "crit": ["exp"]}))),
        (
            "crit of nothing",
            headed(json!({"alg": "ES256", "kid": "e1", "crit": []})),
        ),
        ("b64 false", headed(json!({"alg": "ES256", "kid": "e1", "b64": false}))),
        ("compressed", headed(json!({"alg": "ES256", "kid": "e1", "zip": "DEF"}))),
        (
            "encrypted",
            headed(json!({"alg": "ES256", "kid": "e1", "enc": "A256GCM"})),
        ),
        (
            "another kind of token",
            headed(json!({"alg": "ES256", "kid": "e1", "typ": "logout+jwt"})),
        ),
        (
            "typ of another type",
            headed(json!({"alg": "ES256", "kid": "e1", "typ": 1})),
        ),
        // Not here, not now, not from them.
        ("another audience", signed(&with("aud", json!("others")))),
        ("a longer audience", signed(&with("aud", json!("tidewater-test")))),
        ("no audience", signed(&without("aud"))),
        ("an empty audience", signed(&with("aud", json!([])))),
        (
            "audience of another type",
            signed(&with("aud", json!({"tidewater": true}))),
        ),
        (
            "audience with another type",
            signed(&with("aud", json!(["tidewater", 1]))),
        ),
        ("another issuer", signed(&with("iss", json!("https://evil.example")))),
        ("the other issuer", signed(&with("iss", json!(OTHER)))),
        ("issuer with a slash", signed(&with("iss", json!(format!("{ISSUER}/"))))),
        ("issuer in capitals", signed(&with("iss", json!(ISSUER.to_uppercase())))),
        (
            "issuer that looks alike",
            signed(&with("iss", json!(ISSUER.replace('o', "\u{43e}")))),
        ),
        ("issuer with a zero", signed(&with("iss", json!(format!("{ISSUER}\0"))))),
        ("issuer of another type", signed(&with("iss", json!([ISSUER])))),
        ("no issuer", signed(&without("iss"))),
        ("over", signed(&with("exp", json!(NOW_S - 61)))),
        ("over long ago", signed(&with("exp", json!(0)))),
        ("no end", signed(&without("exp"))),
        ("an end that is a text", signed(&with("exp", json!("2100-01-01")))),
        (
            "an end that is a number in a text",
            signed(&with("exp", json!((NOW_S + 600).to_string()))),
        ),
        ("a negative end", signed(&with("exp", json!(-1)))),
        ("an end without end", signed(&with("exp", json!(1e300)))),
        ("an end too far off", signed(&with("exp", json!(NOW_S + 366 * 86_400)))),
        ("an end before its beginning", signed(&with("iat", json!(NOW_S + 601)))),
        ("not yet", signed(&with("nbf", json!(NOW_S + 61)))),
        ("not for long", signed(&with("nbf", json!(NOW_S + 86_400 * 365)))),
        ("nbf of another type", signed(&with("nbf", json!("now")))),
        ("made in the future", signed(&with("iat", json!(NOW_S + 120)))),
        ("never made", signed(&without("iat"))),
        // Nobody, or somebody who is not one.
        ("no name", signed(&without("preferred_username"))),
        ("an empty name", signed(&with("preferred_username", json!("")))),
        (
            "a name of another type",
            signed(&with("preferred_username", json!({"a": 1}))),
        ),
        (
            "a name with a zero",
            signed(&with("preferred_username", json!("ana\0bob"))),
        ),
        (
            "a name with a line",
            signed(&with("preferred_username", json!("ana\nbob"))),
        ),
        (
            "a name with a space",
            signed(&with("preferred_username", json!(" ana"))),
        ),
        (
            "a long name",
            signed(&with("preferred_username", json!("a".repeat(300)))),
        ),
        (
            "groups of another type",
            signed(&with("realm_access", json!({"groups": {"stewards": true}}))),
        ),
        (
            "groups with another type",
            signed(&with("realm_access", json!({"groups": [["stewards"]]}))),
        ),
    ];
    // Not JSON, not base64, not one token.
    let raw = |header: &[u8], payload: &[u8]| world.ec.sign_raw(&encode(header), &encode(payload));
    let head = header.to_string();
    let body = claims().to_string();
    let doubled = |key: &str, value: &str| format!("{{\"{key}\":{value},{}", &body[1..]);
    attacks.extend([
        (
            "a claim twice",
            raw(head.as_bytes(), doubled("preferred_username", "\"bob\"").as_bytes()),
        ),
        (
            "audience twice",
            raw(head.as_bytes(), doubled("aud", "\"others\"").as_bytes()),
        ),
        (
            "a claim twice, spelled otherwise",
            raw(head.as_bytes(), doubled("\\u0069ss", "\"x\"").as_bytes()),
        ),
        (
            "a claim twice within",
            raw(
                head.as_bytes(),
                body.replace("\"groups\":", "\"groups\":[],\"groups\":").as_bytes(),
            ),
        ),
        (
            "alg twice",
            raw(br#"{"alg":"none","alg":"ES256","kid":"e1"}"#, body.as_bytes()),
        ),
        (
            "kid twice",
            raw(br#"{"alg":"ES256","kid":"x","kid":"e1"}"#, body.as_bytes()),
        ),
        ("no JSON", raw(head.as_bytes(), b"iss=evil")),
        ("a list", raw(head.as_bytes(), b"[]")),
        (
            "JSON and more",
            raw(head.as_bytes(), format!("{body}{body}").as_bytes()),
        ),
        (
            "deep JSON",
            raw(
                head.as_bytes(),
                format!("{}{}", "[".repeat(5_000), "]".repeat(5_000)).as_bytes(),
            ),
        ),
        ("no UTF-8", raw(head.as_bytes(), b"{\"iss\":\"\xff\"}")),
        ("a header that is no JSON", raw(b"alg=ES256", body.as_bytes())),
        ("padding", format!("{}=.{}.{}", parts[0], parts[1], parts[2])),
        (
            "base64 of the other kind",
            good.replacen(parts[2], &format!("+/{}", &parts[2][2..]), 1),
        ),
        ("four parts", format!("{good}.{}", parts[2])),
        (
            "five parts",
            format!("{}.{}.{}.{}.{}", parts[0], parts[1], parts[2], parts[0], parts[1]),
        ),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("dots", "..".to_owned()),
        ("a line before it", format!("\n{good}")),
        ("a zero behind it", format!("{good}\0")),
        ("huge", signed(&with("more", json!("x".repeat(20_000))))),
        (
            "JSON of a signature",
            json!({"payload": parts[1], "signatures": [{"protected": parts[0], "signature": parts[2]}]}).to_string(),
        ),
    ]);
    assert!(attacks.len() >= 40);
    let names: BTreeSet<&str> = attacks.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), attacks.len());
    for (name, token) in &attacks {
        let outcome = world.verify(token).await;
        assert!(
            matches!(
                outcome,
                Err(SecurityError::ForeignToken { .. } | SecurityError::ExpiredToken)
            ),
            "{name}: {outcome:?}"
        );
    }
    assert!(
        world.documents.asked_only(&[ISSUER, OTHER]),
        "nobody is asked for keys but the issuers"
    );
    world.verify(&good).await.expect("it is good still");
}

// Goal: only algorithms that are allowed for an issuer count. Method: a good RS256 token where ES256 alone is allowed.
#[tokio::test]
async fn algorithms_are_the_issuers() {
    let World {
        rsa,
        ec,
        documents,
        clock,
        ..
    } = world();
    let only = OidcSettings {
        algorithms: vec![Algorithm::ES256],
        ..settings(ISSUER)
    };
    let oidc = Oidc::new(vec![only], documents as Arc<dyn Fetch>, clock).expect("a good issuer");
    let token = rsa.sign(&json!({"alg": "RS256", "kid": "r1"}), &claims());
    assert!(oidc.verify(&token, &Policy::default()).await.is_err());
    let token = ec.sign(&json!({"alg": "ES256", "kid": "e1"}), &claims());
    assert!(oidc.verify(&token, &Policy::default()).await.is_ok());
}

// Goal: a new key of an issuer is good at once, one that it took out soon is not, made-up keys do not make us ask it without end, and
// an issuer that is down locks nobody out at once. Method: each with a clock in hand, and a count of what was asked for.
#[tokio::test]
async fn keys_follow_their_issuer() {
    let world = world();
    let of = |signer: &Signer| {
        signer.sign(&json!({"alg": "ES256", "kid": signer.id}), &{
            let now_s = tidewater_core::Clock::now_ms(world.clock.as_ref()) / 1_000;
            let mut claims = with("iat", json!(now_s));
            claims["exp"] = json!(now_s + 600);
            claims
        })
    };
    world.verify(&of(&world.ec)).await.expect("a good token");
    let asked = world.documents.count();
    world.verify(&of(&world.ec)).await.expect("a good token");
    assert_eq!(world.documents.count(), asked, "kept keys are not fetched");

    let next = Signer::ec("e2");
    world.documents.publish(ISSUER, &[world.ec.jwk(), next.jwk()]);
    assert!(world.verify(&of(&next)).await.is_err(), "it was asked just now");
    world.clock.advance(Duration::from_secs(31));
    world.verify(&of(&next)).await.expect("the new key");
    let asked = world.documents.count();
    for _ in 0..50 {
        assert!(world.verify(&of(&Signer::ec("made up"))).await.is_err());
    }
    assert_eq!(world.documents.count(), asked);

    world.documents.publish(ISSUER, &[next.jwk()]);
    world.clock.advance(Duration::from_secs(15 * 60 + 1));
    assert!(world.verify(&of(&world.ec)).await.is_err(), "it was taken out");
    world.verify(&of(&next)).await.expect("the new key");

    world.documents.fail();
    world.clock.advance(Duration::from_secs(3_600));
    world
        .verify(&of(&next))
        .await
        .expect("kept keys are good while their issuer is down");
    world.clock.advance(Duration::from_secs(24 * 3_600));
    let outcome = world.verify(&of(&next)).await;
    assert!(matches!(outcome, Err(SecurityError::KeysUnknown { .. })), "{outcome:?}");
}

// Goal: what an operator takes back is gone, and no issuer makes somebody of this installation. Method: a revocation before and after
// the token was made; a token with the name of a configured user.
#[tokio::test]
async fn revoked_and_taken_names() {
    let world = world();
    let token = world.ec.sign(&json!({"alg": "ES256", "kid": "e1"}), &claims());
    let revoked = |at_s: i64| Policy {
        tokens_from_ms: BTreeMap::from([("corp:ana".to_owned(), at_s * 1_000)]),
        ..Policy::default()
    };
    assert!(world.oidc.verify(&token, &revoked(NOW_S - 11)).await.is_ok());
    let outcome = world.oidc.verify(&token, &revoked(NOW_S - 10)).await;
    assert!(matches!(outcome, Err(SecurityError::RevokedToken)), "{outcome:?}");

    let user = UserSettings {
        name: "corp:ana".into(),
        password_hash: String::new(),
        scram: None,
        role: Role::Admin,
    };
    let door = Authenticator::new(vec![user], TokenKey::derive(b"k"), world.clock.clone()).expect("a good user");
    let door = door.believing(Some(Arc::new(world.oidc)));
    let outcome = door.admit(&token).await;
    assert!(
        matches!(outcome, Err(SecurityError::ForeignToken { .. })),
        "{outcome:?}"
    );
    let bob = world.ec.sign(
        &json!({"alg": "ES256", "kid": "e1"}),
        &with("preferred_username", json!("bob")),
    );
    assert_eq!(door.admit(&bob).await.expect("nobody else").name, "corp:bob");
    let own = door.issue(&Principal::named("corp:ana"));
    assert_eq!(door.admit(&own).await.expect("a token of ours").role(), None);
    assert!(door.verify(&bob).is_err());
}

// Goal: an issuer that could be believed by mistake is refused at the start. Method: each mistake once.
#[test]
fn issuers_are_checked() {
    assert!(settings(ISSUER).check().is_ok());
    let change = |change: fn(&mut OidcSettings)| {
        let mut settings = settings(ISSUER);
        change(&mut settings);
        settings.check()
    };
    let mistakes: [fn(&mut OidcSettings); 9] = [
        |settings| settings.issuer = "http://login.example".into(),
        |settings| settings.issuer = "http://localhost.evil.example".into(),
        |settings| settings.jwks_url = Some("http://login.example/keys".into()),
        |settings| settings.audience.clear(),
        |settings| settings.audience = vec![String::new()],
        |settings| settings.algorithms.clear(),
        |settings| settings.clock_skew_s = 3_600,
        |settings| settings.groups_claim = None,
        |settings| settings.user_claim.clear(),
    ];
    for mistake in mistakes {
        assert!(matches!(change(mistake), Err(SecurityError::BadIssuer { .. })));
    }
    assert!(change(|settings| settings.jwks_url = Some("http://127.0.0.1:9000/keys".into())).is_ok());
    let twice = Oidc::new(
        vec![settings(ISSUER), settings(ISSUER)],
        Arc::new(Documents::default()),
        Arc::new(ManualClock::new(0)),
    );
    assert!(twice.is_err());
    let unknown = r#"{"issuer": "https://x", "audience": ["a"], "algorithms": ["HS256"]}"#;
    assert!(
        serde_json::from_str::<OidcSettings>(unknown).is_err(),
        "shared secrets are no algorithms"
    );
}
