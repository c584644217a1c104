//! Writes that wait to be published.

use super::{ANSWER_DEADLINE, Server};

// Goal: what a session writes under an id is seen by nobody until it is published, and only the session that set the id stages. Method: two
// sessions, the id of one that is set, reset and local to a transaction.
#[tokio::test]
async fn a_session_stages_under_its_id() {
    let server = Server::start().await;
    let (mut client, mut other) = (server.connect().await, server.connect().await);
    other
        .query("ALTER TABLE numbers SET TBLPROPERTIES ('write.wap.enabled' = 'true')")
        .await;
    client.query("SET tidewater.wap_id = 'night-1'").await;
    let delete = client.query("DELETE FROM numbers WHERE id = 9").await;
    assert_eq!(delete, ["C DELETE 1", "Z I"]);
    let top = "SELECT max(id) FROM numbers";
    for session in [&mut client, &mut other] {
        assert!(session.query(top).await.contains(&"D 9".to_owned()));
    }
    let published = other
        .query("CALL system.publish_changes('gold.numbers', 'night-1')")
        .await;
    assert!(published.iter().any(|line| line.starts_with("D ")), "{published:?}");
    for session in [&mut client, &mut other] {
        assert!(session.query(top).await.contains(&"D 8".to_owned()));
    }
    client.query("RESET tidewater.wap_id").await;
    client.query("DELETE FROM numbers WHERE id = 8").await;
    assert!(other.query(top).await.contains(&"D 7".to_owned()));
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}
