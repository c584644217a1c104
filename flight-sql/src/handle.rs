//! Handles and tickets that carry everything they stand for, signed: any node serves any call, and nothing is evicted.

use bytes::Bytes;
use uuid::Uuid;

use tidewater_security::TokenKey;

use crate::error::QueryError;

/// First byte of every handle: a new layout gets a new number.
const VERSION: u8 = 3;

/// A statement with its parameters, as a client holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The text as the client sent it.
    pub sql: String,
    /// Parameters as one Arrow IPC stream of one row; empty when none are bound.
    pub parameters: Bytes,
    /// The rows it was answered with already, as an Arrow IPC stream: what changes something is not asked twice.
    pub answer: Bytes,
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
            id: Uuid::nil(),
        }
    }

    /// The signed form.
    pub fn seal(&self, key: &TokenKey) -> Bytes {
        let mut body = vec![VERSION];
        body.extend_from_slice(self.id.as_bytes());
        // A statement of 4 GiB is far beyond the message limit.
        let length = u32::try_from(self.sql.len()).unwrap_or(u32::MAX);
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(self.sql.as_bytes());
        let length = u32::try_from(self.answer.len()).unwrap_or(u32::MAX);
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(&self.answer);
        body.extend_from_slice(&self.parameters);
        let mut sealed = key.sign(&body).to_vec();
        sealed.append(&mut body);
        sealed.into()
    }

    /// What a handle stands for. Refused when it was not sealed with `key`.
    pub fn open(sealed: &[u8], key: &TokenKey) -> Result<Self, QueryError> {
        let (signature, body) = sealed.split_at_checked(32).ok_or(QueryError::BadHandle)?;
        if !key.signed(body, signature) {
            return Err(QueryError::BadHandle);
        }
        let rest = body.strip_prefix(&[VERSION]).ok_or(QueryError::BadHandle)?;
        let (id, rest) = rest.split_at_checked(16).ok_or(QueryError::BadHandle)?;
        let id = Uuid::from_slice(id).map_err(|_| QueryError::BadHandle)?;
        let (sql, rest) = part(rest).ok_or(QueryError::BadHandle)?;
        let (answer, parameters) = part(rest).ok_or(QueryError::BadHandle)?;
        let sql = String::from_utf8(sql.to_vec()).map_err(|_| QueryError::BadHandle)?;
        Ok(Self {
            sql,
            parameters: Bytes::copy_from_slice(parameters),
            answer: Bytes::copy_from_slice(answer),
            id,
        })
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
        assert!(Statement::open(&sealed, &TokenKey::derive(b"other")).is_err());
    }
}
