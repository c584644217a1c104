//! Values of parameters, as text or in binary, as the values that plans know.

mod array;
mod numeric;

use bytes::{Buf, Bytes};
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use datafusion::scalar::ScalarValue;
use tidewater_engine::pg_catalog;
use tidewater_engine::pg_catalog::array_text::{self, NoArray};
use tidewater_engine::pg_catalog::{DateOrder, byte_text};

use super::failure::{Failure, state};
use super::types::{self, EPOCH_DAYS, EPOCH_US};

/// Microseconds of a day, which is also how its end is told.
const DAY_US: i64 = 86_400_000_000;

/// Numbers of types up to this one mean the same everywhere; which of the others an array's elements are is not told by their number.
const BUILT_IN_OID_MAX: u32 = 9_999;

/// The value that a client sent for a parameter of this type. A text that names no zone is of `zone`, or of UTC.
pub(super) fn value(oid: u32, binary: bool, sent: Option<&Bytes>, zone: Option<&str>) -> Result<ScalarValue, Failure> {
    let of = types::arrow(oid).unwrap_or(DataType::Utf8);
    let Some(sent) = sent else {
        return null(&of);
    };
    match binary {
        true => from_binary(oid, sent.clone(), zone),
        false => {
            let text = std::str::from_utf8(sent).map_err(|_| invalid("a value is not UTF-8"))?;
            from_text(oid, text, zone)
        }
    }
}

/// What a client sent as a text for a parameter of this type, with a date of three numbers, which is in this order, as ISO 8601 has it;
/// `None` for others.
pub(super) fn in_order(oid: u32, sent: Option<&Bytes>, order: Option<DateOrder>) -> Option<Bytes> {
    if !matches!(oid, types::DATE | types::TIMESTAMP | types::TIMESTAMPTZ) {
        return None;
    }
    let text = std::str::from_utf8(sent?).ok()?;
    pg_catalog::in_order(text, order?).map(Bytes::from)
}

/// No value of this type.
pub(super) fn null(of: &DataType) -> Result<ScalarValue, Failure> {
    ScalarValue::try_from(of).map_err(|error| invalid(error.to_string()))
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(state::INVALID_TEXT, message)
}

/// In binary the last and the first date stand for infinity, and so do the last and the first moment.
fn infinite() -> Failure {
    Failure::new(
        state::DATE_OUT_OF_RANGE,
        "date or timestamp out of range: infinity is none",
    )
}

fn from_text(oid: u32, text: &str, zone: Option<&str>) -> Result<ScalarValue, Failure> {
    let wrong = || {
        let state = match oid {
            types::DATE | types::TIME | types::TIMESTAMP | types::TIMESTAMPTZ | types::INTERVAL => state::INVALID_DATE,
            _ => state::INVALID_TEXT,
        };
        let text = format!("invalid input syntax for a value of type {oid}: \"{text}\"");
        Failure::new(state, text)
    };
    let trimmed = text.trim();
    Ok(match oid {
        types::BOOL => {
            let on = ["t", "true", "y", "yes", "on", "1"];
            let off = ["f", "false", "n", "no", "off", "0"];
            let lower = trimmed.to_lowercase();
            match (on.contains(&lower.as_str()), off.contains(&lower.as_str())) {
                (true, _) => ScalarValue::Boolean(Some(true)),
                (_, true) => ScalarValue::Boolean(Some(false)),
                _ => return Err(wrong()),
            }
        }
        types::NUMERIC => numeric::from_text(trimmed).ok_or_else(wrong)?,
        types::BYTEA => ScalarValue::Binary(Some(byte_text::read(text).ok_or_else(wrong)?)),
        types::UUID => {
            let uuid = uuid::Uuid::parse_str(trimmed).map_err(|_| wrong())?;
            ScalarValue::FixedSizeBinary(16, Some(uuid.as_bytes().to_vec()))
        }
        types::FLOAT4 | types::FLOAT8 => {
            let number: f64 = trimmed.parse().map_err(|_| wrong())?;
            let (value, read) = match oid {
                types::FLOAT4 => {
                    let narrow: f32 = trimmed.parse().map_err(|_| wrong())?;
                    (ScalarValue::Float32(Some(narrow)), f64::from(narrow))
                }
                _ => (ScalarValue::Float64(Some(number)), number),
            };
            if !holds(trimmed, read) {
                let of = types::built_in(oid).map_or("", |of| of.sql);
                let text = format!("\"{trimmed}\" is out of range for type {of}");
                return Err(Failure::new(state::OUT_OF_RANGE, text));
            }
            value
        }
        _ => match types::arrow(oid) {
            None | Some(DataType::Utf8) => ScalarValue::Utf8(Some(text.to_owned())),
            Some(DataType::List(_)) => {
                let element = types::element(oid).ok_or_else(wrong)?;
                let items = array_text::elements(text).map_err(|refused| {
                    let state = match refused {
                        NoArray::Malformed => state::INVALID_TEXT,
                        NoArray::Dimensions => state::NOT_SUPPORTED,
                    };
                    Failure::new(state, refused.told(text))
                })?;
                let items = items.into_iter().map(|item| match item {
                    Some(item) => from_text(element, &item, zone),
                    None => null(&types::arrow(element).unwrap_or(DataType::Utf8)),
                });
                list(element, items.collect::<Result<_, _>>()?)?
            }
            Some(of) => {
                // Drivers send a date with the zone that it is in.
                let trimmed = match oid {
                    types::DATE => date(trimmed).ok_or_else(wrong)?,
                    _ => trimmed,
                };
                let text = pg_catalog::sent_text(trimmed, &of).unwrap_or_else(|| trimmed.to_owned());
                let text = ScalarValue::Utf8(Some(text));
                let told = match (&of, zone) {
                    (DataType::Timestamp(unit, Some(_)), Some(zone)) => {
                        text.cast_to(&DataType::Timestamp(*unit, Some(zone.into())))
                    }
                    _ => Ok(text),
                };
                told.and_then(|told| told.cast_to(&of)).map_err(|_| wrong())?
            }
        },
    })
}

