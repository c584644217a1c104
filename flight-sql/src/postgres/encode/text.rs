//! Values as PostgreSQL writes them: the engine's, and arrays of what is sent.

use bytes::{BufMut, BytesMut};
pub(super) use tidewater_engine::pg_catalog::shown::{
    bytes, date, decimal, display, float4, float8, instant, interval, needs_quotes, time, timestamp, uuid,
};

use super::Values;
use crate::postgres::zone::Zone;

/// `{1,NULL,"a b"}`.
pub(super) fn array(items: &Values, zone: Zone, out: &mut BytesMut) {
    out.put_u8(b'{');
    for row in 0..items.array.len() {
        if row > 0 {
            out.put_u8(b',');
        }
        if items.is_null(row) {
            out.put_slice(b"NULL");
            continue;
        }
        let mut item = BytesMut::new();
        items.write(row, false, zone, &mut item);
        match needs_quotes(&item) {
            false => out.put_slice(&item),
            true => {
                out.put_u8(b'"');
                for byte in item {
                    if matches!(byte, b'"' | b'\\') {
                        out.put_u8(b'\\');
                    }
                    out.put_u8(byte);
                }
                out.put_u8(b'"');
            }
        }
    }
    out.put_u8(b'}');
}
