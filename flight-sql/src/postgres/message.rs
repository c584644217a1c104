//! What clients send: messages of the protocol 3, read with every length checked.
//!
//! The message types of the `pgwire` crate are not used: its decoder panics on a message that is shorter than it says, and a
//! panic would end the listener for everybody.

use bytes::{Buf, Bytes, BytesMut};

use tidewater_engine::reading;

/// Longest message before somebody has said who they are.
pub(super) const STARTUP_BYTES_MAX: usize = 10_000;

/// Longest message of a client that was let in: a statement or its parameters.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 << 20;

const PROTOCOL_3: u32 = 3 << 16;
const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// A message that is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// What a connection begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// It asks for TLS.
    Tls,
    /// It asks for encryption by Kerberos.
    Gss,
    /// It wants a statement of another connection to end.
    Cancel { pid: i32, secret: i32 },
    /// It wants to log in.
    Startup {
        /// The minor version of the protocol that it speaks.
        minor: u16,
        /// User, database and settings.
        parameters: Vec<(String, String)>,
    },
}

/// A message of a client that was let in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A password, or what stands in for one.
    Password(Bytes),
    /// Statements, separated by semicolons.
    Query(String),
    /// A statement to keep.
    Parse { name: String, sql: String, types: Vec<u32> },
    /// A statement with values.
    Bind(Bind),
    /// What are its columns?
    Describe(Target),
    /// Forget it.
    Close(Target),
    /// Rows, as many as this; all where it is 0.
    Execute { portal: String, rows_max: usize },
    /// The end of a batch.
    Sync,
    /// Send what there is.
    Flush,
    /// Rows of a COPY, its end, or its failure: there is none that takes them.
    Copy,
    /// Goodbye.
    Terminate,
    /// One that this server does not know.
    Unknown(u8),
}

/// Values for a statement.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Bind {
    pub(super) portal: String,
    pub(super) statement: String,
    pub(super) value_formats: Vec<i16>,
    pub(super) values: Vec<Option<Bytes>>,
    pub(super) result_formats: Vec<i16>,
}

/// What is described or closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Statement(String),
    Portal(String),
}

/// The first message of a connection; `None` until it is whole.
pub(super) fn opening(buffer: &mut BytesMut) -> Result<Option<Opening>, Malformed> {
    let Some(mut body) = frame(buffer, 0, STARTUP_BYTES_MAX)? else {
        return Ok(None);
    };
    let code = u32::try_from(i64::from(int(&mut body)?) & 0xffff_ffff).map_err(|_| Malformed("a code out of range"))?;
    match code {
        TLS => Ok(Some(Opening::Tls)),
        GSS => Ok(Some(Opening::Gss)),
        CANCEL => Ok(Some(Opening::Cancel {
            pid: int(&mut body)?,
            secret: int(&mut body)?,
        })),
        version if version & 0xffff_0000 == PROTOCOL_3 => {
            let mut parameters = Vec::new();
            loop {
                let name = text(&mut body)?;
                if name.is_empty() {
                    break;
                }
                parameters.push((name, text(&mut body)?));
            }
            let minor = u16::try_from(version & 0xffff).map_err(|_| Malformed("a version out of range"))?;
            Ok(Some(Opening::Startup { minor, parameters }))
        }
        _ => Err(Malformed(
            "neither a start nor a request to cancel: protocol 3 is spoken here",
        )),
    }
}

/// The next message; `None` until it is whole.
pub(super) fn message(buffer: &mut BytesMut, bytes_max: usize) -> Result<Option<Message>, Malformed> {
    let Some(kind) = buffer.first().copied() else {
        return Ok(None);
    };
    let Some(mut body) = frame(buffer, 1, bytes_max)? else {
        return Ok(None);
    };
    let message = match kind {
        b'p' => Message::Password(body),
        b'Q' => Message::Query(text(&mut body)?),
        b'P' => Message::Parse {
            name: text(&mut body)?,
            sql: text(&mut body)?,
            types: {
                let count = count(&mut body, 4)?;
                let types = (0..count).map(|_| Ok(u32::from_be_bytes(int(&mut body)?.to_be_bytes())));
                types.collect::<Result<_, _>>()?
            },
        },
        b'B' => Message::Bind(bind(&mut body)?),
        b'D' => Message::Describe(target(&mut body)?),
        b'C' => Message::Close(target(&mut body)?),
        b'E' => Message::Execute {
            portal: text(&mut body)?,
            rows_max: usize::try_from(int(&mut body)?).unwrap_or(0),
        },
        b'S' => Message::Sync,
        b'H' => Message::Flush,
        b'd' | b'c' | b'f' => Message::Copy,
        b'X' => Message::Terminate,
        other => Message::Unknown(other),
    };
    Ok(Some(message))
}

/// The first message of an exchange: the mechanism that the client has chosen, and what it begins with.
pub(super) fn sasl_begin(mut body: Bytes) -> Result<(String, Bytes), Malformed> {
    let mechanism = text(&mut body)?;
    match usize::try_from(int(&mut body)?) {
        Ok(length) if length == body.len() => Ok((mechanism, body)),
        _ => Err(Malformed("a first message of another length")),
    }
}

/// How many bytes the message at the front has, as far as it has said so.
pub(super) fn whole_bytes(buffer: &[u8]) -> Option<usize> {
    announced(buffer, 1).map(|length| 1 + length)
}

/// The length that stands behind `skip` bytes, itself included.
fn announced(buffer: &[u8], skip: usize) -> Option<usize> {
    let length = buffer.get(skip..skip + 4)?;
    let length = length.iter();
    Some(length.fold(0_usize, |length, byte| (length << 8) | usize::from(*byte)))
}

