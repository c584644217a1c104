//! Conversations with the front, byte by byte.

mod bound;
mod comments;
mod crowd;
mod cursors;
mod executed;
mod idle;
mod moments;
mod notices;
mod paths;
mod reading;
mod siblings;
mod staging;

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use tidewater_core::Tasks;

use crate::service::tests::Lake;

/// Longest time that an answer may take on a busy machine.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// A front with its lake.
struct Server {
    lake: Lake,
    port: u16,
    tasks: Tasks,
}

impl Server {
    async fn start() -> Self {
        let lake = Lake::new().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let tasks = Tasks::new("test");
        super::serve(listener, lake.service.clone(), None, &tasks);
        Self { lake, port, tasks }
    }

    async fn connect(&self) -> Client {
        let mut client = self.dial().await;
        client.start("lake").await;
        let greeting = client.until(b'Z').await;
        assert_eq!(greeting.first().map(|(kind, _)| *kind), Some(b'R'));
        client.key = greeting
            .iter()
            .find(|(kind, _)| *kind == b'K')
            .map(|(_, body)| body.clone());
        client
    }

    async fn dial(&self) -> Client {
        Client {
            stream: TcpStream::connect(("127.0.0.1", self.port))
                .await
                .expect("a connection"),
            buffer: BytesMut::new(),
            key: None,
        }
    }
}

/// One connection.
struct Client {
    stream: TcpStream,
    buffer: BytesMut,
    key: Option<Bytes>,
}

impl Client {
    async fn send(&mut self, kind: u8, body: &[u8]) {
        let mut message = BytesMut::new();
        if kind != 0 {
            message.put_u8(kind);
        }
        message.put_u32(u32::try_from(body.len() + 4).expect("short"));
        message.put_slice(body);
        self.stream.write_all(&message).await.expect("a server that reads");
    }

    async fn start(&mut self, database: &str) {
        let mut body = BytesMut::new();
        body.put_u32(3 << 16);
        body.put_slice(format!("user\0ana\0database\0{database}\0\0").as_bytes());
        self.send(0, &body).await;
    }

    /// The next message; none at the end.
    async fn next(&mut self) -> Option<(u8, Bytes)> {
        loop {
            if let Some(length) = self.buffer.get(1..5) {
                let length = length.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte));
                if self.buffer.len() > length {
                    let mut message = self.buffer.split_to(length + 1).freeze();
                    let kind = message.get_u8();
                    message.advance(4);
                    return Some((kind, message));
                }
            }
            let read = self.stream.read_buf(&mut self.buffer);
            let read = tokio::time::timeout(ANSWER_DEADLINE, read)
                .await
                .expect("an answer in time");
            if matches!(read, Ok(0) | Err(_)) {
                return None;
            }
        }
    }

    /// The messages up to one of this kind.
    async fn until(&mut self, kind: u8) -> Vec<(u8, Bytes)> {
        let mut messages = Vec::new();
        loop {
            let message = self.next().await.expect("a message");
            let last = message.0 == kind;
            messages.push(message);
            if last {
                return messages;
            }
        }
    }

    /// What a text is answered with: a line a message.
    async fn query(&mut self, sql: &str) -> Vec<String> {
        self.send(b'Q', format!("{sql}\0").as_bytes()).await;
        self.until(b'Z')
            .await
            .into_iter()
            .map(|(kind, body)| line(kind, body))
            .collect()
    }

    async fn parse(&mut self, name: &str, sql: &str) {
        self.send(b'P', format!("{name}\0{sql}\0\0\0").as_bytes()).await;
    }

    /// Values as text.
    async fn bind(&mut self, name: &str, values: &[&str], binary: bool) {
        let mut body = BytesMut::from(format!("{name}\0{name}\0").as_bytes());
        body.put_u16(0);
        body.put_u16(u16::try_from(values.len()).expect("few"));
        for value in values {
            body.put_u32(u32::try_from(value.len()).expect("short"));
            body.put_slice(value.as_bytes());
        }
        body.put_u16(1);
        body.put_u16(binary.into());
        self.send(b'B', &body).await;
    }

    async fn execute(&mut self, name: &str, rows_max: u32) {
        let mut body = BytesMut::from(format!("{name}\0").as_bytes());
        body.put_u32(rows_max);
        self.send(b'E', &body).await;
    }

    async fn sync(&mut self) -> Vec<String> {
        self.send(b'S', b"").await;
        self.until(b'Z')
            .await
            .into_iter()
            .map(|(kind, body)| line(kind, body))
            .collect()
    }
}

