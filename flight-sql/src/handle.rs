//! Handles and tickets that carry everything they stand for, signed: any node serves any call, and nothing is evicted.

use bytes::Bytes;
use uuid::Uuid;

use tidewater_security::TokenKey;

use crate::error::QueryError;

/// First byte of the handle of a statement: a new layout gets a new number.
const VERSION: u8 = 4;

/// First byte of the handle of a result that is held.
const HELD_VERSION: u8 = 0x81;

/// A statement with its parameters, as a client holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The text as the client sent it.
    pub sql: String,
    /// Parameters as one Arrow IPC stream of one row; empty when none are bound.
    pub parameters: Bytes,
    /// The rows it was answered with already, as an Arrow IPC stream: what changes something is not asked twice.
    pub answer: Bytes,
    /// The schema of its names that have none, as its client had set it when it was made; empty for the usual one.
    pub schema: String,
    /// Names one asking of it, so that it can be cancelled; nil for a prepared statement, which may be asked many times.
    pub id: Uuid,
}

impl Statement {
    /// Without parameters.
    pub fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            parameters: Bytes::new(),
            answer: Bytes::new(),
            schema: String::new(),
            id: Uuid::nil(),
        }
    }

    /// The signed form.
    pub fn seal(&self, key: &TokenKey) -> Bytes {
        let mut body = vec![VERSION];
        body.extend_from_slice(self.id.as_bytes());
        for part in [self.sql.as_bytes(), &self.answer, self.schema.as_bytes()] {
            // A statement of 4 GiB is far beyond the message limit.
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            body.extend_from_slice(&length.to_be_bytes());
            body.extend_from_slice(part);
        }
        body.extend_from_slice(&self.parameters);
        signed(body, key)
    }

    /// The schema that was chosen, if one was.
    pub fn chosen_schema(&self) -> Option<&str> {
        Some(self.schema.as_str()).filter(|schema| !schema.is_empty())
    }

    /// What a handle stands for. Refused when it was not sealed with `key`.
    pub fn open(sealed: &[u8], key: &TokenKey) -> Result<Self, QueryError> {
        Self::read(body(sealed, key)?).ok_or(QueryError::BadHandle)
    }

    fn read(body: &[u8]) -> Option<Self> {
        let (id, rest) = body.strip_prefix(&[VERSION])?.split_at_checked(16)?;
        let (sql, rest) = part(rest)?;
        let (answer, rest) = part(rest)?;
        let (schema, parameters) = part(rest)?;
        Some(Self {
            sql: String::from_utf8(sql.to_vec()).ok()?,
            parameters: Bytes::copy_from_slice(parameters),
            answer: Bytes::copy_from_slice(answer),
            schema: String::from_utf8(schema.to_vec()).ok()?,
            id: Uuid::from_slice(id).ok()?,
        })
    }
}

/// A result that is held for its owner, by which it is polled, fetched and cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldHandle {
    /// The statement it is of.
    pub id: Uuid,
    /// Who asked.
    pub owner: String,
    /// After this moment nothing is held under it, milliseconds since the Unix epoch.
    pub until_ms: i64,
}

impl HeldHandle {
    /// The signed form.
    pub fn seal(&self, key: &TokenKey) -> Bytes {
        let mut body = vec![HELD_VERSION];
        body.extend_from_slice(self.id.as_bytes());
        body.extend_from_slice(&self.until_ms.to_be_bytes());
        body.extend_from_slice(self.owner.as_bytes());
        signed(body, key)
    }

    fn read(body: &[u8]) -> Option<Self> {
        let (id, rest) = body.strip_prefix(&[HELD_VERSION])?.split_at_checked(16)?;
        let (until_ms, owner) = rest.split_at_checked(8)?;
        Some(Self {
            id: Uuid::from_slice(id).ok()?,
            owner: String::from_utf8(owner.to_vec()).ok()?,
            until_ms: i64::from_be_bytes(until_ms.try_into().ok()?),
        })
    }
}

/// What a ticket stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handle {
    /// A statement that is run when its rows are fetched.
    Statement(Statement),
    /// Rows that are held.
    Held(HeldHandle),
}

impl Handle {
    /// Refused when it was not sealed with `key`.
    pub fn open(sealed: &[u8], key: &TokenKey) -> Result<Self, QueryError> {
        let body = body(sealed, key)?;
        let statement = Statement::read(body).map(Self::Statement);
        let handle = statement.or_else(|| HeldHandle::read(body).map(Self::Held));
        handle.ok_or(QueryError::BadHandle)
    }
}

fn signed(mut body: Vec<u8>, key: &TokenKey) -> Bytes {
    let mut sealed = key.sign(&body).to_vec();
    sealed.append(&mut body);
    sealed.into()
}

fn body<'a>(sealed: &'a [u8], key: &TokenKey) -> Result<&'a [u8], QueryError> {
    let (signature, body) = sealed.split_at_checked(32).ok_or(QueryError::BadHandle)?;
    match key.signed(body, signature) {
        true => Ok(body),
        false => Err(QueryError::BadHandle),
    }
}

/// What is preceded by its length, and what follows it.
fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    rest.split_at_checked(usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a handle comes back as it was sealed, and no other bytes are one. Method: round trip, then flip each byte.
    #[test]
    fn only_sealed_handles_open() {
        let key = TokenKey::derive(b"secret");
        let statement = Statement {
            sql: "SELECT 'größe'".into(),
            parameters: Bytes::from_static(b"\x00\xff"),
            answer: Bytes::from_static(b"\x01"),
            schema: "gold".into(),
            id: Uuid::from_u128(7),
        };
        let sealed = statement.seal(&key);
        assert_eq!(Statement::open(&sealed, &key).expect("our own handle"), statement);
        for at in 0..sealed.len() {
            let mut altered = sealed.to_vec();
            altered[at] ^= 1;
            assert!(Statement::open(&altered, &key).is_err(), "byte {at}");
        }
        assert!(Statement::open(b"", &key).is_err());
        let held = HeldHandle {
            id: Uuid::from_u128(8),
            owner: "ana".into(),
            until_ms: 5,
        };
        let sealed_held = held.seal(&key);
        assert!(
            Statement::open(&sealed_held, &key).is_err(),
            "rows that are held are no statement"
        );
        assert_eq!(Handle::open(&sealed_held, &key).expect("ours"), Handle::Held(held));
        assert_eq!(Handle::open(&sealed, &key).expect("ours"), Handle::Statement(statement));
        assert!(Statement::open(&sealed, &TokenKey::derive(b"other")).is_err());
    }
}