/// The date of a text, behind which may stand a time of day and the zone that it is in: drivers send a date with its zone.
fn date(text: &str) -> Option<&str> {
    let Some(end) = text.find(|c: char| c.is_whitespace() || matches!(c, 'T' | 't')) else {
        return Some(text);
    };
    let (date, behind) = text.split_at(end);
    let behind = behind.trim_start_matches(['T', 't']).trim();
    let moment = |text: String| {
        let of = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        ScalarValue::Utf8(Some(text)).cast_to(&of).is_ok()
    };
    let known = behind.eq_ignore_ascii_case("z")
        || moment(format!("2000-01-01 00:00:00 {behind}"))
        || moment(format!("2000-01-01 {behind}"));
    (known && !behind.is_empty()).then_some(date)
}

/// Whether a number that was read is the text's, and not infinite or zero because its type cannot hold it.
fn holds(text: &str, read: f64) -> bool {
    let digits = text.split(['e', 'E']).next().unwrap_or_default();
    match (read.is_infinite(), read == 0.0) {
        (true, _) => text.contains(['i', 'I']),
        (_, true) => !digits.contains(|digit: char| matches!(digit, '1'..='9')),
        _ => true,
    }
}

fn list(element: u32, items: Vec<ScalarValue>) -> Result<ScalarValue, Failure> {
    let mut of = types::arrow(element).unwrap_or(DataType::Utf8);
    let mut items = items;
    if element == types::NUMERIC {
        (of, items) = numeric::alike(items).ok_or_else(|| {
            let text = "the numbers of an array have more digits than 76 between the first and the last of all";
            Failure::new(state::OUT_OF_RANGE, text)
        })?;
    }
    let list = ScalarValue::new_list(&items, &of, true);
    Ok(ScalarValue::List(list))
}

fn wrong_element(told: u32, expected: u32) -> Failure {
    let name = |oid| types::formatted(oid, -1).unwrap_or_else(|| "???".to_owned());
    let (of, instead) = (name(told), name(expected));
    let text = format!("binary data has array element type {told} ({of}) instead of expected {expected} ({instead})");
    Failure::new(state::TYPES_DIFFER, text)
}

