//! What is sent to clients, put together in one buffer that the connection writes when it is full or asked for.

use bytes::{BufMut, BytesMut};

use super::types::PgType;

/// A column as a client is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) of: PgType,
}

/// Messages on their way.
#[derive(Debug, Default)]
pub(super) struct Replies {
    buffer: BytesMut,
}

impl Replies {
    /// The bytes that are waiting.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// One message: its kind, its length, and what `body` writes.
    pub(super) fn message(&mut self, kind: u8, body: impl FnOnce(&mut BytesMut)) {
        self.buffer.put_u8(kind);
        let at = self.buffer.len();
        self.buffer.put_i32(0);
        body(&mut self.buffer);
        let length = length(self.buffer.len() - at);
        if let Some(place) = self.buffer.get_mut(at..at + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }

    /// "You are in", or what is wanted for it (3: a password in plain text, 10 to 12: steps of SASL).
    pub(super) fn authentication(&mut self, code: i32, data: &[u8]) {
        self.message(b'R', |body| {
            body.put_i32(code);
            body.put_slice(data);
        });
    }

    /// The newest minor version that is spoken, and the options that are not known.
    pub(super) fn negotiate(&mut self, unknown: &[String]) {
        self.message(b'v', |body| {
            body.put_i32(0);
            body.put_i32(length(unknown.len()));
            unknown.iter().for_each(|name| text(body, name));
        });
    }

    pub(super) fn parameter_status(&mut self, name: &str, value: &str) {
        self.message(b'S', |body| {
            text(body, name);
            text(body, value);
        });
    }

    pub(super) fn backend_key(&mut self, pid: i32, secret: i32) {
        self.message(b'K', |body| {
            body.put_i32(pid);
            body.put_i32(secret);
        });
    }

    /// The server waits for the next statement. `I`: outside a transaction, `T`: inside, `E`: in one that failed.
    pub(super) fn ready(&mut self, status: u8) {
        self.message(b'Z', |body| body.put_u8(status));
    }

    pub(super) fn parse_complete(&mut self) {
        self.message(b'1', |_| ());
    }

    pub(super) fn bind_complete(&mut self) {
        self.message(b'2', |_| ());
    }

    pub(super) fn close_complete(&mut self) {
        self.message(b'3', |_| ());
    }

    pub(super) fn no_data(&mut self) {
        self.message(b'n', |_| ());
    }

    pub(super) fn empty_query(&mut self) {
        self.message(b'I', |_| ());
    }

    pub(super) fn portal_suspended(&mut self) {
        self.message(b's', |_| ());
    }

    pub(super) fn complete(&mut self, tag: &str) {
        self.message(b'C', |body| text(body, tag));
    }

    pub(super) fn parameters(&mut self, oids: &[u32]) {
        self.message(b't', |body| {
            // There may be more of them than of columns: PostgreSQL counts them without a sign.
            body.put_u16(u16::try_from(oids.len()).unwrap_or(u16::MAX));
            oids.iter().for_each(|oid| body.put_u32(*oid));
        });
    }

    /// The columns of the rows that follow. No table is named: clients would ask what is known of it, once a column.
    pub(super) fn columns(&mut self, columns: &[Column], formats: &[i16]) {
        self.message(b'T', |body| {
            body.put_i16(short(columns.len()));
            for (at, column) in columns.iter().enumerate() {
                text(body, &column.name);
                body.put_i32(0);
                body.put_i16(0);
                body.put_u32(column.of.oid);
                body.put_i16(column.of.length);
                body.put_i32(column.of.modifier);
                body.put_i16(format_of(formats, at));
            }
        });
    }

    /// Rows of a COPY follow, in so many columns.
    pub(super) fn copy_out(&mut self, binary: bool, columns: usize) {
        self.message(b'H', |body| {
            body.put_u8(binary.into());
            body.put_i16(short(columns));
            (0..columns).for_each(|_| body.put_i16(binary.into()));
        });
    }

    pub(super) fn copy_done(&mut self) {
        self.message(b'c', |_| ());
    }

    /// An error (`E`) or a notice (`N`) of these fields.
    pub(super) fn fields(&mut self, kind: u8, fields: &[(u8, String)]) {
        self.message(kind, |body| {
            for (field, value) in fields {
                body.put_u8(*field);
                text(body, value);
            }
            body.put_u8(0);
        });
    }
}

/// The format of a column where none, one for all, or one for each is given: 0 for text, 1 for binary.
pub(super) fn format_of(formats: &[i16], at: usize) -> i16 {
    match formats {
        [] => 0,
        [all] => *all,
        each => each.get(at).copied().unwrap_or_default(),
    }
}

/// A text with the zero that ends it. Zeros within it would end it too soon.
fn text(body: &mut BytesMut, value: &str) {
    value
        .bytes()
        .filter(|byte| *byte != 0)
        .for_each(|byte| body.put_u8(byte));
    body.put_u8(0);
}

/// Messages are cut long before they reach this.
pub(super) fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

fn short(count: usize) -> i16 {
    i16::try_from(count).unwrap_or(i16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: parameters are as many as the message says. Method: none, one, and as many as there may be.
    #[test]
    fn parameters_are_counted() {
        for count in [0, 1, 40_000, 65_535] {
            let mut replies = Replies::default();
            replies.parameters(&vec![25; count]);
            let told = replies.buffer().get(5..7).map(|bytes| [bytes[0], bytes[1]]);
            assert_eq!(told.map(u16::from_be_bytes).map(usize::from), Some(count));
            assert_eq!(replies.len(), 1 + 4 + 2 + 4 * count);
        }
    }
}
