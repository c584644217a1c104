//! Who is let in, by what, and for how long.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use tidewater_core::{Clock, ManualClock, SeededRng, SharedRng};

use super::*;
use crate::logins::Outcome;
use crate::policy::{StoredPassword, UserRow};

// Goal: only the right password and live tokens let in. Method: each wrong way once, beside the right one.
#[test]
fn passwords_and_tokens() {
    let rng: SharedRng = Arc::new(SeededRng::new(1));
    let clock = Arc::new(ManualClock::new(0));
    let hash = hash_password("correct horse", &rng).expect("a hash");
    let users = vec![UserSettings {
        name: "ana".into(),
        password_hash: hash,
        scram: None,
        role: Role::Reader,
    }];
    let door = Authenticator::new(users, TokenKey::derive(b"k"), clock.clone()).expect("good users");
    assert!(door.required());
    assert!(matches!(door.login("ana", "wrong"), Err(SecurityError::BadCredentials)));
    assert!(matches!(
        door.login("bob", "correct horse"),
        Err(SecurityError::BadCredentials)
    ));
    let ana = door.login("ana", "correct horse").expect("the right password");
    assert!(!door.may_write(&ana));
    let token = door.issue(&ana);
    assert_eq!(door.verify(&token).expect("a good token"), ana);
    assert_eq!(door.login("ana", &token).expect("a token as password"), ana);
    clock.advance(Duration::from_secs(13 * 3600));
    assert!(matches!(door.verify(&token), Err(SecurityError::ExpiredToken)));
}

// Goal: service accounts have tokens and no password, passwords cannot be guessed at speed, and a token that was taken back is
// none. Method: an account without a hash; wrong passwords until the right one is not looked at; a policy that names the user.
#[test]
fn accounts_limits_and_revocation() {
    let rng: SharedRng = Arc::new(SeededRng::new(1));
    let clock = Arc::new(ManualClock::new(1_000));
    let user = |name: &str, password_hash: String| UserSettings {
        name: name.into(),
        scram: None,
        password_hash,
        role: Role::Reader,
    };
    let users = vec![
        user("ana", hash_password("correct horse", &rng).expect("a hash")),
        user("robot", String::new()),
    ];
    let door = Authenticator::new(users, TokenKey::derive(b"k"), clock.clone()).expect("good users");
    for password in ["", "nobody", "robot"] {
        assert!(matches!(
            door.login("robot", password),
            Err(SecurityError::BadCredentials)
        ));
    }
    let robot = Principal::named("robot");
    let (claims, token) = door.issue_for(&robot, 5_000);
    assert_eq!(door.login("robot", &token).expect("its token"), robot);
    let address = Some(IpAddr::from([127, 0, 0, 1]));
    let mut refused = 0;
    for _ in 0..12 {
        match door.login_from("ana", "wrong", address) {
            Err(SecurityError::TooManyAttempts { seconds }) => {
                assert!(seconds > 0);
                refused += 1;
            }
            other => assert!(matches!(other, Err(SecurityError::BadCredentials)), "{other:?}"),
        }
    }
    assert_eq!(refused, 7);
    let counted = |way: Way, outcome: Outcome| {
        let counts = door.logins().counts();
        let found = counts.iter().find(|(of, what, _)| (*of, *what) == (way, outcome));
        found.map(|(_, _, count)| *count)
    };
    assert_eq!(counted(Way::Password, Outcome::Denied), Some(3 + 5));
    assert_eq!(counted(Way::Password, Outcome::Throttled), Some(7));
    assert_eq!(counted(Way::Password, Outcome::Succeeded), Some(0));
    assert_eq!(counted(Way::Token, Outcome::Succeeded), Some(1));
    assert!(door.login_from("ana", "correct horse", address).is_err());
    assert!(
        door.login_from("ana", "correct horse", Some(IpAddr::from([127, 0, 0, 2])))
            .is_ok()
    );
    clock.advance(Duration::from_secs(2));
    assert!(door.login_from("ana", "correct horse", address).is_ok());
    let policy = Policy {
        tokens_from_ms: BTreeMap::from([("robot".to_owned(), claims.issued_ms)]),
        ..Policy::default()
    };
    door.heed(Arc::new(policy));
    assert!(matches!(door.verify(&token), Err(SecurityError::RevokedToken)));
    assert!(matches!(
        door.login("robot", &token),
        Err(SecurityError::BadCredentials)
    ));
    assert!(door.verify(&door.issue(&robot)).is_ok());
}

