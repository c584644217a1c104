//! Passes over values as the format's library reads them, and counts what it would make of them. It makes room for whatever a length or a
//! count says, takes what is cut off for null, and of a list of things that take no bytes makes as many as it is told.

use apache_avro::Schema;

use super::avro::{OrReason, block_length, number, string, take};

const DAMAGED: &str = "has values that are damaged";
const TOO_MANY: &str = "has more values than are read at once";

/// Names of fields, and its own, are copied for each record: so many bytes of them count as a value.
const NAME_BYTES: usize = 32;

/// Passes over a value with all that is in it, each of which is taken from what may be `left`. No deeper than the schema: what refers to
/// types by their names is refused, as the library looks those up among its own.
pub(super) fn pass(schema: &Schema, rest: &mut &[u8], left: &mut u64) -> OrReason<()> {
    spend(left, 1)?;
    let passed = match schema {
        Schema::Null => Some(()),
        Schema::Boolean => take(rest, 1).map(|_| ()),
        Schema::Int
        | Schema::Long
        | Schema::Date
        | Schema::TimeMillis
        | Schema::TimeMicros
        | Schema::TimestampMillis
        | Schema::TimestampMicros
        | Schema::TimestampNanos
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => number(rest).map(|_| ()),
        Schema::Float => take(rest, 4).map(|_| ()),
        Schema::Double => take(rest, 8).map(|_| ()),
        Schema::Duration => take(rest, 12).map(|_| ()),
        Schema::Fixed(fixed) => take(rest, fixed.size).map(|_| ()),
        // The library reads UUIDs with a length before them, whatever the schema says.
        Schema::Bytes | Schema::String | Schema::Uuid => string(rest).map(|_| ()),
        Schema::Decimal(decimal) => return pass(&decimal.inner, rest, left),
        Schema::Enum(symbols) => {
            let symbol = chosen(&symbols.symbols, rest).ok_or(DAMAGED)?;
            return spend(left, symbol.len() / NAME_BYTES);
        }
        Schema::Union(branches) => {
            let branch = chosen(branches.variants(), rest).ok_or(DAMAGED)?;
            return pass(branch, rest, left);
        }
        Schema::Array(array) => return blocks(rest, left, |rest, left| pass(&array.items, rest, left)),
        Schema::Map(map) => {
            return blocks(rest, left, |rest, left| {
                string(rest).ok_or(DAMAGED)?;
                pass(&map.types, rest, left)
            });
        }
        Schema::Record(record) => {
            // Copied for each value too, and in no value's bytes.
            let namespace = record.name.namespace.as_ref().map_or(0, String::len);
            spend(left, (record.name.name.len() + namespace) / NAME_BYTES)?;
            for field in &record.fields {
                spend(left, field.name.len() / NAME_BYTES)?;
                pass(&field.schema, rest, left)?;
            }
            return Ok(());
        }
        Schema::BigDecimal | Schema::Ref { .. } => return Err("has types that no manifest has"),
    };
    passed.ok_or(DAMAGED)
}

fn spend(left: &mut u64, values: usize) -> OrReason<()> {
    *left = left.checked_sub(values as u64).ok_or(TOO_MANY)?;
    Ok(())
}

/// The one of these whose number comes next.
fn chosen<'s, T>(all: &'s [T], rest: &mut &[u8]) -> Option<&'s T> {
    all.get(usize::try_from(number(rest)?).ok()?)
}

