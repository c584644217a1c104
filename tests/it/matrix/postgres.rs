//! The messages of the PostgreSQL wire, with every kind of key and in the wrong role.

use std::fs;
use std::path::Path;

use super::{KEYS, keys, lake, steward};
use crate::kit::issuer::Issuer;
use crate::kit::wire::{Said, Wire, sqlstate};
use crate::oidc::flight;

// Goal: nothing that can be sent on the PostgreSQL wire is done for who is not in. Method: each message of the protocol before the
// password, and each key in the place of one.
#[test]
fn every_message_of_postgres_with_every_key() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = Issuer::start();
    let node = lake(dir.path(), &issuer);
    for key in KEYS {
        let keys = keys(&issuer);
        let password = keys[key].clone().unwrap_or_default();
        let said = Wire::open(node.ports().postgres).log_in("corp/ana", &password);
        let expected = match key {
            "role" => Said::Welcome,
            _ => Said::Refused("28P01".into()),
        };
        assert_eq!(said, expected, "{key}");
    }
    // Of the client: bind, close, copy data, copy done, copy fail, describe, execute, flush, function call, parse, query, sync.
    for kind in *b"BCdcfDEHFPQS" {
        let mut wire = Wire::open(node.ports().postgres);
        wire.begin("corp/ana");
        wire.send(kind, b"SELECT 1\0\0\0\0\0\0\0");
        let said = wire.outcome();
        assert!(said != Said::Welcome, "{}: {said:?}", char::from(kind));
    }
}

/// A message of a client: its kind and its body.
type Sent = (u8, Vec<u8>);

/// Statements about a table, in each of which it is called `g.t`.
const STATEMENTS: [&str; 29] = [
    "SELECT * FROM g.t",
    "SELECT count(*) FROM g.t",
    "EXPLAIN SELECT * FROM g.t",
    "COPY g.t TO STDOUT",
    "COPY (SELECT * FROM g.t) TO STDOUT",
    "COPY g.t FROM STDIN",
    "INSERT INTO g.t VALUES (1)",
    "UPDATE g.t SET id = 2",
    "DELETE FROM g.t",
    "MERGE INTO g.t AS a USING (SELECT 7 AS id) AS s ON a.id = s.id WHEN MATCHED THEN DELETE",
    "TRUNCATE TABLE g.t",
    "DROP TABLE g.t",
    "ALTER TABLE g.t ADD COLUMN more BIGINT",
    "ALTER TABLE g.t RENAME TO v",
    "CREATE TABLE g.t (id BIGINT)",
    "CREATE OR REPLACE TABLE g.t (id BIGINT)",
    "CREATE VIEW g.w AS SELECT * FROM g.t",
    "CALL system.rewrite_data_files(table => 'g.t')",
    "GRANT SELECT ON g.t TO ROLE analyst",
    "REVOKE SELECT ON g.t FROM ROLE analyst",
    "COMMENT ON TABLE g.t IS 'x'",
    "COMMENT ON COLUMN g.t.id IS 'x'",
    "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM g.t",
    "EXPLAIN ANALYZE SELECT * FROM g.t",
    "EXPLAIN ANALYZE INSERT INTO g.t VALUES (1)",
    "EXPLAIN ANALYZE UPDATE g.t SET id = 2",
    "EXPLAIN ANALYZE DELETE FROM g.t",
    "EXPLAIN ANALYZE CREATE TABLE g.v AS SELECT * FROM g.t",
    "PREPARE p AS SELECT * FROM g.t",
];

/// The kinds of messages that the server reads from a client who is in, as its source has them.
fn kinds() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("flight-sql/src/postgres/message.rs");
    let text = fs::read_to_string(path).unwrap();
    let (_, arms) = text.split_once("let message = match kind {").unwrap();
    let (arms, _) = arms.split_once("other => Message::Unknown").unwrap();
    let kinds = arms.split("b'").skip(1).map(|rest| rest.as_bytes()[0]);
    kinds.collect()
}

fn text(parts: &[&str]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.bytes().chain([0])).collect()
}