fn from_binary(oid: u32, mut sent: Bytes, zone: Option<&str>) -> Result<ScalarValue, Failure> {
    let wrong = |_| {
        Failure::new(
            state::INVALID_BINARY,
            format!("incorrect binary data for a value of type {oid}"),
        )
    };
    let whole = sent.clone();
    let value = match oid {
        types::BOOL => ScalarValue::Boolean(Some(sent.try_get_u8().map_err(wrong)? != 0)),
        types::INT2 => ScalarValue::Int16(Some(sent.try_get_i16().map_err(wrong)?)),
        types::INT4 => ScalarValue::Int32(Some(sent.try_get_i32().map_err(wrong)?)),
        types::INT8 => ScalarValue::Int64(Some(sent.try_get_i64().map_err(wrong)?)),
        types::OID => ScalarValue::Int64(Some(sent.try_get_u32().map_err(wrong)?.into())),
        types::FLOAT4 => ScalarValue::Float32(Some(sent.try_get_f32().map_err(wrong)?)),
        types::FLOAT8 => ScalarValue::Float64(Some(sent.try_get_f64().map_err(wrong)?)),
        types::DATE => {
            let days = sent.try_get_i32().map_err(wrong)?;
            let days = days.checked_add(EPOCH_DAYS).filter(|_| days != i32::MIN);
            ScalarValue::Date32(Some(days.ok_or_else(infinite)?))
        }
        types::TIME => {
            let micros = sent.try_get_i64().map_err(wrong)?;
            if !(0..=DAY_US).contains(&micros) {
                return Err(Failure::new(state::DATE_OUT_OF_RANGE, "time out of range"));
            }
            ScalarValue::Time64Microsecond(Some(micros))
        }
        types::TIMESTAMP | types::TIMESTAMPTZ => {
            let micros = sent.try_get_i64().map_err(wrong)?;
            let since = micros.checked_add(EPOCH_US).filter(|_| micros != i64::MIN);
            let micros = since.ok_or_else(infinite)?;
            match types::arrow(oid) {
                Some(DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
                    ScalarValue::TimestampMicrosecond(Some(micros), zone)
                }
                _ => ScalarValue::TimestampMicrosecond(Some(micros), None),
            }
        }
        types::INTERVAL => {
            let micros = sent.try_get_i64().map_err(wrong)?;
            let days = sent.try_get_i32().map_err(wrong)?;
            let months = sent.try_get_i32().map_err(wrong)?;
            let nanos = micros
                .checked_mul(1000)
                .ok_or_else(|| Failure::new(state::DATE_OUT_OF_RANGE, "interval out of range"))?;
            let value = IntervalMonthDayNano::new(months, days, nanos);
            ScalarValue::IntervalMonthDayNano(Some(value))
        }
        types::UUID if whole.len() == 16 => return Ok(ScalarValue::FixedSizeBinary(16, Some(whole.to_vec()))),
        types::UUID => return Err(invalid("a uuid has 16 bytes")),
        types::BYTEA => return Ok(ScalarValue::Binary(Some(whole.to_vec()))),
        types::NUMERIC => {
            return numeric::from_binary(sent).ok_or_else(|| {
                Failure::new(
                    state::INVALID_BINARY,
                    "incorrect binary data for a numeric, or more digits than 76",
                )
            });
        }
        _ if let Some(element) = types::element(oid) => {
            let (told, items) = array::from_binary(sent).ok_or_else(|| {
                Failure::new(
                    state::INVALID_BINARY,
                    "incorrect binary data for an array of one dimension",
                )
            })?;
            // Elements are not read as what they call themselves: arrays within arrays, as many as a message holds, exhaust the stack.
            if told != element && (1..=BUILT_IN_OID_MAX).contains(&told) {
                return Err(wrong_element(told, element));
            }
            let items = items.iter().map(|item| value(element, true, item.as_ref(), zone));
            return list(element, items.collect::<Result<_, _>>()?);
        }
        _ => {
            let text = match (oid, whole.first()) {
                // Its first byte is the number of its form.
                (types::JSONB, Some(1)) => whole.slice(1..),
                _ => whole,
            };
            let text = String::from_utf8(text.to_vec()).map_err(|_| invalid("a value is not UTF-8"))?;
            return Ok(ScalarValue::Utf8(Some(text)));
        }
    };
    match sent.has_remaining() {
        false => Ok(value),
        true => Err(Failure::new(
            state::INVALID_BINARY,
            format!("a value of type {oid} is longer than its type"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a value is the same whichever way it is sent. Method: each type in text and in binary.
    #[test]
    fn text_and_binary_agree() {
        let cases: &[(u32, &str, &[u8])] = &[
            (types::BOOL, "t", b"\x01"),
            (types::INT2, "-2", b"\xff\xfe"),
            (types::INT4, "7", b"\0\0\0\x07"),
            (types::INT8, "7", b"\0\0\0\0\0\0\0\x07"),
            (types::FLOAT8, "1.5", b"\x3f\xf8\0\0\0\0\0\0"),
            (types::FLOAT4, "1.5", b"\x3f\xc0\0\0"),
            (types::DATE, "2000-01-02", b"\0\0\0\x01"),
            (types::TIME, "00:00:00.000001", b"\0\0\0\0\0\0\0\x01"),
            (types::TIMESTAMP, "2000-01-01 00:00:00.000001", b"\0\0\0\0\0\0\0\x01"),
            (
                types::TIMESTAMPTZ,
                "2000-01-01 02:00:00.000001+02",
                b"\0\0\0\0\0\0\0\x01",
            ),
            (types::NUMERIC, "-0.05", b"\0\x01\xff\xff\x40\0\0\x02\x01\xf4"),
            (
                types::NUMERIC,
                "12345.678",
                b"\0\x03\0\x01\0\0\0\x03\0\x01\x09\x29\x1a\x7c",
            ),
            (types::BYTEA, "\\x00ff", b"\0\xff"),
            (types::BYTEA, "\\000\\377", b"\0\xff"),
            (
                types::UUID,
                "123e4567-e89b-12d3-a456-426614174000",
                b"\x12\x3e\x45\x67\xe8\x9b\x12\xd3\xa4\x56\x42\x66\x14\x17\x40\x00",
            ),
            (types::JSONB, "{}", b"\x01{}"),
            (types::TEXT, "it's", b"it's"),
            (
                1007,
                "{1,NULL}",
                b"\0\0\0\x01\0\0\0\x01\0\0\0\x17\0\0\0\x02\0\0\0\x01\0\0\0\x04\0\0\0\x01\xff\xff\xff\xff",
            ),
            (1009, "{}", b"\0\0\0\0\0\0\0\0\0\0\0\x19"),
        ];
        for (oid, text, binary) in cases {
            let from_text = value(*oid, false, Some(&Bytes::copy_from_slice(text.as_bytes())), None);
            let from_binary = value(*oid, true, Some(&Bytes::copy_from_slice(binary)), None);
            assert_eq!(from_text.expect("text"), from_binary.expect("binary"), "{oid} {text}");
        }
    }

    // Goal: no value becomes another one without a word: a date keeps its era, a number its size, and infinity is no day. Method: texts and
    // bytes that PostgreSQL refuses, or that we do not know, beside those that mean something.
    #[test]
    fn values_are_theirs_or_refused() {
        let text = |oid: u32, text: &str| value(oid, false, Some(&Bytes::copy_from_slice(text.as_bytes())), None);
        for sent in [
            "2024-02-29",
            "2024-02-29 +02",
            "2024-02-29 -05:30",
            "2024-02-29 Z",
            "2024-02-29 Europe/Paris",
            "2024-02-29 23:30:00",
            "2024-02-29T23:30:00-05",
            "2024-02-29 23:30:00 +02:00",
        ] {
            assert_eq!(
                text(types::DATE, sent).expect(sent),
                ScalarValue::Date32(Some(19_782)),
                "{sent}"
            );
        }
        for sent in [
            "0044-03-15 BC",
            "0044-03-15 +01 BC",
            "2024-02-29 junk",
            "2024-02-29 .5",
            "2024-02-30",
            "",
        ] {
            let refused = text(types::DATE, sent).expect_err(sent);
            assert_eq!(refused.state, state::INVALID_DATE, "{sent}");
        }
        for (oid, sent) in [
            (types::FLOAT4, "1e39"),
            (types::FLOAT4, "-1e-46"),
            (types::FLOAT8, "1e400"),
            (types::FLOAT8, "-1e400"),
            (types::FLOAT8, "1e-400"),
        ] {
            assert_eq!(text(oid, sent).expect_err(sent).state, state::OUT_OF_RANGE, "{sent}");
        }
        for (sent, read) in [
            ("Infinity", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
            ("0e999", 0.0),
            ("-0.00", -0.0),
            ("1e308", 1e308),
            ("1e-308", 1e-308),
        ] {
            assert_eq!(
                text(types::FLOAT8, sent).expect(sent),
                ScalarValue::Float64(Some(read)),
                "{sent}"
            );
        }
        for end in [i64::MIN, i64::MAX] {
            for oid in [types::TIMESTAMP, types::TIMESTAMPTZ] {
                let sent = Bytes::copy_from_slice(&end.to_be_bytes());
                let refused = value(oid, true, Some(&sent), None).expect_err("infinity");
                assert_eq!(refused.state, state::DATE_OUT_OF_RANGE);
            }
        }
        for end in [i32::MIN, i32::MAX] {
            let sent = Bytes::copy_from_slice(&end.to_be_bytes());
            let refused = value(types::DATE, true, Some(&sent), None).expect_err("infinity");
            assert_eq!(refused.state, state::DATE_OUT_OF_RANGE);
        }
    }

    // Goal: spans and moments are read as PostgreSQL and people write them. Method: its own output for spans, and moments without seconds.
    #[test]
    fn spans_and_moments_are_read_as_they_are_written() {
        let read = |oid: u32, text: &str| {
            let sent = Bytes::copy_from_slice(text.as_bytes());
            value(oid, false, Some(&sent), None).expect(text)
        };
        for (sent, months, days, nanos) in [
            ("1 year 2 mons 3 days 04:05:06.789", 14, 3, 14_706_789_000_000),
            ("-1 years -2 mons +3 days -04:05:06", -14, 3, -14_706_000_000_000),
            ("1 mon", 1, 0, 0),
            ("00:00:00", 0, 0, 0),
            ("P1Y2M", 14, 0, 0),
        ] {
            let span = IntervalMonthDayNano::new(months, days, nanos);
            let expected = ScalarValue::IntervalMonthDayNano(Some(span));
            assert_eq!(read(types::INTERVAL, sent), expected, "{sent}");
        }
        for sent in ["2024-07-01 10:00", "2024-07-01T10:00", "July 1, 2024 10:00"] {
            let expected = read(types::TIMESTAMP, "2024-07-01 10:00:00");
            assert_eq!(read(types::TIMESTAMP, sent), expected, "{sent}");
        }
    }

    // Goal: dates of three numbers are read in the session's order, where they are those of a date or moment. Method: one in each order, of
    // types that are read so and of others.
    #[test]
    fn dates_are_read_in_their_order() {
        let sent = Bytes::from_static(b"01/02/2024 10:00");
        for (oid, order, expected) in [
            (types::TIMESTAMP, Some(DateOrder::Mdy), Some("2024-01-02 10:00")),
            (types::TIMESTAMPTZ, Some(DateOrder::Dmy), Some("2024-02-01 10:00")),
            (types::TIMESTAMP, Some(DateOrder::Ymd), None),
            (types::TIMESTAMP, None, None),
            (types::TEXT, Some(DateOrder::Mdy), None),
        ] {
            let expected = expected.map(|text| Bytes::from_static(text.as_bytes()));
            assert_eq!(in_order(oid, Some(&sent), order), expected, "{oid} {order:?}");
        }
        assert_eq!(in_order(types::DATE, None, Some(DateOrder::Mdy)), None);
    }

    // Goal: an array that is none is told as PostgreSQL tells it, and one that is not understood as that. Method: the states of both.
    #[test]
    fn arrays_that_are_refused() {
        for (text, state) in [("{a", state::INVALID_TEXT), ("{{a},{b}}", state::NOT_SUPPORTED)] {
            let sent = Bytes::copy_from_slice(text.as_bytes());
            let refused = value(1009, false, Some(&sent), None).expect_err(text);
            assert_eq!(refused.state, state, "{text}");
            assert!(refused.message.contains(text), "{}", refused.message);
        }
    }

    // Goal: elements of another type than the array's are not read as the array's, nor make another array of it. Method: whole numbers as
    // elements of arrays of others, of texts and of no type, and of a type that has no number of its own.
    #[test]
    fn elements_are_of_their_arrays_type() {
        let sent = |element: u32| {
            let mut array = b"\0\0\0\x01\0\0\0\0".to_vec();
            array.extend_from_slice(&element.to_be_bytes());
            array.extend_from_slice(b"\0\0\0\x01\0\0\0\x01\0\0\0\x04\0\0\0\x07");
            Bytes::from(array)
        };
        let expected = value(1007, false, Some(&Bytes::from_static(b"{7}")), None).expect("an array");
        for element in [types::INT4, 0, 16_384] {
            assert_eq!(
                value(1007, true, Some(&sent(element)), None),
                Ok(expected.clone()),
                "{element}"
            );
        }
        for (oid, element) in [
            (1007, types::OID),
            (1016, types::INT4),
            (1009, types::INT4),
            (1007, 99),
            (1007, 1007),
        ] {
            let refused = value(oid, true, Some(&sent(element)), None).expect_err("another type");
            assert_eq!(refused.state, state::TYPES_DIFFER, "{oid} {element}");
        }
        let refused = value(1016, true, Some(&sent(types::INT4)), None).expect_err("another type");
        let told = "binary data has array element type 23 (integer) instead of expected 20 (bigint)";
        assert_eq!(refused.message, told);
    }

    // Goal: numbers of one array are all what they are, or refused. Method: some that fit together and some that do not.
    #[test]
    fn numbers_of_an_array_keep_their_values() {
        let read = |text: &str| value(1231, false, Some(&Bytes::copy_from_slice(text.as_bytes())), None);
        for text in ["{1e-30,1e40}", "{1e-76}", "{1e-76,0}", "{1.50,NULL,-2}", "{NULL}", "{}"] {
            assert!(read(text).is_ok(), "{text}");
        }
        for text in [
            "{1e-70,1e40}",
            "{1e-76,1}",
            "{1e30,1e-60,1}",
            "{1e-70,1e60}",
            "{1e-76,1e75}",
        ] {
            assert_eq!(read(text).expect_err(text).state, state::OUT_OF_RANGE, "{text}");
        }
    }

    // Goal: no bytes exhaust the stack, and none become another time or span. Method: arrays within arrays without end, and values beyond
    // what there is.
    #[test]
    fn bytes_without_end_are_refused() {
        let mut nested = Vec::new();
        for depth in (0_u32..100_000).rev() {
            // One dimension, no nulls, elements of type text[], one of them, from 1 on, with its bytes.
            nested.extend_from_slice(b"\0\0\0\x01\0\0\0\0\0\0\x03\xf1\0\0\0\x01\0\0\0\x01");
            nested.extend_from_slice(&(depth * 24).to_be_bytes());
        }
        let micros = i64::MAX / 999;
        let mut span = micros.to_be_bytes().to_vec();
        span.extend_from_slice(&[0; 8]);
        for (oid, sent, expected) in [
            (1009, nested, state::TYPES_DIFFER),
            (types::INTERVAL, span, state::DATE_OUT_OF_RANGE),
            (types::TIME, (-1_i64).to_be_bytes().to_vec(), state::DATE_OUT_OF_RANGE),
            (
                types::TIME,
                (DAY_US + 1).to_be_bytes().to_vec(),
                state::DATE_OUT_OF_RANGE,
            ),
        ] {
            let refused = value(oid, true, Some(&Bytes::from(sent)), None).expect_err("no value");
            assert_eq!(refused.state, expected, "{oid}");
        }
    }

    // Goal: what is no value of its type is refused and never a panic. Method: every prefix of a binary array for every type,
    // and texts that are none.
    #[test]
    fn wrong_values_are_refused() {
        let sent = b"\0\0\0\x01\0\0\0\x01\0\0\0\x17\0\0\0\x02\0\0\0\x01\0\0\0\x04\0\0\0\x01\xff\xff\xff\xff";
        for oid in [
            16, 17, 20, 21, 23, 25, 114, 700, 701, 1007, 1009, 1082, 1114, 1186, 1231, 1700, 2950, 3802, 99_999,
        ] {
            for end in 0..sent.len() {
                let _ = value(oid, true, Some(&Bytes::copy_from_slice(&sent[..end])), None);
            }
        }
        for (oid, text) in [
            (16, "maybe"),
            (23, "x"),
            (1700, "1.2.3"),
            (1082, "yesterday"),
            (17, "\\x0"),
            (1007, "{1"),
            (1009, "{a,}"),
            (1009, "a"),
            (2950, "1"),
        ] {
            assert!(
                value(oid, false, Some(&Bytes::copy_from_slice(text.as_bytes())), None).is_err(),
                "{oid} {text}"
            );
        }
    }
}
