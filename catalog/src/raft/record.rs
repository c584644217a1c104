//! How values are stored and sent: a format byte, MessagePack with field names, CRC32C.
//!
//! Names make a record readable after a field was added (with `#[serde(default)]`), and text forms of ids keep it
//! independent of how a type is nested.

use std::io::{self, Read, Write};

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

/// The value of a record that is too large to be held as bytes. The bytes have to be checked beforehand, by
/// [`check_sealed`] or piece by piece: a length that is wrong would be believed here until the end is reached.
pub(super) fn read_sealed<T: DeserializeOwned, R: Read>(from: R) -> io::Result<T> {
    let mut from = SummedRead { inner: from, sum: 0 };
    let mut format = [0];
    from.read_exact(&mut format)?;
    if format != [FORMAT] {
        return Err(invalid(&format!("format {} is not known to this version", format[0])));
    }
    let mut decoder = rmp_serde::Deserializer::new(&mut from).with_human_readable();
    let value = T::deserialize(&mut decoder).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    let (sum, mut stored) = (from.sum, [0; 4]);
    from.inner.read_exact(&mut stored)?;
    if sum != u32::from_le_bytes(stored) {
        return Err(invalid("checksum mismatch"));
    }
    match from.inner.read(&mut [0])? {
        0 => Ok(value),
        _ => Err(invalid("bytes after the end of the record")),
    }
}

/// Whether the bytes are what was written, without looking at what they mean.
pub(super) fn check_sealed(mut from: impl Read) -> io::Result<()> {
    let (mut piece, mut held, mut sum) = (vec![0; 1 << 20], Vec::<u8>::new(), 0);
    loop {
        let read = from.read(&mut piece)?;
        held.extend_from_slice(piece.get(..read).unwrap_or_default());
        // The last four bytes are the sum itself.
        let body = held.len().saturating_sub(4);
        sum = crc32c::crc32c_append(sum, held.get(..body).unwrap_or_default());
        held.drain(..body);
        if read == 0 {
            return match held.first_chunk::<4>() {
                Some(stored) if u32::from_le_bytes(*stored) == sum => Ok(()),
                Some(_) => Err(invalid("checksum mismatch")),
                None => Err(invalid("record too short")),
            };
        }
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

struct SummedRead<R> {
    inner: R,
    sum: u32,
}

impl<R: Read> Read for SummedRead<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.sum = crc32c::crc32c_append(self.sum, bytes.get(..read).unwrap_or_default());
        Ok(read)
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
        assert_eq!(read_sealed::<Batch, _>(bytes.as_slice()).unwrap(), sample());
        check_sealed(bytes.as_slice()).unwrap();
    }

    // Goal: no damaged byte is taken for data. Method: flip every bit of a record, cut it at every length.
    #[test]
    fn damage_is_seen() {
        let bytes = seal(&sample()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal::<Batch>(&damaged).is_err(), "bit {bit}");
            assert!(check_sealed(damaged.as_slice()).is_err(), "bit {bit}");
        }
        for end in 0..bytes.len() {
            assert!(unseal::<Batch>(&bytes[..end]).is_err(), "length {end}");
            assert!(read_sealed::<Batch, _>(&bytes[..end]).is_err(), "length {end}");
            assert!(check_sealed(&bytes[..end]).is_err(), "length {end}");
        }
    }
}