/// A message for people: its kind, and what of it is text.
fn line(kind: u8, mut body: Bytes) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
    match kind {
        b'D' => {
            let count = body.get_u16();
            let values: Vec<String> = (0..count)
                .map(|_| match body.get_i32() {
                    -1 => "NULL".to_owned(),
                    length => text(&body.split_to(usize::try_from(length).expect("a length"))),
                })
                .collect();
            format!("D {}", values.join("|"))
        }
        b'T' => {
            let count = body.get_u16();
            let names: Vec<String> = (0..count)
                .map(|_| {
                    let end = body.iter().position(|byte| *byte == 0).expect("a name");
                    let name = text(&body.split_to(end));
                    body.advance(7);
                    let oid = body.get_u32();
                    body.advance(8);
                    format!("{name}:{oid}")
                })
                .collect();
            format!("T {}", names.join("|"))
        }
        b'E' | b'N' => {
            let all = text(&body);
            let field = |name: char| {
                all.split('\0')
                    .find_map(|field| field.strip_prefix(name))
                    .unwrap_or_default()
            };
            format!("{} {} {}", char::from(kind), field('C'), field('P'))
                .trim_end()
                .to_owned()
        }
        b't' => {
            let count = body.get_u16();
            let oids: Vec<String> = (0..count).map(|_| body.get_u32().to_string()).collect();
            format!("t {}", oids.join("|"))
        }
        b'C' | b'Z' | b'd' => format!("{} {}", char::from(kind), text(&body).trim_end()),
        other => char::from(other).to_string(),
    }
}