fn blocks<'a>(
    rest: &mut &'a [u8],
    left: &mut u64,
    mut item: impl FnMut(&mut &'a [u8], &mut u64) -> OrReason<()>,
) -> OrReason<()> {
    loop {
        let count = block_length(rest).ok_or(DAMAGED)?;
        if count == 0 {
            return Ok(());
        }
        // Room is made for all of them at once.
        if count > *left {
            return Err(TOO_MANY);
        }
        for _ in 0..count {
            item(rest, left)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOTHING: &[u8] = &[];

    fn schema(json: &Value) -> Schema {
        Schema::parse(json).expect("a schema")
    }

    /// What is left of the bytes, and how many values they were.
    fn passed<'a>(of: &Value, mut bytes: &'a [u8], values_max: u64) -> OrReason<(&'a [u8], u64)> {
        let mut left = values_max;
        pass(&schema(of), &mut bytes, &mut left)?;
        Ok((bytes, values_max - left))
    }

    // Goal: a value ends where the library ends it. Method: one of each type with a byte behind it.
    #[test]
    fn values_end_where_they_end() {
        let record = json!({"type": "record", "name": "r", "fields": [
            {"name": "a", "type": "int"}, {"name": "b", "type": ["null", "string"]}]});
        let fixed = json!({"type": "fixed", "name": "f", "size": 3});
        let decimal =
            json!({"type": "fixed", "name": "d", "size": 2, "logicalType": "decimal", "precision": 3, "scale": 1});
        let symbols = json!({"type": "enum", "name": "e", "symbols": ["A", "B"]});
        let cases: [(Value, &[u8], u64); 14] = [
            (json!("null"), &[], 1),
            (json!("boolean"), &[1], 1),
            (json!("int"), &[0x80, 1], 1),
            (json!({"type": "long", "logicalType": "timestamp-micros"}), &[2], 1),
            (json!("float"), &[0; 4], 1),
            (json!("double"), &[0; 8], 1),
            (json!("bytes"), &[4, 1, 2], 1),
            (json!("string"), &[2, 65], 1),
            (fixed, &[1, 2, 3], 1),
            (decimal, &[1, 2], 2),
            (symbols, &[2], 1),
            (json!({"type": "array", "items": "long"}), &[4, 1, 2, 1, 2, 3, 0], 4),
            (json!({"type": "map", "values": "long"}), &[2, 2, 65, 7, 0], 2),
            (record, &[2, 2, 2, 65], 4),
        ];
        for (of, bytes, values) in cases {
            let mut followed = bytes.to_vec();
            followed.push(77);
            assert_eq!(passed(&of, &followed, 100), Ok((&[77_u8][..], values)), "{of}");
            for length in 0..bytes.len() {
                assert_eq!(
                    passed(&of, &bytes[..length], 100),
                    Err(DAMAGED),
                    "{length} bytes of {of}"
                );
            }
        }
    }

    // Goal: what would be made without bytes, or before it is known to be there, is refused at once. Method: counts and lengths up to the
    // greatest, negative ones, items of no bytes, long names and references.
    #[test]
    fn what_is_not_there_is_not_counted_on() {
        let greatest: [u8; 10] = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        let least: [u8; 10] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        let nothings = json!({"type": "array", "items": "null"});
        assert_eq!(passed(&nothings, &greatest, 1 << 20), Err(TOO_MANY));
        // Below zero, the size of the block is behind the count.
        let of_a_size = [&least[..], &[0]].concat();
        assert_eq!(passed(&nothings, &of_a_size, 1 << 20), Err(TOO_MANY));
        assert_eq!(passed(&nothings, &[20, 20, 0], 21), Ok((NOTHING, 21)));
        assert_eq!(passed(&nothings, &[20, 20, 0], 20), Err(TOO_MANY));
        assert_eq!(passed(&json!("string"), &greatest, 9), Err(DAMAGED));
        assert_eq!(passed(&json!("bytes"), &least, 9), Err(DAMAGED));
        assert_eq!(passed(&json!(["null", "int"]), &[4], 9), Err(DAMAGED));
        assert_eq!(passed(&json!(["null", "int"]), &[1], 9), Err(DAMAGED));
        let name = "n".repeat(NAME_BYTES * 10);
        let named = json!({"type": "record", "name": "r", "fields": [{"name": name, "type": "null"}]});
        assert_eq!(passed(&named, &[], 100), Ok((NOTHING, 12)));
        let within = json!({"type": "record", "name": "r", "namespace": "n".repeat(NAME_BYTES * 10), "fields": []});
        assert_eq!(passed(&within, &[], 100), Ok((NOTHING, 11)));
        assert_eq!(passed(&within, &[], 10), Err(TOO_MANY));
        let endless = json!({"type": "record", "name": "r", "fields": [{"name": "next", "type": ["null", "r"]}]});
        assert!(passed(&endless, &[2, 0], 9).is_err());
    }
}
