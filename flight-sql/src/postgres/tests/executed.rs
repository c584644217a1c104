//! Statements that are kept: what `EXECUTE` makes of values, and when what is kept is refused.

use super::{ANSWER_DEADLINE, Client, Server};

impl Client {
    /// What a kept statement without parameters is answered with.
    async fn run(&mut self, name: &str) -> Vec<String> {
        self.bind(name, &[], false).await;
        self.execute(name, 0).await;
        self.sync().await
    }
}

// Goal: a value of EXECUTE is one expression of the type that PREPARE says, and nothing is run that was not kept. Method: values beside
// operators that bind closer than they, wrong counts, names that are taken, and a statement that names itself.
#[tokio::test]
async fn values_are_expressions() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for (sql, expected) in [
        ("PREPARE p AS SELECT 10 - $1", "C PREPARE"),
        ("EXECUTE p (1 - 2)", "D 11"),
        ("EXECUTE p (-5)", "D 15"),
        ("EXECUTE p (7 -- seven\n)", "D 3"),
        ("EXECUTE p", "E 42601"),
        ("EXECUTE p (1, 2)", "E 42601"),
        ("PREPARE p AS SELECT 1", "E 42P05"),
        ("PREPARE q (float8) AS SELECT $1 / 2", "C PREPARE"),
        ("EXECUTE q (5)", "D 2.5"),
        ("PREPARE n AS SELECT id FROM numbers WHERE NOT $1", "C PREPARE"),
        ("EXECUTE n (false OR true)", "C SELECT 0"),
        ("PREPARE l (int) AS SELECT id FROM numbers LIMIT $1", "C PREPARE"),
        ("EXECUTE l (3)", "C SELECT 3"),
        (
            "PREPARE u AS UPDATE numbers SET name = 'x' WHERE id = 3 -$1",
            "C PREPARE",
        ),
        ("EXECUTE u (-5)", "C UPDATE 1"),
        ("SELECT id FROM numbers WHERE name = 'x'", "D 8"),
        ("PREPARE t (nope) AS SELECT $1", "E 42704"),
        ("PREPARE e AS EXECUTE e", "E 42601"),
        ("EXECUTE e", "E 26000"),
        ("PREPARE b AS BEGIN", "E 42601"),
    ] {
        let told = client.query(sql).await;
        assert!(told.contains(&expected.to_owned()), "{sql}: {told:?}");
    }
    client.parse("itself", "EXECUTE itself").await;
    client.sync().await;
    assert_eq!(client.query("EXECUTE itself").await, ["E 0A000", "Z I"]);
    assert_eq!(
        client.run("itself").await.last().map(String::as_str),
        Some("Z I"),
        "the connection goes on"
    );
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: rows never come under names that are not theirs. Method: a statement kept by each protocol and run by each after its table has
// other columns, the same in another order, and a decimal with other digits.
#[tokio::test]
async fn kept_statements_are_of_the_columns_that_were_told() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let tables = [
        "SELECT 1 AS a, 2 AS b",
        "SELECT 3 AS b, 4 AS a",
        "SELECT 5 AS x, 6 AS a",
        "SELECT 1.5::numeric(10, 2) AS x, 7 AS a",
        "SELECT 1.5::numeric(12, 2) AS x, 7 AS a",
        "SELECT 1 AS a",
    ];
    for pair in tables.windows(2) {
        let [before, after] = pair else {
            panic!("two tables");
        };
        client.query(&format!("CREATE TABLE gold.pair AS {before}")).await;
        let kept = client.query("PREPARE s AS SELECT * FROM gold.pair").await;
        assert_eq!(kept, ["C PREPARE", "Z I"]);
        client.parse("p", "SELECT * FROM gold.pair").await;
        client.parse("e", "EXECUTE s").await;
        client.sync().await;
        for name in ["p", "e"] {
            let told = client.run(name).await;
            assert!(told.contains(&"C SELECT 1".to_owned()), "{name} of {before}: {told:?}");
        }
        client.query("DROP TABLE gold.pair").await;
        client.query(&format!("CREATE TABLE gold.pair AS {after}")).await;
        for name in ["p", "e"] {
            let told = client.run(name).await;
            assert!(told.contains(&"E 0A000".to_owned()), "{name} of {after}: {told:?}");
            assert!(!told.iter().any(|line| line.starts_with('D')), "{name}: {told:?}");
        }
        assert_eq!(client.query("EXECUTE s").await, ["E 0A000", "Z I"], "{after}");
        client.query("DEALLOCATE ALL; DROP TABLE gold.pair").await;
    }
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: a nameless statement that could not be read leaves none behind that is run in its place. Method: a good one, a bad one, and a run.
#[tokio::test]
async fn nameless_statements_go() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.parse("", "SELECT 1").await;
    assert!(client.run("").await.contains(&"D 1".to_owned()));
    client.parse("", "SELECT nope").await;
    client.sync().await;
    assert_eq!(client.run("").await, ["E 26000", "Z I"]);
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: bytes and CSV are as PostgreSQL has them, to the letter. Method: octal digits in a cast, in a comparison and in a row, and a quote
// of one's own.
#[tokio::test]
async fn bytes_and_quotes_are_read() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for (sql, expected) in [
        (r"SELECT '\000\377'::bytea = '\x00ff'", "D t"),
        (r"SELECT 'a\\b'::bytea", r"D \x615c62"),
        (r"SELECT '\x+1'::bytea", "E 22P02"),
        (r"SELECT '\400'::bytea", "E 22P02"),
        ("CREATE TABLE gold.raw (id int, raw bytea)", "C CREATE TABLE"),
        (r"INSERT INTO gold.raw VALUES (1, '\000\377'), (2, 'a')", "C INSERT 0 2"),
        (r"SELECT id, raw FROM gold.raw WHERE raw = '\000\377'", r"D 1|\x00ff"),
        (
            "COPY (SELECT 'it''s' AS a) TO STDOUT (FORMAT csv, QUOTE '''')",
            "d 'it''s'",
        ),
        ("COPY (SELECT 1) TO STDOUT (DELIMITER 'ab')", "E 0A000"),
        (
            "COPY (SELECT count(*) -- all\n, max(id) FROM gold.raw) TO STDOUT (DELIMITER '|')",
            "d 2|2",
        ),
        ("COPY gold.raw (id -- a key\n) TO STDOUT", "d 2"),
    ] {
        let told = client.query(sql).await;
        assert!(told.contains(&expected.to_owned()), "{sql}: {told:?}");
    }
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}