/// A statement in the extended protocol: parsed, bound, described, executed and closed.
fn extended(sql: &str) -> Vec<Sent> {
    vec![
        (b'P', [text(&["", sql]), vec![0, 0]].concat()),
        (b'B', [text(&["", ""]), vec![0; 6]].concat()),
        (b'D', [vec![b'P'], text(&[""])].concat()),
        (b'E', [text(&[""]), vec![0; 4]].concat()),
        (b'C', [vec![b'S'], text(&[""])].concat()),
        (b'S', Vec::new()),
    ]
}

/// Batches in which somebody in the wrong role sends a message of this kind: about a table that is not theirs, or about what another
/// session calls `theirs`. None for a kind that nobody thought of.
fn batches(kind: u8) -> Option<Vec<Vec<Sent>>> {
    let simple = |sql: &str| vec![(b'Q', text(&[sql]))];
    let alone = |body: Vec<u8>| vec![(kind, body), (b'S', Vec::new())];
    Some(match kind {
        b'Q' => STATEMENTS.iter().map(|sql| simple(sql)).collect(),
        b'P' => STATEMENTS.iter().map(|sql| extended(sql)).collect(),
        b'B' => vec![alone([text(&["", "theirs"]), vec![0; 6]].concat())],
        b'D' | b'C' => [b'S', b'P']
            .iter()
            .map(|of| alone([vec![*of], text(&["theirs"])].concat()))
            .collect(),
        b'E' => vec![alone([text(&["theirs"]), vec![0; 4]].concat())],
        b'H' => STATEMENTS
            .iter()
            .map(|sql| {
                let mut batch = extended(sql);
                batch.insert(1, (b'H', Vec::new()));
                batch
            })
            .collect(),
        b'd' | b'c' | b'f' => vec![vec![
            (kind, text(&["7"])),
            (b'Q', text(&["COPY g.t FROM STDIN"])),
            (kind, text(&["7"])),
        ]],
        b'p' => vec![alone(text(&["x"]))],
        b'S' => vec![vec![(b'S', Vec::new())]],
        b'X' => vec![vec![(b'X', Vec::new())]],
        _ => return None,
    })
}

// Goal: whoever is in and may do nothing gets nothing by any message of the PostgreSQL wire, changes nothing, and is not even told what
// there is. Method: each message that the server's source reads, and one that it does not (a function call), with each statement about a
// table, by somebody without a grant; the same about a table that does not exist, which must be answered alike; at the end all is as it
// was, and what another session calls by these names is still there.
#[test]
fn every_message_of_postgres_in_the_wrong_role() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = Issuer::start();
    let node = lake(dir.path(), &issuer);
    let (root, ana) = (steward(&issuer), issuer.token("ana"));
    flight(&node, &root, "INSERT INTO g.t VALUES (7)").unwrap();
    let port = node.ports().postgres;
    let (mut theirs, _) = Wire::enter(port, "corp/root", &root);
    assert_eq!(theirs.asked("BEGIN").unwrap(), Vec::<String>::new());
    theirs.send(b'P', &[text(&["theirs", "SELECT id FROM g.t"]), vec![0, 0]].concat());
    theirs.send(b'B', &[text(&["theirs", "theirs"]), vec![0; 6]].concat());
    theirs.send(b'S', &[]);
    assert!(theirs.batch().iter().all(|(kind, _)| *kind != b'E'));

    let mut kinds = kinds();
    assert!(kinds.len() >= 13, "{kinds:?}");
    kinds.push(b'F');
    for kind in kinds {
        let name = char::from(kind);
        let batches = match kind {
            // A function by its number, without arguments.
            b'F' => vec![vec![(kind, vec![0; 10]), (b'S', Vec::new())]],
            _ => batches(kind).unwrap_or_else(|| panic!("nobody thought of message {name}")),
        };
        for batch in batches {
            let [there, nowhere] = ["g.t", "g.u"].map(|table| {
                let (mut wire, _) = Wire::enter(port, "corp/ana", &ana);
                for (kind, body) in &batch {
                    let body = match String::from_utf8(body.clone()) {
                        Ok(text) => text.replace("g.t", table).into_bytes(),
                        Err(_) => body.clone(),
                    };
                    wire.send(*kind, &body);
                }
                wire.batch()
            });
            let sent = String::from_utf8_lossy(&batch.iter().flat_map(|(_, body)| body.clone()).collect::<Vec<_>>())
                .replace('\0', " ");
            for (told, body) in &there {
                assert!(
                    !matches!(told, b'D' | b'd' | b'C' | b'G' | b'H' | b'V'),
                    "{name} {sent}: {} {body:?}",
                    char::from(*told)
                );
            }
            let states: Vec<String> = there
                .iter()
                .filter(|(told, _)| *told == b'E')
                .map(|(_, body)| sqlstate(body))
                .collect();
            let refused = match kind {
                // Nothing is asked for by them, and what is closed need not be there.
                b'S' | b'X' | b'C' => states.is_empty(),
                _ => states.len() == 1 && !states[0].starts_with("XX"),
            };
            assert!(refused, "{name} {sent}: {states:?}");
            let called = |told: &[Sent]| -> Vec<String> {
                let text = |(kind, body): &Sent| format!("{} {}", char::from(*kind), String::from_utf8_lossy(body));
                told.iter().map(text).map(|text| text.replace("g.u", "g.t")).collect()
            };
            assert_eq!(called(&there), called(&nowhere), "{name} {sent} tells what is there");
        }
    }

    theirs.send(b'E', &[text(&["theirs"]), vec![0; 4]].concat());
    theirs.send(b'S', &[]);
    let told = theirs.batch();
    assert_eq!(told.iter().filter(|(kind, _)| *kind == b'D').count(), 1, "{told:?}");
    theirs.asked("COMMIT").unwrap();
    // What nobody could ask for is refused to everybody: these are asked for by who may.
    let may = |sql: &&&str| !sql.starts_with("EXPLAIN ANALYZE") && !sql.starts_with("COPY");
    for sql in STATEMENTS.iter().filter(may) {
        theirs.send(b'P', &[text(&["", *sql]), vec![0, 0]].concat());
        theirs.send(b'S', &[]);
        let told = theirs.batch();
        assert!(told.iter().all(|(kind, _)| *kind != b'E'), "{sql}: {told:?}");
    }
    assert_eq!(theirs.asked("SHOW GRANTS").unwrap(), Vec::<String>::new());
    assert_eq!(theirs.asked("SELECT count(*), max(id) FROM g.t").unwrap(), ["1", "7"]);
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'g'";
    assert_eq!(theirs.asked(tables).unwrap(), ["1"]);
}

