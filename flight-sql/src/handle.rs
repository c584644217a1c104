//! Handles and tickets that carry everything they stand for, signed, with whose they are and until when: any node serves any call, and
//! nothing is evicted.

use bytes::Bytes;
use uuid::Uuid;

use tidewater_security::{Principal, TokenKey};

use crate::error::QueryError;

/// First byte of the handle of a statement: a new layout gets a new number.
const VERSION: u8 = 5;

/// First byte of the handle of a result that is held.
const HELD_VERSION: u8 = 0x81;

/// A statement with its parameters.
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

    /// The schema that was chosen, if one was.
    pub fn chosen_schema(&self) -> Option<&str> {
        Some(self.schema.as_str()).filter(|schema| !schema.is_empty())
    }
}

/// A statement as a client holds it: whose it is and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementHandle {
    /// What it stands for, which is told to its owner only, see [`Self::shown_by`].
    pub statement: Statement,
    /// The name of the principal who was given it.
    pub owner: String,
    /// From this moment on it is not good any more, milliseconds since the Unix epoch.
    pub until_ms: i64,
}

impl StatementHandle {
    /// The signed form.
    pub fn seal(&self, key: &TokenKey) -> Bytes {
        let statement = &self.statement;
        let mut body = vec![VERSION];
        body.extend_from_slice(statement.id.as_bytes());
        body.extend_from_slice(&self.until_ms.to_be_bytes());
        for part in [
            self.owner.as_bytes(),
            statement.sql.as_bytes(),
            &statement.answer,
            statement.schema.as_bytes(),
        ] {
            // A statement of 4 GiB is far beyond the message limit.
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            body.extend_from_slice(&length.to_be_bytes());
            body.extend_from_slice(part);
        }
        body.extend_from_slice(&statement.parameters);
        signed(body, key)
    }

    /// What a handle says. Refused when it was not sealed with `key`.
    pub fn open(sealed: &[u8], key: &TokenKey) -> Result<Self, QueryError> {
        Self::read(body(sealed, key)?).ok_or(QueryError::BadHandle)
    }

    /// The statement, for who shows its handle at this moment. Who it is counts by name, whichever way they logged in.
    ///
    /// # Errors
    /// [`QueryError::ForeignHandle`] for everybody but its owner, [`QueryError::ExpiredHandle`] for them after its end.
    pub fn shown_by(self, principal: &Principal, now_ms: i64) -> Result<Statement, QueryError> {
        if self.owner != principal.name {
            return Err(QueryError::ForeignHandle);
        }
        match now_ms < self.until_ms {
            true => Ok(self.statement),
            false => Err(QueryError::ExpiredHandle),
        }
    }

    fn read(body: &[u8]) -> Option<Self> {
        let (id, rest) = body.strip_prefix(&[VERSION])?.split_at_checked(16)?;
        let (until_ms, rest) = rest.split_at_checked(8)?;
        let (owner, rest) = part(rest)?;
        let (sql, rest) = part(rest)?;
        let (answer, rest) = part(rest)?;
        let (schema, parameters) = part(rest)?;
        let statement = Statement {
            sql: String::from_utf8(sql.to_vec()).ok()?,
            parameters: Bytes::copy_from_slice(parameters),
            answer: Bytes::copy_from_slice(answer),
            schema: String::from_utf8(schema.to_vec()).ok()?,
            id: Uuid::from_slice(id).ok()?,
        };
        Some(Self {
            statement,
            owner: String::from_utf8(owner.to_vec()).ok()?,
            until_ms: i64::from_be_bytes(until_ms.try_into().ok()?),
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
    Statement(StatementHandle),
    /// Rows that are held.
    Held(HeldHandle),
}

impl Handle {
    /// Refused when it was not sealed with `key`.
    pub fn open(sealed: &[u8], key: &TokenKey) -> Result<Self, QueryError> {
        let body = body(sealed, key)?;
        let statement = StatementHandle::read(body).map(Self::Statement);
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
    use tidewater_core::Coded;

    use super::*;

    fn given() -> StatementHandle {
        StatementHandle {
            statement: Statement {
                sql: "SELECT 'größe'".into(),
                parameters: Bytes::from_static(b"\x00\xff"),
                answer: Bytes::from_static(b"\x01"),
                schema: "gold".into(),
                id: Uuid::from_u128(7),
            },
            owner: "ana".into(),
            until_ms: 1_000,
        }
    }

    // Goal: a handle comes back as it was sealed, and no other bytes are one. Method: round trip, then flip each byte.
    #[test]
    fn only_sealed_handles_open() {
        let key = TokenKey::derive(b"secret");
        let statement = given();
        let sealed = statement.seal(&key);
        assert_eq!(StatementHandle::open(&sealed, &key).expect("our own handle"), statement);
        for at in 0..sealed.len() {
            let mut altered = sealed.to_vec();
            altered[at] ^= 1;
            assert!(StatementHandle::open(&altered, &key).is_err(), "byte {at}");
        }
        assert!(StatementHandle::open(b"", &key).is_err());
        let held = HeldHandle {
            id: Uuid::from_u128(8),
            owner: "ana".into(),
            until_ms: 5,
        };
        let sealed_held = held.seal(&key);
        assert!(
            StatementHandle::open(&sealed_held, &key).is_err(),
            "rows that are held are no statement"
        );
        assert_eq!(Handle::open(&sealed_held, &key).expect("ours"), Handle::Held(held));
        assert_eq!(Handle::open(&sealed, &key).expect("ours"), Handle::Statement(statement));
        assert!(StatementHandle::open(&sealed, &TokenKey::derive(b"other")).is_err());
    }

    // Goal: a handle is its owner's until its end, and says nothing to anybody else, before and after it. Method: the owner, names that are
    // near theirs, the moments about the end; a handle of the layout before this one.
    #[test]
    fn handles_are_their_owners_until_their_end() {
        let shown = |name: &str, now_ms| given().shown_by(&Principal::named(name), now_ms);
        for now_ms in [i64::MIN, 0, 999] {
            assert_eq!(shown("ana", now_ms).expect("its owner"), given().statement);
        }
        for now_ms in [1_000, i64::MAX] {
            assert_eq!(shown("ana", now_ms).expect_err("it has ended").code(), "SQL-0039");
        }
        for name in ["bob", "Ana", "ana ", "an", "", "local"] {
            for now_ms in [0, 1_000] {
                let refused = shown(name, now_ms).expect_err(name);
                assert_eq!(refused.code(), "SQL-0038", "{name:?}");
                assert!(!refused.chain().contains("ana"), "{}", refused.chain());
            }
        }
        let key = TokenKey::derive(b"secret");
        let mut older = vec![4];
        older.extend_from_slice(Uuid::nil().as_bytes());
        for part in [&b"SELECT 1"[..], b"", b""] {
            older.extend_from_slice(&u32::try_from(part.len()).expect("short").to_be_bytes());
            older.extend_from_slice(part);
        }
        let refused = Handle::open(&signed(older, &key), &key).expect_err("it has no owner");
        assert_eq!(refused.code(), "SQL-0002");
    }
}