/// The body of the message at the front, behind `skip` bytes and its length.
fn frame(buffer: &mut BytesMut, skip: usize, bytes_max: usize) -> Result<Option<Bytes>, Malformed> {
    let Some(length) = announced(buffer, skip) else {
        return Ok(None);
    };
    if length < 4 {
        return Err(Malformed("a message shorter than its own length"));
    }
    if length > bytes_max {
        return Err(Malformed("a message longer than may be"));
    }
    if buffer.len() < skip + length {
        return Ok(None);
    }
    let mut whole = buffer.split_to(skip + length).freeze();
    whole.advance(skip + 4);
    Ok(Some(whole))
}

fn bind(body: &mut Bytes) -> Result<Bind, Malformed> {
    let (portal, statement) = (text(body)?, text(body)?);
    let value_formats = shorts(body)?;
    let values = count(body, 4)?;
    let values = (0..values).map(|_| {
        let length = int(body)?;
        match usize::try_from(length) {
            Err(_) => Ok(None),
            Ok(length) if length <= body.len() => Ok(Some(body.split_to(length))),
            Ok(_) => Err(Malformed("a value longer than its message")),
        }
    });
    let values = values.collect::<Result<_, _>>()?;
    Ok(Bind {
        portal,
        statement,
        value_formats,
        values,
        result_formats: shorts(body)?,
    })
}

fn target(body: &mut Bytes) -> Result<Target, Malformed> {
    let kind = body.try_get_u8().map_err(|_| Malformed("a message that ends early"))?;
    match kind {
        b'S' => Ok(Target::Statement(text(body)?)),
        b'P' => Ok(Target::Portal(text(body)?)),
        _ => Err(Malformed("neither a statement nor a portal")),
    }
}

fn int(body: &mut Bytes) -> Result<i32, Malformed> {
    body.try_get_i32().map_err(|_| Malformed("a message that ends early"))
}

/// How many things of at least `bytes_each` follow.
fn count(body: &mut Bytes, bytes_each: usize) -> Result<usize, Malformed> {
    let count = body.try_get_u16().map_err(|_| Malformed("a message that ends early"))?;
    match usize::from(count) * bytes_each <= body.len() {
        true => Ok(count.into()),
        false => Err(Malformed("more values than the message holds")),
    }
}

fn shorts(body: &mut Bytes) -> Result<Vec<i16>, Malformed> {
    let count = count(body, 2)?;
    (0..count)
        .map(|_| body.try_get_i16().map_err(|_| Malformed("a message that ends early")))
        .collect()
}

/// A text up to the zero that ends it.
fn text(body: &mut Bytes) -> Result<String, Malformed> {
    reading(body.len(), || text_of(body))
}

fn text_of(body: &mut Bytes) -> Result<String, Malformed> {
    let end = body
        .iter()
        .position(|byte| *byte == 0)
        .ok_or(Malformed("a text without an end"))?;
    let text = body.split_to(end);
    body.advance(1);
    String::from_utf8(text.to_vec()).map_err(|_| Malformed("a text that is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(kind: &[u8], body: &[u8]) -> BytesMut {
        let mut buffer = BytesMut::from(kind);
        let length = u32::try_from(body.len() + 4).expect("short");
        buffer.extend_from_slice(&length.to_be_bytes());
        buffer.extend_from_slice(body);
        buffer
    }

    // Goal: messages are read as they were sent. Method: one of each kind that carries something.
    #[test]
    fn messages_are_read() {
        let mut start = framed(b"", b"\0\x03\0\0user\0ana\0database\0lake\0\0");
        let Ok(Some(Opening::Startup { minor: 0, parameters })) = opening(&mut start) else {
            panic!("a start");
        };
        assert_eq!(parameters[1], ("database".to_owned(), "lake".to_owned()));
        let mut bind = framed(b"B", b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\0");
        let expected = Bind {
            portal: "p".into(),
            statement: "s".into(),
            value_formats: vec![1],
            values: vec![Some(Bytes::from_static(b"x")), None],
            result_formats: vec![],
        };
        assert_eq!(message(&mut bind, 100), Ok(Some(Message::Bind(expected))));
        let mut parse = framed(b"P", b"s\0SELECT 1\0\0\x01\0\0\0\x17");
        let expected = Message::Parse {
            name: "s".into(),
            sql: "SELECT 1".into(),
            types: vec![23],
        };
        assert_eq!(message(&mut parse, 100), Ok(Some(expected)));
        assert!(parse.is_empty());
    }

    // Goal: no bytes are a panic, and what is cut short is refused. Method: every prefix of bodies of every kind, and lengths
    // that lie.
    #[test]
    fn damaged_messages_are_refused() {
        let body = b"p\0s\0\0\x01\0\x01\0\x01\0\0\0\x04abcd\0\x01\0\x01";
        for kind in 0..=u8::MAX {
            for end in 0..body.len() {
                let _ = message(&mut framed(&[kind], &body[..end]), 100);
                let _ = opening(&mut framed(b"", &body[..end]));
            }
        }
        for end in 4..body.len() {
            assert!(message(&mut framed(b"B", &body[..end]), 100).is_err(), "{end} bytes");
        }
        assert!(message(&mut BytesMut::from(&b"Q\0\0\0\x03"[..]), 100).is_err());
        assert!(
            message(&mut BytesMut::from(&b"Q\0\0\0\xff"[..]), 100).is_err(),
            "too long"
        );
        assert_eq!(message(&mut BytesMut::from(&b"Q\0\0\0\x10ab"[..]), 100), Ok(None));
    }
}
