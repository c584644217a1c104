//! Cursors: where they stand, how long they last, and what is left of one that failed.

use super::{ANSWER_DEADLINE, Client, Server};

impl Client {
    /// Each statement is answered with the line beside it, among others.
    async fn goes(&mut self, steps: &[(&str, &str)]) {
        for (at, (sql, expected)) in steps.iter().enumerate() {
            let told = self.query(sql).await;
            assert!(told.iter().any(|line| line == expected), "step {at}, {sql}: {told:?}");
        }
    }
}

// Goal: rows that were on their way when a statement failed are not skipped without a word. Method: a cursor of more rows than there is
// time for, which is asked again after the time is over.
#[tokio::test]
async fn cursors_that_failed_give_no_more_rows() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let endless = "DECLARE c CURSOR WITH HOLD FOR SELECT g FROM generate_series(1, 1000000000000) AS g";
    client
        .goes(&[
            (endless, "C DECLARE CURSOR"),
            ("FETCH 2 FROM c", "C FETCH 2"),
            ("SET statement_timeout = 100", "C SET"),
            ("MOVE ALL FROM c", "E 57014"),
            ("RESET statement_timeout", "C RESET"),
            ("FETCH 1 FROM c", "E 55000"),
            ("FETCH 0 FROM c", "E 55000"),
            ("CLOSE c", "C CLOSE CURSOR"),
            ("FETCH 1 FROM c", "E 34000"),
        ])
        .await;
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: FETCH 0 gives the row again that the cursor stands on. Method: before the first row, on one, and behind the last.
#[tokio::test]
async fn cursors_stand_on_a_row() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client
        .query("BEGIN; DECLARE c CURSOR FOR SELECT id FROM numbers ORDER BY id")
        .await;
    assert_eq!(client.query("FETCH 0 FROM c").await, ["T id:20", "C FETCH 0", "Z T"]);
    client.goes(&[("FETCH 2 FROM c", "C FETCH 2")]).await;
    assert_eq!(
        client.query("FETCH 0 FROM c").await,
        ["T id:20", "D 1", "C FETCH 1", "Z T"]
    );
    client
        .goes(&[
            ("MOVE 0 FROM c", "C MOVE 1"),
            ("FETCH 1 FROM c", "D 2"),
            ("FETCH ALL FROM c", "C FETCH 7"),
            ("MOVE 0 FROM c", "C MOVE 0"),
        ])
        .await;
    assert_eq!(client.query("FETCH 0 FROM c").await, ["T id:20", "C FETCH 0", "Z T"]);
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: a cursor lasts as long as what it was declared in, and no shorter. Method: cursors of before, within and after savepoints that are
// rolled back to and released, and held ones of before and within a transaction that is rolled back.
#[tokio::test]
async fn cursors_go_with_what_they_were_declared_in() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client
        .goes(&[
            (
                "DECLARE held CURSOR WITH HOLD FOR SELECT id FROM numbers",
                "C DECLARE CURSOR",
            ),
            ("ROLLBACK", "C ROLLBACK"),
            ("FETCH 1 FROM held", "C FETCH 1"),
            ("BEGIN", "C BEGIN"),
            ("DECLARE before CURSOR FOR SELECT id FROM numbers", "C DECLARE CURSOR"),
            ("SAVEPOINT a", "C SAVEPOINT"),
            ("DECLARE within CURSOR FOR SELECT id FROM numbers", "C DECLARE CURSOR"),
            ("ROLLBACK TO a", "C ROLLBACK"),
            ("FETCH 1 FROM within", "E 34000"),
            ("ROLLBACK TO a", "C ROLLBACK"),
            ("FETCH 1 FROM before", "C FETCH 1"),
            ("SAVEPOINT b", "C SAVEPOINT"),
            ("DECLARE within CURSOR FOR SELECT id FROM numbers", "C DECLARE CURSOR"),
            ("RELEASE b", "C RELEASE"),
            ("SAVEPOINT b", "C SAVEPOINT"),
            ("ROLLBACK TO b", "C ROLLBACK"),
            ("FETCH 1 FROM within", "C FETCH 1"),
            (
                "DECLARE own CURSOR WITH HOLD FOR SELECT id FROM numbers",
                "C DECLARE CURSOR",
            ),
            ("FETCH 1 FROM held", "C FETCH 1"),
            ("ROLLBACK", "C ROLLBACK"),
            ("FETCH 1 FROM own", "E 34000"),
            ("FETCH 1 FROM held", "C FETCH 1"),
            ("BEGIN", "C BEGIN"),
            ("SAVEPOINT a", "C SAVEPOINT"),
            (
                "DECLARE own CURSOR WITH HOLD FOR SELECT id FROM numbers",
                "C DECLARE CURSOR",
            ),
            ("COMMIT", "C COMMIT"),
            ("BEGIN", "C BEGIN"),
            ("SAVEPOINT a", "C SAVEPOINT"),
            ("ROLLBACK TO a", "C ROLLBACK"),
            ("FETCH 1 FROM own", "C FETCH 1"),
        ])
        .await;
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: what COPY and DECLARE refuse has changed nothing. Method: changes of each kind in the place of a query, by both protocols, then the
// rows and tables that they are about.
#[tokio::test]
async fn refused_changes_are_not_carried_out() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for change in [
        "DELETE FROM numbers",
        "UPDATE numbers SET name = 'x'",
        "INSERT INTO numbers SELECT * FROM numbers",
        "MERGE INTO numbers AS t USING (SELECT 1 AS id) AS s ON t.id = s.id WHEN MATCHED THEN DELETE",
        "TRUNCATE TABLE numbers",
        "CREATE TABLE gold.made AS SELECT 1 AS a",
        "DROP TABLE gold.numbers",
    ] {
        let copy = format!("COPY ({change}) TO STDOUT");
        let declare = format!("DECLARE c CURSOR WITH HOLD FOR {change}");
        client
            .goes(&[(copy.as_str(), "E 0A000"), (declare.as_str(), "E 42601")])
            .await;
        for sql in [&copy, &declare] {
            client.parse("", sql).await;
            client.bind("", &[], false).await;
            client.execute("", 0).await;
            let told = client.sync().await;
            assert!(told.iter().any(|line| line.starts_with("E ")), "{sql}: {told:?}");
        }
    }
    client
        .goes(&[("SELECT count(*) FROM numbers WHERE name <> 'x'", "D 10")])
        .await;
    let made = client.query("SELECT a FROM gold.made").await;
    assert!(made.iter().any(|line| line.starts_with("E 42P01")), "{made:?}");
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: a grant counts as a change wherever only queries go. Method: one in a COPY, a cursor and a transaction block.
#[tokio::test]
async fn grants_are_no_queries() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client
        .goes(&[
            ("COPY (GRANT SELECT ON gold.numbers TO ana) TO STDOUT", "E 0A000"),
            (
                "DECLARE c CURSOR WITH HOLD FOR REVOKE SELECT ON gold.numbers FROM ana",
                "E 42601",
            ),
            ("BEGIN", "C BEGIN"),
            ("GRANT SELECT ON gold.numbers TO ana", "E 25006"),
            ("ROLLBACK", "C ROLLBACK"),
        ])
        .await;
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}
