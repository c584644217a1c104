//! Messages of the PostgreSQL wire, byte by byte: what it answers to those who are not in yet, and to each message of those who are.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The client is in.
    Welcome,
    /// An error with this SQLSTATE.
    Refused(String),
    /// The connection ended.
    Gone,
}

/// A connection before anybody is in.
pub struct Wire(TcpStream);

impl Wire {
    pub fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(stream)
    }

    /// Waits so long for each answer.
    pub fn waiting(self, longest: Duration) -> Self {
        self.0.set_read_timeout(Some(longest)).unwrap();
        self
    }

    /// A connection that is in, and what its statements are cancelled by: its number and its secret, four bytes each.
    pub fn enter(port: u16, user: &str, password: &str) -> (Self, [u8; 8]) {
        let mut wire = Self::open(port);
        assert_eq!(wire.log_in(user, password), Said::Welcome, "{user}");
        let told = wire.batch();
        let key = told.iter().find(|(kind, _)| *kind == b'K').unwrap();
        (wire, key.1.as_slice().try_into().unwrap())
    }

    /// Asks that a statement be cancelled, and waits until nothing more comes of it.
    pub fn cancel(port: u16, key: [u8; 8]) {
        let mut wire = Self::open(port);
        let parts = [16_u32.to_be_bytes(), 80_877_102_u32.to_be_bytes()];
        wire.0.write_all(&[parts.concat().as_slice(), &key].concat()).unwrap();
        assert_eq!(
            wire.message(),
            None,
            "whether there was something to cancel is not told"
        );
    }

    /// What comes up to the end of a batch, or of the connection.
    pub fn batch(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut told = Vec::new();
        while let Some(message) = self.message() {
            let ends = message.0 == b'Z';
            told.push(message);
            if ends {
                break;
            }
        }
        told
    }

    /// Says who wants in.
    pub fn begin(&mut self, user: &str) {
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        for text in ["user", user, "database", "lake", "options", "-c tidewater.login=token"] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        body.push(0);
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        self.0.write_all(&[length.as_slice(), &body].concat()).unwrap();
    }

    /// Sends a message; who is told nothing any more may find the connection closed.
    pub fn send(&mut self, kind: u8, body: &[u8]) {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        drop(self.0.write_all(&[&[kind], length.as_slice(), body].concat()));
    }

    /// Logs in with a password in clear.
    pub fn log_in(&mut self, user: &str, password: &str) -> Said {
        self.begin(user);
        match self.message() {
            Some((b'R', body)) if body == 3_u32.to_be_bytes() => {
                self.send(b'p', &[password.as_bytes(), &[0]].concat());
                self.outcome()
            }
            Some((b'R', body)) if body == 0_u32.to_be_bytes() => Said::Welcome,
            Some((b'E', body)) => Said::Refused(sqlstate(&body)),
            Some((kind, body)) => panic!("{} {body:?}", char::from(kind)),
            None => Said::Gone,
        }
    }

    /// Whether the client is in, or why not; what else is said is passed over.
    pub fn outcome(&mut self) -> Said {
        loop {
            match self.message() {
                Some((b'R', body)) if body == 0_u32.to_be_bytes() => return Said::Welcome,
                Some((b'E', body)) => return Said::Refused(sqlstate(&body)),
                Some(_) => {}
                None => return Said::Gone,
            }
        }
    }

    /// By which others end what this connection does: its number and its secret, as they are told behind the welcome.
    pub fn key(&mut self) -> [u8; 8] {
        loop {
            match self.message().unwrap() {
                (b'K', body) => return body.try_into().unwrap(),
                (kind, _) => assert!(kind == b'S', "{}", char::from(kind)),
            }
        }
    }

    /// The first row of a query, as text.
    pub fn row(&mut self, sql: &str) -> Result<Vec<String>, String> {
        self.ask(sql);
        self.answer()
    }

    /// Sends a query, whose answer [`Self::answer`] waits for.
    pub fn ask(&mut self, sql: &str) {
        self.send(b'Q', &[sql.as_bytes(), &[0]].concat());
    }

    /// The first row that is answered, as text.
    pub fn answer(&mut self) -> Result<Vec<String>, String> {
        let mut row = None;
        loop {
            match self.message() {
                Some((b'D', body)) => row = row.or_else(|| Some(values(&body))),
                Some((b'E', body)) => return Err(sqlstate(&body)),
                // Before it come what is told of the session and of the columns.
                Some((b'C', _)) => return Ok(row.unwrap_or_default()),
                Some(_) => {}
                None => return Err("gone".into()),
            }
        }
    }

    /// The first row of a query, as text, on a connection that has entered; the whole answer is read.
    pub fn asked(&mut self, sql: &str) -> Result<Vec<String>, String> {
        self.send(b'Q', &[sql.as_bytes(), &[0]].concat());
        let told = self.batch();
        let of = |wanted: u8| told.iter().find(|(kind, _)| *kind == wanted).map(|(_, body)| body);
        match of(b'E') {
            Some(error) => Err(sqlstate(error)),
            None => Ok(of(b'D').map(|row| values(row)).unwrap_or_default()),
        }
    }

    /// All rows of a statement, as text, and what it says that it did, such as `UPDATE 3`; the SQLSTATE if it is refused.
    pub fn done(&mut self, sql: &str) -> Result<(Vec<Vec<String>>, String), String> {
        self.ask(sql);
        let (mut rows, mut said) = (Vec::new(), None);
        for (kind, body) in self.batch() {
            match kind {
                b'D' => rows.push(values(&body)),
                b'C' => said = Some(String::from_utf8(body).unwrap().trim_end_matches('\0').to_owned()),
                b'E' => return Err(sqlstate(&body)),
                _ => {}
            }
        }
        said.map(|said| (rows, said)).ok_or_else(|| "gone".to_owned())
    }

    /// The next message; none at the end of the connection.
    pub fn message(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.0.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut body = vec![0; usize::try_from(length).unwrap() - 4];
        self.0.read_exact(&mut body).ok()?;
        Some((head[0], body))
    }
}

fn values(body: &[u8]) -> Vec<String> {
    let count = u16::from_be_bytes([body[0], body[1]]);
    let mut rest = &body[2..];
    let mut values = Vec::new();
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<4>().unwrap();
        // Minus one is no value.
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or_default();
        let (value, after) = after.split_at(length);
        values.push(String::from_utf8(value.to_vec()).unwrap());
        rest = after;
    }
    values
}

/// The SQLSTATE of an error.
pub fn sqlstate(body: &[u8]) -> String {
    let fields = body.split(|byte| *byte == 0);
    let mut states = fields.filter(|field| field.first() == Some(&b'C'));
    String::from_utf8(states.next().unwrap()[1..].to_vec()).unwrap()
}
