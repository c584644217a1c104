//! Names that are looked for in several schemas.

use super::{ANSWER_DEADLINE, Server};

// Goal: a name without a schema means the table of the first schema of `search_path` that has one, in every statement, also when that
// changes; what is made goes to the first schema, and views keep their meaning. Method: a table in the second schema that is read, changed,
// prepared, hidden by one in the first schema and shown again, and dropped; one of the schemas is said in capitals without quotes.
#[tokio::test]
async fn names_are_looked_for_in_every_schema() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for (sql, told) in [
        ("CREATE SCHEMA h", "C CREATE SCHEMA"),
        ("CREATE SCHEMA h2", "C CREATE SCHEMA"),
        ("CREATE TABLE h2.t AS SELECT 1 AS id", "C CREATE TABLE"),
        ("SET search_path = H, \"h2\"", "C SET"),
        ("SELECT id FROM t", "D 1"),
        ("INSERT INTO t VALUES (2)", "C INSERT 0 1"),
        ("UPDATE t SET id = t.id + 10 WHERE t.id = 2", "C UPDATE 1"),
        ("SELECT max(t.id) FROM t", "D 12"),
        ("SELECT t.* FROM t WHERE id > 1", "D 12"),
        ("CREATE VIEW v AS SELECT count(*) AS n FROM t", "C CREATE VIEW"),
        ("SELECT n FROM h.v", "D 2"),
        ("PREPARE p AS SELECT count(*) FROM t", "C PREPARE"),
        ("EXECUTE p", "D 2"),
        ("SELECT to_regclass('t') = to_regclass('h2.t')", "D t"),
        ("SELECT pg_table_is_visible('h2.t'::regclass)", "D t"),
        ("CREATE TABLE t (id int)", "C CREATE TABLE"),
        ("SELECT count(*) FROM h.t", "D 0"),
        ("SELECT count(*) FROM t", "D 0"),
        ("EXECUTE p", "D 0"),
        ("SELECT n FROM v", "D 2"),
        ("SELECT pg_table_is_visible('h2.t'::regclass)", "D f"),
        ("DROP TABLE t", "C DROP TABLE"),
        ("BEGIN", "C BEGIN"),
        ("SELECT count(*) FROM t", "D 2"),
        ("COMMIT", "C COMMIT"),
        ("DELETE FROM t", "C DELETE 2"),
        ("DROP TABLE t", "C DROP TABLE"),
        ("SELECT count(*) FROM t", "E 42P01 22"),
    ] {
        let answer = client.query(sql).await;
        assert!(answer.contains(&told.to_owned()), "{sql}: {answer:?}");
    }
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}
