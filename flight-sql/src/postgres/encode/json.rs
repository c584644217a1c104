//! Structs, maps and lists of lists, for which PostgreSQL has no types that clients would know, as JSON.

use std::fmt::Write;

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::DataType;

use super::{Values, elements};
use crate::postgres::zone::Zone;

/// One value that is not null.
pub(super) fn write(array: &ArrayRef, row: usize, out: &mut BytesMut) {
    if array.is_null(row) {
        return out.put_slice(b"null");
    }
    match array.data_type() {
        DataType::Struct(fields) => {
            let columns = array.as_struct();
            out.put_u8(b'{');
            for (at, (field, column)) in fields.iter().zip(columns.columns()).enumerate() {
                if at > 0 {
                    out.put_slice(b", ");
                }
                string(field.name(), out);
                out.put_slice(b": ");
                write(column, row, out);
            }
            out.put_u8(b'}');
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            out.put_u8(b'{');
            for at in 0..entries.len() {
                if at > 0 {
                    out.put_slice(b", ");
                }
                let mut key = BytesMut::new();
                match Values::new(keys) {
                    Ok(keys) if !keys.is_null(at) => keys.write(at, false, Zone::default(), &mut key),
                    _ => {}
                }
                string(&String::from_utf8_lossy(&key), out);
                out.put_slice(b": ");
                write(values, at, out);
            }
            out.put_u8(b'}');
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            out.put_u8(b'[');
            if let Some(items) = elements(array, row) {
                for at in 0..items.len() {
                    if at > 0 {
                        out.put_slice(b", ");
                    }
                    write(&items, at, out);
                }
            }
            out.put_u8(b']');
        }
        DataType::Boolean => out.put_slice(if array.as_boolean().value(row) {
            b"true"
        } else {
            b"false"
        }),
        plain => {
            let mut value = BytesMut::new();
            if let Ok(values) = Values::new(array) {
                values.write(row, false, Zone::default(), &mut value);
            }
            // Numbers that JSON has no words for are texts.
            match plain.is_numeric() && !matches!(value.last(), Some(b'N' | b'y')) {
                true => out.put_slice(&value),
                false => string(&String::from_utf8_lossy(&value), out),
            }
        }
    }
}

fn string(value: &str, out: &mut BytesMut) {
    out.put_u8(b'"');
    for character in value.chars() {
        match character {
            '"' => out.put_slice(b"\\\""),
            '\\' => out.put_slice(b"\\\\"),
            '\n' => out.put_slice(b"\\n"),
            '\r' => out.put_slice(b"\\r"),
            '\t' => out.put_slice(b"\\t"),
            control if u32::from(control) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            plain => {
                let _ = write!(out, "{plain}");
            }
        }
    }
    out.put_u8(b'"');
}