// Goal: a statement is cancelled by the key of its connection and by no other, nor by another user's functions. Method: a statement whose
// client has read the first of its rows, more of which are still to come than anything between holds; keys that are nearly right, and the
// functions; then the right one, which ends the same statement.
#[test]
fn nobody_else_cancels_on_postgres() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = Issuer::start();
    let node = lake(dir.path(), &issuer);
    let port = node.ports().postgres;
    let (mut theirs, key) = Wire::enter(port, "corp/root", &steward(&issuer));
    let (mut wire, own) = Wire::enter(port, "corp/ana", &issuer.token("ana"));
    let [p, i, d, n, s, e, c, last] = key;
    let wrong = [
        [p, i, d, n, own[4], own[5], own[6], own[7]],
        [p, i, d, n, s, e, c, last.wrapping_add(1)],
        [p, i, d, n, 0, 0, 0, 0],
        [own[0], own[1], own[2], own[3], s, e, c, last],
        [0; 8],
    ];
    let pid = i32::from_be_bytes([p, i, d, n]);
    let rows = 50_000;
    let sql = format!("SELECT repeat('x', 1000) FROM generate_series(1, {rows})");
    for right in [false, true] {
        theirs.send(b'Q', &text(&[&sql]));
        while theirs.message().unwrap().0 != b'D' {}
        match right {
            true => Wire::cancel(port, key),
            false => {
                wrong.iter().for_each(|key| Wire::cancel(port, *key));
                for function in ["pg_cancel_backend", "pg_terminate_backend"] {
                    let ended = wire.asked(&format!("SELECT {function}({pid})"));
                    assert_eq!(ended.unwrap(), ["f"], "{function}");
                }
            }
        }
        let told = theirs.batch();
        let more = told.iter().filter(|(kind, _)| *kind == b'D').count();
        let states: Vec<String> = told
            .iter()
            .filter(|(kind, _)| *kind == b'E')
            .map(|(_, body)| sqlstate(body))
            .collect();
        match right {
            true => assert_eq!((more < rows - 1, states), (true, vec!["57014".to_owned()])),
            false => assert_eq!((more, states), (rows - 1, Vec::new())),
        }
    }
}