// Goal: texts are answered statement by statement, and an error ends the text and the transaction, not the connection. Method:
// statements of each kind, and errors between them.
#[tokio::test]
async fn texts_are_answered() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let answer = client
        .query("SELECT id, name FROM numbers WHERE id < 2 ORDER BY id; SELECT 1, NULL")
        .await;
    let expected = [
        "T id:20|name:25",
        "D 0|n0",
        "D 1|n1",
        "C SELECT 2",
        "T ?column?:20|?column?:25",
        "D 1|NULL",
        "C SELECT 1",
        "Z I",
    ];
    assert_eq!(answer, expected);
    assert_eq!(client.query(" ; ").await, ["I", "Z I"]);
    let answer = client.query("SELECT nope FROM numbers; SELECT 1").await;
    assert_eq!(answer, ["E 42703 8", "Z I"]);
    assert_eq!(
        client.query("BEGIN; SELECT 1").await.last().map(String::as_str),
        Some("Z T")
    );
    assert_eq!(client.query("SELECT * FROM nowhere").await, ["E 42P01 15", "Z E"]);
    assert_eq!(client.query("SELECT 1").await, ["E 25P02", "Z E"]);
    assert_eq!(client.query("COMMIT").await, ["C ROLLBACK", "Z I"]);
    assert_eq!(client.query("COMMIT AND CHAIN").await, ["E 25P01", "Z I"]);
    assert_eq!(
        client.query("BEGIN; COMMIT AND CHAIN").await,
        ["C BEGIN", "C COMMIT", "Z T"]
    );
    assert_eq!(client.query("ROLLBACK AND NO CHAIN").await, ["C ROLLBACK", "Z I"]);
    assert_eq!(
        client.query("SHOW timezone").await,
        ["T TimeZone:25", "D UTC", "C SHOW", "Z I"]
    );
    assert_eq!(
        client
            .query("INSERT INTO numbers VALUES (10, 'n10', TIMESTAMP '2026-01-01 00:00:00')")
            .await,
        ["C INSERT 0 1", "Z I"]
    );
    let shown = client.query("SHOW TABLES IN gold").await;
    assert!(
        shown.iter().any(|line| line == "D lake|gold|numbers|BASE TABLE"),
        "{shown:?}"
    );
    assert_eq!(client.query("BEGIN").await, ["C BEGIN", "Z T"]);
    assert_eq!(client.query("DELETE FROM numbers").await, ["E 25006", "Z E"]);
    assert_eq!(client.query("ROLLBACK").await, ["C ROLLBACK", "Z I"]);
    let copied = client
        .query("COPY (SELECT id FROM numbers WHERE id > 8 ORDER BY id) TO STDOUT")
        .await;
    assert_eq!(copied, ["H", "d 9", "d 10", "c", "C COPY 2", "Z I"]);
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: statements are kept, described, bound and read a few rows at a time; after an error the rest of a batch is skipped.
// Method: batches of messages as drivers send them.
#[tokio::test]
async fn batches_are_answered() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client
        .parse("s", "SELECT id FROM numbers WHERE id >= $1 ORDER BY id")
        .await;
    client.send(b'D', b"Ss\0").await;
    client.bind("s", &["4"], false).await;
    client.execute("s", 2).await;
    client.execute("s", 0).await;
    let expected = [
        "1",
        "t 20",
        "T id:20",
        "2",
        "D 4",
        "D 5",
        "s",
        "D 6",
        "D 7",
        "D 8",
        "D 9",
        "C SELECT 4",
        "Z I",
    ];
    assert_eq!(client.sync().await, expected);
    client.bind("s", &["9"], true).await;
    client.execute("s", 0).await;
    assert_eq!(client.sync().await, ["2", "D \0\0\0\0\0\0\0\t", "C SELECT 1", "Z I"]);
    client.bind("s", &["x"], false).await;
    client.execute("s", 0).await;
    assert_eq!(client.sync().await, ["E 22P02", "Z I"]);
    client.bind("none", &[], false).await;
    assert_eq!(client.sync().await, ["E 26000", "Z I"]);
    client.parse("s", "SELECT 1").await;
    assert_eq!(client.sync().await, ["E 42P05", "Z I"]);
    client.parse("set", "SET application_name = 'x'").await;
    client.send(b'D', b"Sset\0").await;
    client.bind("set", &[], false).await;
    client.execute("set", 0).await;
    assert_eq!(
        client.sync().await,
        ["1", "t", "n", "2", "S", "C SET", "Z I"].map(|line| if line == "t" { "t " } else { line })
    );
    client.query("BEGIN").await;
    client
        .query("DECLARE c CURSOR FOR SELECT id FROM numbers ORDER BY id")
        .await;
    assert_eq!(
        client.query("FETCH 2 FROM c").await,
        ["T id:20", "D 0", "D 1", "C FETCH 2", "Z T"]
    );
    assert_eq!(client.query("MOVE 7 FROM c").await, ["C MOVE 7", "Z T"]);
    assert_eq!(
        client.query("FETCH ALL FROM c").await,
        ["T id:20", "D 9", "C FETCH 1", "Z T"]
    );
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: a running statement ends when its connection's key is shown or its time is over, and when its client goes away. Method: a cross
// join of hours; the service counts what is at work.
#[tokio::test]
async fn statements_are_ended() {
    let server = Server::start().await;
    let tables: Vec<String> = (0..12).map(|at| format!("numbers t{at}")).collect();
    let hours = format!("SELECT sum(sqrt(t0.id * t1.id)) FROM {}", tables.join(" CROSS JOIN "));
    let mut client = server.connect().await;
    client.send(b'Q', format!("{hours}\0").as_bytes()).await;
    server.at_work(1).await;
    let mut other = server.dial().await;
    let mut body = BytesMut::new();
    body.put_u32(80_877_102);
    body.put_slice(client.key.as_ref().expect("a key"));
    other.send(0, &body).await;
    assert!(other.next().await.is_none(), "it is not answered");
    let answer: Vec<String> = client
        .until(b'Z')
        .await
        .into_iter()
        .map(|(kind, body)| line(kind, body))
        .collect();
    assert_eq!(answer.last().map(String::as_str), Some("Z I"));
    assert!(answer.contains(&"E 57014".to_owned()), "{answer:?}");
    client.query("SET statement_timeout = 50").await;
    let answer = client.query(&hours).await;
    assert!(answer.contains(&"E 57014".to_owned()), "{answer:?}");
    server.at_work(0).await;
    client.query("RESET statement_timeout").await;
    client.send(b'Q', format!("{hours}\0").as_bytes()).await;
    server.at_work(1).await;
    drop(client);
    server.at_work(0).await;
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

impl Server {
    /// Waits until so many statements are at work.
    async fn at_work(&self, count: usize) {
        let wait = async {
            while self.lake.service.at_work() != count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(ANSWER_DEADLINE, wait).await.expect("in time");
    }
}

// Goal: what is no conversation ends with an error and nobody else's connection. Method: a wrong database, a message of no kind, one that
// is cut short and one that is too long; another connection goes on.
#[tokio::test]
async fn nonsense_is_refused() {
    let server = Server::start().await;
    let mut bystander = server.connect().await;
    let mut client = server.dial().await;
    client.start("other").await;
    let (kind, body) = client.next().await.expect("an error");
    assert_eq!(line(kind, body), "E 3D000");
    assert!(client.next().await.is_none(), "it ends");
    let mut client = server.connect().await;
    client.send(b'?', b"").await;
    assert_eq!(client.sync().await, ["E 08P01", "Z I"]);
    client.send(b'B', b"\0\0\0\x05").await;
    let (kind, body) = client.next().await.expect("an error");
    assert_eq!(line(kind, body), "E 08P01");
    assert!(client.next().await.is_none(), "it ends");
    let mut client = server.dial().await;
    client
        .stream
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .await
        .expect("a server that reads");
    let (kind, body) = client.next().await.expect("an error");
    assert_eq!(line(kind, body), "E 08P01");
    assert_eq!(
        bystander.query("SELECT 1").await.last().map(String::as_str),
        Some("Z I")
    );
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: a transaction sees a table as it saw it first. Method: another connection writes between two reads.
#[tokio::test]
async fn transactions_see_one_state() {
    let server = Server::start().await;
    let (mut reader, mut writer) = (server.connect().await, server.connect().await);
    reader.query("BEGIN").await;
    let count = "SELECT count(*) FROM numbers";
    assert!(reader.query(count).await.contains(&"D 10".to_owned()));
    writer
        .query("INSERT INTO numbers VALUES (10, 'n10', TIMESTAMP '2026-01-01 00:00:00')")
        .await;
    assert!(writer.query(count).await.contains(&"D 11".to_owned()));
    assert!(reader.query(count).await.contains(&"D 10".to_owned()));
    reader.query("COMMIT").await;
    assert!(reader.query(count).await.contains(&"D 11".to_owned()));
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: no rows are sent under columns of other types than were told. Method: a statement that is kept while its name means one table and
// run when it means another; then kept anew.
#[tokio::test]
async fn kept_statements_have_the_columns_that_were_told() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client
        .query("CREATE SCHEMA other; CREATE TABLE other.numbers AS SELECT 'x' AS id")
        .await;
    client.query("BEGIN; SET LOCAL search_path = other").await;
    client.parse("s", "SELECT id FROM numbers").await;
    client.bind("s", &[], false).await;
    client.execute("s", 0).await;
    assert!(client.sync().await.contains(&"D x".to_owned()));
    client.query("COMMIT").await;
    for (name, expected) in [("s", "E 0A000"), ("again", "C SELECT 10")] {
        if name == "again" {
            client.parse(name, "SELECT id FROM numbers").await;
        }
        client.bind(name, &[], true).await;
        client.execute(name, 0).await;
        let told = client.sync().await;
        assert!(told.contains(&expected.to_owned()), "{name}: {told:?}");
        assert!(name == "again" || !told.iter().any(|line| line.starts_with('D')));
    }
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: a table that is named in the result shows as its name, and is a number elsewhere. Method: one of the catalog's and one of our own,
// by both protocols, alone and compared.
#[tokio::test]
async fn tables_show_as_their_names() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let sql = "SELECT 'pg_class'::regclass, 'gold.numbers'::regclass AS own, 'pg_class'::regclass::oid, 'pg_class'::regclass = 1259";
    let row = "D pg_class|numbers|1259|t".to_owned();
    let told = client.query(sql).await;
    assert!(told[0].starts_with("T regclass:25|own:25|oid:"), "{told:?}");
    assert!(told.contains(&row), "{told:?}");
    client.parse("s", sql).await;
    client.bind("s", &[], false).await;
    client.execute("s", 0).await;
    let told = client.sync().await;
    assert!(told.contains(&row), "{told:?}");
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: a client that waits for an error before it ends its batch gets it. Method: a statement that cannot be planned, and no end
// of the batch until its error has come.
#[tokio::test]
async fn errors_are_told_at_once() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.parse("s", "SELECT nope").await;
    client.send(b'H', b"").await;
    let (kind, body) = client.next().await.expect("an error");
    assert_eq!(line(kind, body), "E 42703 8");
    assert_eq!(client.sync().await, ["Z I"]);
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}

// Goal: COPY in binary is as PostgreSQL writes it. Method: two rows, byte by byte.
#[tokio::test]
async fn copies_in_binary() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let sql =
        "COPY (SELECT 1::int4 AS a, 'x' AS b UNION ALL SELECT 2::int4, NULL ORDER BY 1) TO STDOUT (FORMAT binary)\0";
    client.send(b'Q', sql.as_bytes()).await;
    let messages = client.until(b'Z').await;
    let data: Vec<Bytes> = messages
        .iter()
        .filter(|(kind, _)| *kind == b'd')
        .map(|(_, body)| body.clone())
        .collect();
    let expected: [&[u8]; 4] = [
        b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0",
        b"\0\x02\0\0\0\x04\0\0\0\x01\0\0\0\x01x",
        b"\0\x02\0\0\0\x04\0\0\0\x02\xff\xff\xff\xff",
        b"\xff\xff",
    ];
    assert_eq!(data, expected);
    assert_eq!(
        messages.first().map(|(kind, body)| (*kind, body.first().copied())),
        Some((b'H', Some(1)))
    );
    let refused = client.query("COPY (SELECT 1) TO STDOUT (FORMAT binary, HEADER)").await;
    assert!(
        refused.first().is_some_and(|line| line.starts_with("E 42601")),
        "{refused:?}"
    );
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}
