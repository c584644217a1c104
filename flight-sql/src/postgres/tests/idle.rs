//! How long a session may say nothing.

use super::{ANSWER_DEADLINE, Client, Server, line};

impl Client {
    /// Everything up to the end of the connection.
    async fn last_words(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        while let Some((kind, body)) = self.next().await {
            words.push(line(kind, body));
        }
        words
    }
}

// Goal: a session that says nothing for longer than it may is ended with PostgreSQL's code, by the limit of where it stands, and one that
// has no such limit stays. Method: each limit inside and outside of a transaction block, short where it counts and long where it does not.
#[tokio::test]
async fn silence_has_its_limits() {
    let server = Server::start().await;
    for (begins, idle, within, code) in [("SELECT 1", "100ms", "1h", "57P05"), ("BEGIN", "1h", "100ms", "25P03")] {
        let mut stays = server.connect().await;
        stays
            .query(&format!(
                "SET idle_session_timeout = '{within}'; SET idle_in_transaction_session_timeout = '{idle}'"
            ))
            .await;
        stays.query(begins).await;
        let mut ends = server.connect().await;
        ends.query(&format!(
            "SET idle_session_timeout = '{idle}'; SET idle_in_transaction_session_timeout = '{within}'"
        ))
        .await;
        ends.query(begins).await;
        assert_eq!(ends.last_words().await, [format!("E {code}")], "{begins}");
        assert!(
            stays.query("SELECT 2").await.contains(&"D 2".to_owned()),
            "{begins}: the other limit does not count here"
        );
    }
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}
