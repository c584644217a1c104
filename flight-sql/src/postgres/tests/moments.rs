//! Transactions see all tables at one moment.

use super::{ANSWER_DEADLINE, Client, Server};

impl Client {
    /// The rows that a text is answered with, or the states of its errors.
    async fn rows(&mut self, sql: &str) -> Vec<String> {
        let told = self.query(sql).await;
        let is_told = |line: &String| line.starts_with("D ") || line.starts_with("E ");
        told.into_iter().filter(is_told).collect()
    }
}

/// A row more in each table, beside what was there.
const WRITES: [&str; 2] = [
    "INSERT INTO numbers VALUES (10, 'n10', TIMESTAMP '2026-01-01 00:00:00')",
    "INSERT INTO other.letters VALUES ('y')",
];

/// `other.letters` with one row, and `other.seen` and `other.far`, views of it.
async fn with_letters(server: &Server) -> Client {
    let mut writer = server.connect().await;
    for sql in [
        "CREATE SCHEMA other",
        "CREATE TABLE other.letters AS SELECT 'x' AS letter",
        "CREATE VIEW other.seen AS SELECT letter FROM other.letters",
        "CREATE VIEW other.far AS SELECT letter FROM other.seen",
    ] {
        assert_eq!(writer.rows(sql).await, Vec::<String>::new(), "{sql}");
    }
    writer
}

// Goal: a transaction sees all tables as they stood when it read the first one, whatever its level of isolation and however it reaches them.
// Method: it reads one table, another connection writes to both, and it reads the other one by its name, by views of it, in subqueries,
// by a statement that was prepared before, and in parts of its metadata; then all of it again when the transaction has ended.
#[tokio::test]
async fn all_tables_are_of_one_moment() {
    let server = Server::start().await;
    let mut writer = with_letters(&server).await;
    for (begin, before) in [
        ("BEGIN", 1),
        ("BEGIN ISOLATION LEVEL REPEATABLE READ", 2),
        ("START TRANSACTION ISOLATION LEVEL READ COMMITTED", 3),
    ] {
        let mut reader = server.connect().await;
        reader
            .query("PREPARE later AS SELECT count(*) FROM other.letters")
            .await;
        reader.query(begin).await;
        let numbers = reader.rows("SELECT count(*) FROM numbers").await;
        assert_eq!(numbers, [format!("D {}", 9 + before)], "{begin}");
        for sql in WRITES {
            writer.query(sql).await;
        }
        let reads = [
            ("SELECT count(*) FROM other.letters", before),
            ("SELECT count(*) FROM other.seen", before),
            ("SELECT count(*) FROM other.far", before),
            ("SELECT count(*) FROM numbers", 9 + before),
            ("EXECUTE later", before),
            (
                "SELECT (SELECT count(*) FROM other.letters) + (SELECT count(*) FROM numbers)",
                9 + 2 * before,
            ),
            ("SELECT count(*) FROM other.\"letters$snapshots\"", before),
        ];
        for (sql, count) in reads {
            assert_eq!(reader.rows(sql).await, [format!("D {count}")], "{begin}: {sql}");
        }
        reader.query("COMMIT").await;
        let letters = reader.rows("SELECT count(*) FROM other.far").await;
        assert_eq!(letters, [format!("D {}", before + 1)], "{begin}");
    }
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: what came after the moment is not there, what went is. Method: a table that another connection makes, one that it drops, and a
// statement without tables before.
#[tokio::test]
async fn tables_come_and_go_behind_a_transaction() {
    let server = Server::start().await;
    let mut writer = with_letters(&server).await;
    let mut reader = server.connect().await;
    reader.query("BEGIN; SELECT 1").await;
    writer.query("CREATE TABLE other.early AS SELECT 1 AS id").await;
    assert_eq!(
        reader.rows("SELECT count(*) FROM other.early").await,
        ["D 1"],
        "nothing was read before"
    );
    reader.query("SAVEPOINT s").await;
    writer.query("DROP TABLE other.letters").await;
    writer.query("CREATE TABLE other.late AS SELECT 1 AS id").await;
    assert_eq!(reader.rows("SELECT letter FROM other.letters").await, ["D x"]);
    let late = reader.rows("SELECT id FROM other.late").await;
    assert!(late[0].starts_with("E 42P01"), "{late:?}");
    reader.query("ROLLBACK TO s").await;
    assert_eq!(
        reader.rows("SELECT letter FROM other.letters").await,
        ["D x"],
        "a savepoint is of the same moment"
    );
    reader.query("COMMIT").await;
    assert_eq!(reader.rows("SELECT id FROM other.late").await, ["D 1"]);
    let gone = reader.rows("SELECT letter FROM other.letters").await;
    assert!(gone[0].starts_with("E 42P01"), "{gone:?}");
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: what was answered outside of a transaction is given inside of one, and the other way round, as long as the tables stand so.
// Method: one statement before, in and after a transaction, and after a commit in its course, with what became of it in the cache.
#[tokio::test]
async fn transactions_are_answered_from_the_cache() {
    let server = Server::start().await;
    let (mut reader, mut writer) = (server.connect().await, server.connect().await);
    let sql = "SELECT count(*) FROM numbers";
    let notice = |kept: &str| format!("NOTICE; 00000; cache: {kept}");
    reader.query("SET tidewater.cache_notices = on").await;
    assert_eq!(reader.notices(sql).await, [notice("MISS")]);
    reader.query("BEGIN").await;
    assert_eq!(reader.notices(sql).await, [notice("HIT")]);
    writer.query(WRITES[0]).await;
    assert_eq!(reader.notices(sql).await, [notice("HIT")]);
    assert_eq!(reader.rows(sql).await, ["D 10"]);
    reader.query("COMMIT").await;
    assert_eq!(reader.notices(sql).await, [notice("MISS")]);
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: the isolation that is shown is the one that was set, in the transaction that it was set for. Method: each way to set it, and each
// way to ask.
#[tokio::test]
async fn isolation_is_shown_as_it_was_set() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for (set, expected) in [
        ("BEGIN", "repeatable read"),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE", "serializable"),
        (
            "START TRANSACTION READ ONLY, ISOLATION LEVEL READ COMMITTED",
            "read committed",
        ),
        (
            "BEGIN; SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
            "read uncommitted",
        ),
        ("BEGIN; SET transaction_isolation = 'serializable'", "serializable"),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN",
            "read committed",
        ),
    ] {
        client.query(set).await;
        for ask in [
            "SHOW transaction_isolation",
            "SHOW TRANSACTION ISOLATION LEVEL",
            "SELECT current_setting('transaction_isolation')",
        ] {
            assert_eq!(client.rows(ask).await, [format!("D {expected}")], "{set}: {ask}");
        }
        client.query("COMMIT").await;
    }
    assert_eq!(client.rows("SHOW transaction_isolation").await, ["D read committed"]);
    client.query("RESET ALL").await;
    assert_eq!(client.rows("SHOW transaction_isolation").await, ["D repeatable read"]);
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}
