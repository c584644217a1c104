//! `COPY … TO STDOUT`: rows as lines of text or CSV, or in binary.

use bytes::{BufMut, BytesMut};

use super::connection::Wire;
use super::encode::Style;
use super::rows::{Sending, Stopped};
use super::script::CopyOut;
use crate::service::Results;

/// What COPY in binary begins with: the signature, no flags, and nothing besides.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What it ends with, in the place of a number of columns.
const END: i16 = -1;

/// Sends the rows: how many there were.
pub(super) async fn send(
    results: Results,
    how: &CopyOut,
    style: Style,
    wire: &mut Wire,
    sql: &str,
) -> Result<u64, Stopped> {
    let columns = super::rows::columns(&results.schema);
    wire.replies.copy_out(how.binary, columns.len());
    if how.binary {
        wire.replies.message(b'd', |out| out.put_slice(SIGNATURE));
    } else if how.header {
        let names = columns.iter().map(|column| Some(column.name.as_bytes()));
        wire.replies.message(b'd', |out| line(names, how, out));
    }
    let style = Style {
        formats: vec![how.binary.into()],
        ..style
    };
    let mut sending = Sending::new(results.batches, style);
    let mut count = 0;
    while let Some((rows, row)) = sending.next(sql).await? {
        while *row < rows.len() {
            if how.binary {
                wire.replies.message(b'd', |out| rows.write(*row, out));
            } else {
                let values: Vec<Option<BytesMut>> = (0..rows.width())
                    .map(|column| {
                        let mut value = BytesMut::new();
                        rows.text(*row, column, &mut value).map(|()| value)
                    })
                    .collect();
                let values = values.iter().map(|value| value.as_ref().map(AsRef::as_ref));
                wire.replies.message(b'd', |out| line(values, how, out));
            }
            count += 1;
            *row += 1;
            wire.relieve().await?;
        }
    }
    if how.binary {
        wire.replies.message(b'd', |out| out.put_i16(END));
    }
    wire.replies.copy_done();
    Ok(count)
}

fn line<'a>(values: impl Iterator<Item = Option<&'a [u8]>>, how: &CopyOut, out: &mut BytesMut) {
    let mut delimiter = [0; 4];
    let delimiter = how.delimiter.encode_utf8(&mut delimiter).as_bytes();
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.put_slice(delimiter);
        }
        match value {
            None => out.put_slice(how.null.as_bytes()),
            Some(value) if how.csv => csv(value, delimiter, how, out),
            Some(value) => text(value, delimiter, out),
        }
    }
    out.put_u8(b'\n');
}

/// In quotes where it would be read otherwise.
fn csv(value: &[u8], delimiter: &[u8], how: &CopyOut, out: &mut BytesMut) {
    let is = |byte: u8, mark: char| char::from(byte) == mark;
    let special = |byte: &u8| matches!(byte, b'\n' | b'\r') || is(*byte, how.quote) || delimiter.contains(byte);
    if value != how.null.as_bytes() && value != b"\\." && !value.iter().any(special) {
        return out.put_slice(value);
    }
    let (mut quote, mut escape) = ([0; 4], [0; 4]);
    let quote = how.quote.encode_utf8(&mut quote).as_bytes();
    let escape = how.escape.encode_utf8(&mut escape).as_bytes();
    out.put_slice(quote);
    for byte in value {
        if is(*byte, how.quote) || is(*byte, how.escape) {
            out.put_slice(escape);
        }
        out.put_u8(*byte);
    }
    out.put_slice(quote);
}

/// With backslashes before what would end it.
fn text(value: &[u8], delimiter: &[u8], out: &mut BytesMut) {
    for byte in value {
        match byte {
            b'\\' => out.put_slice(b"\\\\"),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            b'\t' => out.put_slice(b"\\t"),
            byte if delimiter.contains(byte) => {
                out.put_u8(b'\\');
                out.put_u8(*byte);
            }
            byte => out.put_u8(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: lines read back as they were. Method: values with every special character, as text and as CSV.
    #[test]
    fn special_characters_are_marked() {
        let mut how = CopyOut {
            query: String::new(),
            binary: false,
            csv: false,
            header: false,
            delimiter: '\t',
            null: "\\N".into(),
            quote: '"',
            escape: '"',
        };
        let values = [Some(&b"a\tb\\c\nd"[..]), None, Some(&b""[..])];
        let mut out = BytesMut::new();
        line(values.into_iter(), &how, &mut out);
        assert_eq!(&out[..], b"a\\tb\\\\c\\nd\t\\N\t\n");
        (how.csv, how.delimiter, how.null) = (true, ',', String::new());
        let values = [
            Some(&b"a,b"[..]),
            None,
            Some(&b""[..]),
            Some(&b"say \"x\""[..]),
            Some(&b"plain"[..]),
        ];
        let mut out = BytesMut::new();
        line(values.into_iter(), &how, &mut out);
        assert_eq!(&out[..], b"\"a,b\",,\"\",\"say \"\"x\"\"\",plain\n");
        (how.quote, how.escape) = ('\'', '\\');
        let values = [Some(&b"it's"[..]), Some(&b"a,\\b"[..]), Some(&b"say \"x\""[..])];
        let mut out = BytesMut::new();
        line(values.into_iter(), &how, &mut out);
        assert_eq!(&out[..], b"'it\\'s','a,\\\\b',say \"x\"\n");
    }
}
