//! What clients are told beside their answers.

use super::{ANSWER_DEADLINE, Client, Server};

impl Client {
    /// The notices that come with the answer to a text: severity, state, message and detail.
    pub(super) async fn notices(&mut self, sql: &str) -> Vec<String> {
        self.send(b'Q', format!("{sql}\0").as_bytes()).await;
        let answer = self.until(b'Z').await;
        assert!(answer.iter().all(|(kind, _)| *kind != b'E'), "{sql} failed");
        let notices = answer.into_iter().filter(|(kind, _)| *kind == b'N');
        notices
            .map(|(_, body)| {
                let all = String::from_utf8_lossy(&body).into_owned();
                let fields = all.split('\0').filter(|field| !field.is_empty());
                let told: Vec<&str> = fields
                    .filter(|field| !field.starts_with('V'))
                    .map(|field| &field[1..])
                    .collect();
                told.join("; ")
            })
            .collect()
    }
}

// Goal: what PostgreSQL warns of is warned of in its words, and SET LOCAL ends with its transaction. Method: each of them outside or inside
// of a block, what was set looked at after it, and each level of client_min_messages.
#[tokio::test]
async fn warnings_are_told_as_wanted() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for (sql, expected) in [
        ("COMMIT", "WARNING; 25P01; there is no transaction in progress"),
        ("ROLLBACK", "WARNING; 25P01; there is no transaction in progress"),
        (
            "SET LOCAL statement_timeout = '5s'",
            "WARNING; 25P01; SET LOCAL can only be used in transaction blocks",
        ),
        (
            "SET TRANSACTION READ ONLY",
            "WARNING; 25P01; SET TRANSACTION can only be used in transaction blocks",
        ),
        (
            "BEGIN; BEGIN",
            "WARNING; 25001; there is already a transaction in progress",
        ),
    ] {
        assert_eq!(client.notices(sql).await, [expected], "{sql}");
    }
    assert_eq!(client.notices("ROLLBACK").await, Vec::<String>::new());
    let timeout = "SHOW statement_timeout";
    assert!(client.query(timeout).await.contains(&"D 0".to_owned()));
    let within = "BEGIN; SET LOCAL statement_timeout = '5s'; SET TRANSACTION READ ONLY";
    assert_eq!(client.notices(within).await, Vec::<String>::new());
    assert!(client.query(timeout).await.contains(&"D 5000".to_owned()));
    client.query("COMMIT").await;
    assert!(client.query(timeout).await.contains(&"D 0".to_owned()));
    let zone = client.query("BEGIN; SET TIME ZONE 'Asia/Tokyo'; ROLLBACK").await;
    let told = zone.iter().filter(|line| *line == "S").count();
    assert_eq!(told, 2, "the zone and its end: {zone:?}");
    assert!(client.query("SHOW timezone").await.contains(&"D UTC".to_owned()));
    for (level, told) in [("error", 0), ("warning", 1), ("NOTICE", 1), ("debug5", 1)] {
        client.query(&format!("SET client_min_messages = {level}")).await;
        assert_eq!(client.notices("COMMIT").await.len(), told, "{level}");
    }
    let refused = client.query("SET client_min_messages = loud").await;
    assert_eq!(refused, ["E 22023", "Z I"]);
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: a session that says it only reads changes nothing. Method: each way to say so, statements that change something outside of a block,
// reads, and each way to take it back.
#[tokio::test]
async fn sessions_that_only_read() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for (only, write) in [
        (
            "SET default_transaction_read_only = on",
            "SET default_transaction_read_only TO off",
        ),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        ),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY",
            "RESET default_transaction_read_only",
        ),
    ] {
        client.query(only).await;
        for sql in ["CREATE TABLE gold.fresh (id int)", "DROP TABLE gold.numbers"] {
            assert_eq!(client.query(sql).await, ["E 25006", "Z I"], "{only}: {sql}");
        }
        let read = client.query("SELECT count(*) FROM gold.numbers").await;
        assert!(read.contains(&"D 10".to_owned()), "{only}: {read:?}");
        client.query(write).await;
        let made = client.query("CREATE TABLE gold.fresh (id int)").await;
        assert!(made.iter().all(|line| !line.starts_with('E')), "{write}: {made:?}");
        client.query("DROP TABLE gold.fresh").await;
    }
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: a transaction block is exact where a table bears older answers, of views too, which it does not hold; outside of it the age is told.
// Method: a view over a table that bears an hour, asked before a commit, after it in a block, and after another one outside of it.
#[tokio::test]
async fn transactions_bear_nothing_old() {
    let server = Server::start().await;
    let (mut client, mut writer) = (server.connect().await, server.connect().await);
    writer
        .query("ALTER TABLE numbers SET TBLPROPERTIES ('tidewater.cache.max-staleness' = '1h')")
        .await;
    writer.query("CREATE VIEW gold.v AS SELECT id FROM gold.numbers").await;
    client.query("SET tidewater.cache_notices = on").await;
    let count = "SELECT count(*) FROM gold.v";
    assert_eq!(client.notices(count).await, ["NOTICE; 00000; cache: MISS"]);
    let commit = "DELETE FROM numbers WHERE id = 9";
    assert_eq!(writer.query(commit).await, ["C DELETE 1", "Z I"]);
    client.query("BEGIN").await;
    assert!(client.query(count).await.contains(&"D 9".to_owned()));
    client.query("COMMIT").await;
    writer.query("DELETE FROM numbers WHERE id = 8").await;
    let told = client.notices(count).await.remove(0);
    assert!(told.starts_with("NOTICE; 00000; cache: HIT; at most "), "{told}");
    assert!(client.query(count).await.contains(&"D 10".to_owned()));
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: a transaction sees a view's rows as it saw them first. Method: a view over a view, read in a block before and after a commit to the
// table behind it, which then is read by its name and after the block.
#[tokio::test]
async fn views_stay_as_they_were_in_a_transaction() {
    let server = Server::start().await;
    let (mut client, mut writer) = (server.connect().await, server.connect().await);
    writer.query("CREATE VIEW gold.v AS SELECT id FROM gold.numbers").await;
    writer
        .query("CREATE VIEW gold.w AS SELECT id FROM gold.v WHERE id > 1")
        .await;
    client.query("BEGIN").await;
    let count = "SELECT count(*) FROM gold.w";
    assert!(client.query(count).await.contains(&"D 8".to_owned()));
    assert_eq!(
        writer.query("DELETE FROM numbers WHERE id > 5").await,
        ["C DELETE 4", "Z I"]
    );
    assert!(client.query(count).await.contains(&"D 8".to_owned()));
    assert!(
        client
            .query("SELECT count(*) FROM numbers")
            .await
            .contains(&"D 10".to_owned())
    );
    client.query("COMMIT").await;
    assert!(client.query(count).await.contains(&"D 4".to_owned()));
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: a session that asks for it hears what became of each query in the cache, and no other one does. Method: one query three times, with
// the cache and without, in both protocols.
#[tokio::test]
async fn the_cache_is_told_where_it_is_asked_for() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let count = "SELECT count(*) FROM numbers";
    assert_eq!(
        client.notices("SELECT max(id) FROM numbers").await,
        Vec::<String>::new()
    );
    client.query("SET tidewater.cache_notices = on").await;
    assert_eq!(client.notices(count).await, ["NOTICE; 00000; cache: MISS"]);
    assert_eq!(client.notices(count).await, ["NOTICE; 00000; cache: HIT"]);
    client.parse("s", count).await;
    client.bind("s", &[], false).await;
    client.execute("s", 0).await;
    assert_eq!(client.sync().await, ["1", "2", "N 00000", "D 10", "C SELECT 1", "Z I"]);
    client.query("SET tidewater.cache = off").await;
    let told = client.notices(count).await;
    assert_eq!(told, ["NOTICE; 00000; cache: BYPASS; the session switched it off"]);
    client.query("SET client_min_messages = warning").await;
    assert_eq!(client.notices(count).await, Vec::<String>::new());
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}