// Goal: users whom the catalog keeps come in by password, SCRAM's verifier and token, and no more once they are disabled or dropped;
// who has a name after them is another one; a name of the configuration is the configuration's. Method: policies one after the other,
// with what was good under the one before.
#[test]
fn users_of_the_catalog() {
    let rng: SharedRng = Arc::new(SeededRng::new(1));
    let clock = Arc::new(ManualClock::new(1_000));
    let ana = UserSettings {
        name: "ana".into(),
        password_hash: hash_password("of the file", &rng).expect("a hash"),
        scram: None,
        role: Role::Admin,
    };
    let door = Authenticator::new(vec![ana], TokenKey::derive(b"k"), clock.clone()).expect("good users");
    let row = |id: u128, password: Option<&str>| UserRow {
        id: Uuid::from_u128(id),
        password: password.map(|password| StoredPassword::new(password, &rng).expect("a hash")),
        disabled: false,
        made_ms: 1,
        enabled_ms: None,
    };
    let told = |rows: &[(&str, UserRow)]| {
        let users = rows.iter().map(|(name, row)| ((*name).to_owned(), row.clone()));
        door.heed(Arc::new(Policy {
            users: users.collect(),
            ..Policy::default()
        }));
    };
    assert!(!door.knows("ben") && door.login("ben", "first").is_err() && !door.knows_scram());
    let first = row(1, Some("first"));
    told(&[
        ("ben", first.clone()),
        ("robot", row(2, None)),
        ("ana", row(3, Some("of the catalog"))),
    ]);
    assert!(door.knows_scram() && !door.wants_password("ben") && door.wants_password("robot"));
    assert!(door.login("ben", "wrong").is_err() && door.login("robot", "").is_err());
    let ben = door.login("ben", "first").expect("the right password");
    assert_eq!((ben.account(), door.may_write(&ben)), (Some(first.id), false));
    let token = door.issue(&ben);
    assert_eq!(door.verify(&token).expect("a good token"), ben);
    assert!(door.certified("ben").is_ok() && door.still_lets(&ben).is_ok());
    // The configuration's user is who has the name.
    assert!(door.login("ana", "of the catalog").is_err());
    let ana = door.login("ana", "of the file").expect("the file's password");
    assert_eq!(ana.account(), None);
    let other = door.issue(&Principal::kept("ana", &row(3, None)));
    assert!(matches!(door.verify(&other), Err(SecurityError::RevokedToken)));
    // Disabled.
    let disabled = UserRow {
        disabled: true,
        ..first.clone()
    };
    told(&[("ben", disabled)]);
    assert!(matches!(door.login("ben", "first"), Err(SecurityError::BadCredentials)));
    assert!(matches!(door.verify(&token), Err(SecurityError::RevokedToken)));
    assert!(door.login("ben", &token).is_err() && door.certified("ben").is_err());
    assert!(matches!(door.still_lets(&ben), Err(SecurityError::UserGone { .. })));
    assert!(door.principal("ben").is_none() && door.knows("ben") && !door.wants_password("ben"));
    // Enabled again: only tokens and sessions of after.
    let enabled = UserRow {
        enabled_ms: Some(1_000),
        ..first
    };
    told(&[("ben", enabled)]);
    assert!(door.verify(&token).is_err() && door.still_lets(&ben).is_err());
    clock.advance(Duration::from_millis(1));
    let ben = door.login("ben", "first").expect("the right password");
    let token = door.issue(&ben);
    assert_eq!(door.verify(&token).expect("a good token"), ben);
    assert!(door.still_lets(&ben).is_ok());
    // An issuer's user of the name is not them.
    let vouched = |name: &str| Principal::vouched(name.to_owned(), Role::Reader, BTreeSet::new());
    assert!(door.still_lets(&vouched("ben")).is_err() && door.still_lets(&vouched("eve")).is_ok());
    // Another one of the name, and nobody.
    told(&[("ben", row(4, Some("second")))]);
    assert!(matches!(door.verify(&token), Err(SecurityError::RevokedToken)));
    assert!(door.still_lets(&ben).is_err() && door.login("ben", "first").is_err());
    assert!(door.login("ben", "second").is_ok());
    told(&[]);
    assert!(matches!(door.verify(&token), Err(SecurityError::BadToken)));
    assert!(door.still_lets(&ben).is_err() && door.login("ben", "second").is_err());
    // What is heard late changes nothing.
    let heard = |version: u64, rows: &[(&str, UserRow)]| {
        let users = rows.iter().map(|(name, row)| ((*name).to_owned(), row.clone()));
        door.heed(Arc::new(Policy {
            version,
            users: users.collect(),
            ..Policy::default()
        }));
    };
    heard(2, &[]);
    heard(1, &[("ben", row(5, Some("second")))]);
    assert!(door.principal("ben").is_none());
}

