//! How values are stored and sent: a format byte, MessagePack with field names, CRC32C.
//!
//! Names make a record readable after a field was added (with `#[serde(default)]`), and text forms of ids keep it
//! independent of how a type is nested.

use std::io::{self, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Raised when a reader of the old form could misread the new one.
const FORMAT: u8 = 1;

/// The bytes of a record.
pub(super) fn seal<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(256);
    write_sealed(value, &mut bytes)?;
    Ok(bytes)
}

/// Writes a record in one pass, for values that are large.
pub(super) fn write_sealed<T: Serialize, W: Write>(value: &T, out: W) -> io::Result<()> {
    let mut out = Summed { inner: out, sum: 0 };
    out.write_all(&[FORMAT])?;
    encode(value, &mut out)?;
    let sum = out.sum;
    out.inner.write_all(&sum.to_le_bytes())
}

/// The value of a record, if the bytes are what was written.
pub(super) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    let (body, sum) = bytes
        .split_last_chunk::<4>()
        .ok_or_else(|| invalid("record too short"))?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*sum) {
        return Err(invalid("checksum mismatch"));
    }
    match body.split_first() {
        Some((&FORMAT, payload)) => {
            let mut decoder = rmp_serde::Deserializer::from_read_ref(payload).with_human_readable();
            T::deserialize(&mut decoder).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
        }
        Some((other, _)) => Err(invalid(&format!("format {other} is not known to this version"))),
        None => Err(invalid("record too short")),
    }
}

/// How many bytes a value takes in a record.
pub(super) fn encoded_bytes<T: Serialize>(value: &T) -> io::Result<usize> {
    let mut counter = Counter(0);
    encode(value, &mut counter)?;
    Ok(counter.0)
}

fn encode<T: Serialize, W: Write>(value: &T, out: &mut W) -> io::Result<()> {
    let mut encoder = rmp_serde::Serializer::new(out).with_struct_map().with_human_readable();
    value.serialize(&mut encoder).map_err(io::Error::other)
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.to_owned())
}

struct Summed<W> {
    inner: W,
    sum: u32,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum = crc32c::crc32c_append(self.sum, bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::command::{Batch, Command, Op};

    fn sample() -> Batch {
        let op = Op::CreateNamespace {
            namespace: vec!["bronze".into()],
            properties: Default::default(),
        };
        Batch(vec![Command::once(Uuid::from_u128(u128::MAX - 7), 3, -5, op)])
    }

    // Goal: what is sealed comes back, with wide keys and negative numbers. Method: one round, and the counted size
    // against the real one.
    #[test]
    fn a_record_comes_back() {
        let bytes = seal(&sample()).unwrap();
        assert_eq!(unseal::<Batch>(&bytes).unwrap(), sample());
        assert_eq!(encoded_bytes(&sample()).unwrap() + 5, bytes.len());
    }

    // Goal: no damaged byte is taken for data. Method: flip every bit of a record, cut it at every length.
    #[test]
    fn damage_is_seen() {
        let bytes = seal(&sample()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal::<Batch>(&damaged).is_err(), "bit {bit}");
        }
        for end in 0..bytes.len() {
            assert!(unseal::<Batch>(&bytes[..end]).is_err(), "length {end}");
        }
    }
}
