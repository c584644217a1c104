//! How much may be in the middle of being read.

use bytes::{BufMut, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use tidewater_core::Tasks;

use super::{ANSWER_DEADLINE, Server, line};
use crate::budget::{Budget, Limits};
use crate::postgres::connection::Front;
use crate::postgres::input::{READ_BYTES, READING};
use crate::postgres::script::Scripts;
use crate::service::tests::Lake;

/// Of all connections, beyond their own parts: four of these.
const ALL: usize = 4 * READ_BYTES;

impl Server {
    /// With what is in the middle of being read, which is less than usual.
    async fn reading_little() -> (Self, Budget) {
        let lake = Lake::new().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let tasks = Tasks::new("test");
        let reading = Budget::new(Limits { all: ALL, ..READING });
        let front = Front {
            service: lake.service.clone(),
            scripts: Scripts::default(),
            tls: None,
            reading: reading.clone(),
        };
        crate::postgres::accept(listener, front, &tasks);
        (Self { lake, port, tasks }, reading)
    }
}

/// Waits until all connections have taken so much.
async fn until_taken(reading: &Budget, bytes: usize) {
    let waiting = async {
        while reading.taken() != bytes {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(ANSWER_DEADLINE, waiting).await;
    assert!(waited.is_ok(), "{} bytes are taken", reading.taken());
}

// Goal: where halves of others' messages take all there is, short messages are answered and long ones refused with a code that the client
// reads though it is still sending, and a connection that ends gives back what it had. Method: the part of a message of 60 MB that all
// connections may have; short statements, alone and many at once, and a long one beside it; a long one when it has ended.
#[tokio::test]
async fn halves_of_messages_take_nothing_from_others() {
    const PART: usize = ALL + READ_BYTES;
    let (server, reading) = Server::reading_little().await;
    let mut greedy = server.connect().await;
    let mut part = BytesMut::from(&b"Q"[..]);
    part.put_u32(60_000_000);
    part.put_bytes(b'x', PART - part.len());
    greedy.stream.write_all(&part).await.expect("a server that reads");
    until_taken(&reading, ALL).await;

    let mut other = server.connect().await;
    assert!(other.query("SELECT 2").await.contains(&"D 2".to_owned()));
    let mut many = BytesMut::new();
    for _ in 0..300 {
        many.put_slice(b"d\0\0\x04\0");
        many.put_bytes(b'x', 1_020);
    }
    assert!(many.len() > 2 * READ_BYTES);
    other.stream.write_all(&many).await.expect("a server that reads");
    assert_eq!(other.sync().await, ["Z I"], "it has come to the end of them");

    let long = format!("SELECT length('{}')\0", "x".repeat(2 * READ_BYTES));
    other.send(b'Q', long.as_bytes()).await;
    let (kind, body) = other.next().await.expect("a message");
    assert!(String::from_utf8_lossy(&body).contains("SQL-0036"), "{body:?}");
    assert_eq!(line(kind, body), "E 53000");
    assert_eq!(
        other.next().await,
        None,
        "what follows cannot be told from the rest of it"
    );
    assert_eq!(reading.taken(), ALL);

    drop(greedy);
    until_taken(&reading, 0).await;
    let mut last = server.connect().await;
    let told = last.query(long.trim_end_matches('\0')).await;
    assert!(told.contains(&format!("D {}", 2 * READ_BYTES)), "{told:?}");
    assert_eq!(reading.taken(), 0);
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}