// Goal: the token of a login is good for as long as it was set, and one that is given out for longer is not touched by that. Method:
// tokens of a minute and of a day, looked at within and after the minute; more than may be is as much as may be.
#[test]
fn tokens_of_logins_end_when_they_are_to() {
    let clock = Arc::new(ManualClock::new(1_000));
    let robot = UserSettings {
        name: "robot".into(),
        password_hash: String::new(),
        scram: None,
        role: Role::Reader,
    };
    let door = Authenticator::new(vec![robot], TokenKey::derive(b"k"), clock.clone()).expect("good users");
    assert_eq!(door.login_ttl_ms, TOKEN_TTL_MS);
    let door = door.issuing_for(60_000);
    let robot = Principal::named("robot");
    let (token, (_, longer)) = (door.issue(&robot), door.issue_for(&robot, TOKEN_TTL_MS));
    clock.advance(Duration::from_secs(59));
    assert!(door.verify(&token).is_ok());
    clock.advance(Duration::from_secs(2));
    assert!(matches!(door.verify(&token), Err(SecurityError::ExpiredToken)));
    assert!(door.verify(&longer).is_ok());
    let door = door.issuing_for(i64::MAX);
    assert!(door.verify(&door.issue(&robot)).is_ok());
}

// Goal: to exchange a token for another does not save it from what takes back all of before, also where that is not known yet, and no chain
// of tokens is good for longer than one may be. Method: a token that is exchanged again and again, for a year; one of somebody else, and none.
#[test]
fn exchanged_tokens_count_as_of_before() {
    let clock = Arc::new(ManualClock::new(1_000));
    let robot = |name: &str| UserSettings {
        name: name.into(),
        password_hash: String::new(),
        scram: None,
        role: Role::Reader,
    };
    let users = vec![robot("robot"), robot("other")];
    let door = Authenticator::new(users, TokenKey::derive(b"k"), clock.clone()).expect("good users");
    let robot = Principal::named("robot");
    let first = door.issue(&robot);
    clock.advance(Duration::from_secs(60));
    let (second, good_ms) = door.issue_by(&robot, &first);
    assert_eq!(good_ms, TOKEN_TTL_MS);
    let (by_password, by_other) = (
        door.issue_by(&robot, "correct horse").0,
        door.issue_by(&Principal::named("other"), &first).0,
    );
    assert_ne!(first, second);
    // Said before the exchange, and heard after it.
    let policy = Policy {
        tokens_from_ms: BTreeMap::from([("robot".to_owned(), 31_000), ("other".to_owned(), 31_000)]),
        ..Policy::default()
    };
    assert!(door.verify(&second).is_ok());
    for token in [&first, &second] {
        assert!(matches!(
            door.verify_by(token, &policy),
            Err(SecurityError::RevokedToken)
        ));
    }
    assert!(door.verify_by(&by_password, &policy).is_ok() && door.verify_by(&by_other, &policy).is_ok());
    let (mut token, mut good_ms, mut exchanges) = (second, good_ms, 0);
    while door.verify(&token).is_ok() {
        clock.advance(Duration::from_secs(11 * 3_600));
        if door.verify(&token).is_ok() {
            (token, good_ms) = door.issue_by(&robot, &token);
            exchanges += 1;
        }
    }
    let year_ms = clock.now_ms() - crate::TOKEN_TTL_MS_MAX;
    assert!(
        exchanges > 700 && (0..=12 * 3_600_000).contains(&year_ms),
        "{exchanges} {year_ms}"
    );
    // What is left of the year, which who asks for it is told.
    assert!((1..11 * 3_600_000).contains(&good_ms), "{good_ms}");
}

