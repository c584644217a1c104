//! Statements of connections that are ended at another process.

use super::super::key::CancelKey;
use super::*;
use crate::service::tests::siblings::Near;
use crate::siblings::{Ask, Found};

/// A server of its own tables, and one beside it that asks it.
struct Pair {
    first: Server,
    second: Server,
    near: std::sync::Arc<Near>,
}

impl Pair {
    async fn start() -> Self {
        let first = Server::start().await;
        let (near, service) = Near::beside(&first.lake);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let tasks = Tasks::new("second");
        super::super::serve(listener, service, None, &tasks);
        let lake = Lake::new().await;
        let second = Server { lake, port, tasks };
        Self { first, second, near }
    }

    /// Shows a key to the second server, and waits until nothing more comes of it.
    async fn show(&self, key: &[u8]) {
        let mut other = self.second.dial().await;
        let mut body = BytesMut::new();
        body.put_u32(80_877_102);
        body.put_slice(key);
        other.send(0, &body).await;
        assert!(other.next().await.is_none(), "it is not answered");
    }

    async fn end(self) {
        for server in [self.first, self.second] {
            server.tasks.shutdown(ANSWER_DEADLINE).await;
        }
    }
}

fn hours() -> String {
    let tables: Vec<String> = (0..12).map(|at| format!("numbers t{at}")).collect();
    format!("SELECT sum(sqrt(t0.id * t1.id)) FROM {}", tables.join(" CROSS JOIN "))
}

/// What a client is answered up to the end of its batch.
async fn answer(client: &mut Client) -> Vec<String> {
    let told = client.until(b'Z').await;
    told.into_iter().map(|(kind, body)| line(kind, body)).collect()
}

// Goal: a key ends its connection's statement at any server; one that was guessed ends nothing and is asked of nobody, and one that was
// made here for another connection ends that one's alone. Method: keys with a bit changed and the right one, at the server that the
// connection is not of.
#[tokio::test]
async fn keys_are_good_at_every_server() {
    let pair = Pair::start().await;
    let mut client = pair.first.connect().await;
    let bystander = pair.first.connect().await;
    client.send(b'Q', format!("{}\0", hours()).as_bytes()).await;
    pair.first.at_work(1).await;
    let key = client.key.clone().expect("a key");
    for bit in 0..key.len() * 8 {
        let mut guessed = key.to_vec();
        guessed[bit / 8] ^= 1 << (bit % 8);
        pair.show(&guessed).await;
        let mut bytes = &guessed[..];
        let shown = CancelKey::shown(bytes.get_i32(), bytes.get_i32());
        let there = pair.first.lake.service.heed(&Ask::Key(shown)).found;
        assert_eq!(there, Found::Nothing, "bit {bit}");
    }
    assert!(
        pair.near.asked().len() <= 1,
        "a proof of sixteen bits may fit by chance"
    );
    pair.show(&bystander.key.clone().expect("a key")).await;
    assert_eq!(pair.near.asked().len(), 1);
    assert_eq!(pair.first.lake.service.at_work(), 1, "it goes on");
    pair.show(&key).await;
    let told = answer(&mut client).await;
    assert!(told.contains(&"E 57014".to_owned()), "{told:?}");
    assert!(client.query("SELECT 1").await.contains(&"D 1".to_owned()));
    pair.end().await;
}

// Goal: `pg_cancel_backend` and `pg_terminate_backend` end what a connection of the same user does at another server, answer as for one
// that is there, and ask for nobody's else. Method: the connection's number at the other server; a number that is nobody's; another name.
#[tokio::test]
async fn numbers_are_good_at_every_server() {
    let pair = Pair::start().await;
    let mut client = pair.first.connect().await;
    let mut other = pair.second.connect().await;
    let pid = client.key.as_ref().expect("a key").slice(..4).get_i32();
    client.send(b'Q', format!("{}\0", hours()).as_bytes()).await;
    pair.first.at_work(1).await;
    for connection in [false, true] {
        let owner = "somebody else".to_owned();
        let ask = Ask::Backend { pid, owner, connection };
        assert_eq!(pair.first.lake.service.heed(&ask).found, Found::Nothing);
    }
    assert_eq!(pair.first.lake.service.at_work(), 1, "it goes on");
    let unknown = other.query(&format!("SELECT pg_cancel_backend({})", pid ^ 1)).await;
    assert!(unknown.contains(&"D f".to_owned()), "{unknown:?}");
    let told = other.query(&format!("SELECT pg_cancel_backend({pid})")).await;
    assert!(told.contains(&"D t".to_owned()), "{told:?}");
    let told = answer(&mut client).await;
    assert!(told.contains(&"E 57014".to_owned()), "{told:?}");
    // As Superset stops what it asked.
    let stop = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = '{pid}'");
    let told = other.query(&stop).await;
    assert!(told.contains(&"D t".to_owned()), "{told:?}");
    let (kind, body) = client.next().await.expect("why it ends");
    assert_eq!(line(kind, body), "E 57P01");
    assert!(client.next().await.is_none(), "it ends");
    pair.near.asked();
    other.query("SELECT pg_backend_pid()").await;
    assert_eq!(
        pair.near.asked(),
        [],
        "nothing is asked for statements that end nobody's"
    );
    pair.end().await;
}

// Goal: `pg_stat_activity` tells of the user's connections at every server, as PostgreSQL's columns have them, and warns where one does not say
// which it has. Method: a connection at each server, seen from the one that asks the other, and from the one that knows of no others.
#[tokio::test]
async fn connections_are_told_of_every_server() {
    let pair = Pair::start().await;
    let mut client = pair.first.connect().await;
    let mut other = pair.second.connect().await;
    let pid = |client: &Client| client.key.as_ref().expect("a key").slice(..4).get_i32();
    let (first, second) = (pid(&client), pid(&other));
    let activity = "SELECT pid, usename FROM pg_stat_activity ORDER BY pid";
    let mut pids = [first, second];
    pids.sort_unstable();
    let expected = pids.map(|pid| format!("D {pid}|ana"));
    let rows = |mut lines: Vec<String>| {
        lines.retain(|line| line.starts_with("D "));
        lines
    };
    let alone = rows(client.query(activity).await);
    assert_eq!(alone, [format!("D {first}|ana")], "it knows of no others");
    assert_eq!(rows(other.query(activity).await), expected);
    assert_eq!(other.notices(activity).await, Vec::<String>::new());
    pair.near.silence(&["10.0.0.9:8080 does not answer"]);
    let warned = "WARNING; 01000; connections are missing: of processes that do not answer (1)";
    assert_eq!(other.notices(activity).await, [warned]);
    assert_eq!(other.notices("SELECT 1").await, Vec::<String>::new());
    pair.end().await;
}