// Goal: an expired token tells whom it was for only if it is ours and good but for its end. Method: one within and after its time, one of
// another key, one of a stranger; what was taken back; a user of the catalog who is disabled, enabled again, and made anew.
#[test]
fn expired_tokens_tell_whom_they_were_for() {
    let clock = Arc::new(ManualClock::new(1_000));
    let robot = || UserSettings {
        name: "robot".into(),
        password_hash: String::new(),
        scram: None,
        role: Role::Reader,
    };
    let at = |key: &[u8]| Authenticator::new(vec![robot()], TokenKey::derive(key), clock.clone()).expect("good users");
    let (door, other) = (at(b"k"), at(b"other"));
    let row = |id: u128| UserRow {
        id: Uuid::from_u128(id),
        password: None,
        disabled: false,
        made_ms: 1,
        enabled_ms: None,
    };
    let robot = Principal::named("robot");
    let (token, forged, stranger) = (
        door.issue(&robot),
        other.issue(&robot),
        door.issue(&Principal::named("nobody")),
    );
    let kept = door.issue(&Principal::kept("ben", &row(1)));
    let subject = |token: &str| door.subject_of_expired(token);
    assert_eq!(subject(&token), None);
    clock.advance(Duration::from_secs(13 * 3_600));
    assert_eq!(subject(&token).as_deref(), Some("robot"));
    for bad in [forged.as_str(), &stranger, &kept, "", "robot"] {
        assert_eq!(subject(bad), None, "{bad}");
    }
    let told = |row: UserRow| {
        door.heed(Arc::new(Policy {
            users: BTreeMap::from([("ben".to_owned(), row)]),
            ..Policy::default()
        }));
    };
    told(row(1));
    assert_eq!(subject(&kept).as_deref(), Some("ben"));
    for row in [
        UserRow {
            disabled: true,
            ..row(1)
        },
        UserRow {
            enabled_ms: Some(1_000),
            ..row(1)
        },
        row(2),
    ] {
        told(row.clone());
        assert_eq!(subject(&kept), None, "{row:?}");
    }
    door.heed(Arc::new(Policy {
        tokens_from_ms: BTreeMap::from([("robot".to_owned(), 1_000)]),
        ..Policy::default()
    }));
    assert_eq!(subject(&token), None);
}

// Goal: a hash nobody can read is told at start. Method: plain text where a hash belongs.
#[test]
fn plain_passwords_are_refused() {
    let users = vec![UserSettings {
        name: "ana".into(),
        password_hash: "secret".into(),
        scram: None,
        role: Role::Reader,
    }];
    let clock = Arc::new(ManualClock::new(0));
    assert!(matches!(
        Authenticator::new(users, TokenKey::derive(b"k"), clock),
        Err(SecurityError::BadHash { .. })
    ));
}
