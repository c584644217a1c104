//! Rows as clients read them: each value as text or in its type's binary form.

mod binary;
mod json;
mod text;

use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, GenericListArray, Int64Array, OffsetSizeTrait, RecordBatch,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, IntervalUnit, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, i256,
};
use datafusion::arrow::error::ArrowError;

use tidewater_engine::pg_catalog::shown;

use super::reply::{format_of, length};
use super::types::{self, PgType};
use super::zone::Zone;

/// How a client wants values.
#[derive(Debug, Clone, Default)]
pub(super) struct Style {
    /// 0 for text, 1 for binary: none for all text, one for all, or one for each column.
    pub(super) formats: Vec<i16>,
    /// Where instants are shown.
    pub(super) zone: Zone,
}

/// The columns of one batch, made ready to be written row by row.
pub(super) struct Rows {
    columns: Vec<(Values, bool)>,
    rows: usize,
    zone: Zone,
}

impl Rows {
    /// Of this batch, for a client of this style.
    pub(super) fn new(batch: &RecordBatch, style: &Style) -> Result<Self, ArrowError> {
        let fields = batch.schema_ref().fields().iter();
        let columns = batch.columns().iter().zip(fields).enumerate();
        let columns = columns.map(|(at, (column, field))| {
            let own = types::own(field).map(|(oid, _)| oid);
            Ok((Values::of(column, own)?, format_of(&style.formats, at) == 1))
        });
        Ok(Self {
            columns: columns.collect::<Result<_, ArrowError>>()?,
            rows: batch.num_rows(),
            zone: style.zone,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// The body of a row's message.
    pub(super) fn write(&self, row: usize, out: &mut BytesMut) {
        out.put_i16(i16::try_from(self.columns.len()).unwrap_or(i16::MAX));
        for (values, binary) in &self.columns {
            values.write_sized(row, *binary, self.zone, out);
        }
    }

    /// The text of one value; `None` for a null.
    pub(super) fn text(&self, row: usize, column: usize, out: &mut BytesMut) -> Option<()> {
        let (values, _) = self.columns.get(column)?;
        match values.is_null(row) {
            true => None,
            false => {
                values.write(row, false, self.zone, out);
                Some(())
            }
        }
    }

    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }
}

/// The values of one column, of the few kinds that are told apart on the wire.
pub(super) struct Values {
    array: ArrayRef,
    kind: Kind,
}

enum Kind {
    Null,
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Decimal(i8),
    BigDecimal(i8),
    Text,
    Bytes,
    Uuid,
    Date,
    Time,
    Timestamp,
    Instant,
    Interval,
    /// With the type of its elements.
    Array(u32),
    Json,
    /// The number of a function or a type, with what it is.
    Named(&'static str),
    /// An array whose places begin at 0, with the type of its elements.
    Vector(u32),
}

impl Values {
    /// Of a column whose values may be of one of PostgreSQL's own types.
    fn of(array: &ArrayRef, own: Option<u32>) -> Result<Self, ArrowError> {
        let kind = match (own, array.data_type()) {
            (Some(types::REGPROC), DataType::Int64) => Kind::Named("regproc"),
            (Some(types::REGTYPE), DataType::Int64) => Kind::Named("regtype"),
            (Some(types::INT2VECTOR), DataType::List(_)) => Kind::Vector(types::INT2),
            (Some(types::OIDVECTOR), DataType::List(_)) => Kind::Vector(types::OID),
            _ => return Self::new(array),
        };
        let array = ArrayRef::clone(array);
        Ok(Self { array, kind })
    }

    fn new(array: &ArrayRef) -> Result<Self, ArrowError> {
        let micros = TimeUnit::Microsecond;
        let (kind, wanted) = match array.data_type() {
            DataType::Null => (Kind::Null, None),
            DataType::Boolean => (Kind::Bool, None),
            DataType::Int16 => (Kind::Int2, None),
            DataType::Int8 | DataType::UInt8 => (Kind::Int2, Some(DataType::Int16)),
            DataType::Int32 => (Kind::Int4, None),
            DataType::UInt16 => (Kind::Int4, Some(DataType::Int32)),
            DataType::Int64 => (Kind::Int8, None),
            DataType::UInt32 => (Kind::Int8, Some(DataType::Int64)),
            DataType::UInt64 => (Kind::Decimal(0), Some(DataType::Decimal128(20, 0))),
            DataType::Float32 => (Kind::Float4, None),
            DataType::Float16 => (Kind::Float4, Some(DataType::Float32)),
            DataType::Float64 => (Kind::Float8, None),
            DataType::Decimal128(_, scale) => (Kind::Decimal(*scale), None),
            DataType::Decimal32(digits, scale) | DataType::Decimal64(digits, scale) => {
                (Kind::Decimal(*scale), Some(DataType::Decimal128(*digits, *scale)))
            }
            DataType::Decimal256(_, scale) => (Kind::BigDecimal(*scale), None),
            DataType::Utf8 => (Kind::Text, None),
            DataType::Binary => (Kind::Bytes, None),
            DataType::FixedSizeBinary(16) => (Kind::Uuid, None),
            DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                (Kind::Bytes, Some(DataType::Binary))
            }
            DataType::Date32 => (Kind::Date, None),
            DataType::Date64 => (Kind::Date, Some(DataType::Date32)),
            DataType::Time32(_) | DataType::Time64(_) => (Kind::Time, Some(DataType::Time64(micros))),
            DataType::Timestamp(_, None) => (Kind::Timestamp, Some(DataType::Timestamp(micros, None))),
            DataType::Timestamp(_, zone) => (Kind::Instant, Some(DataType::Timestamp(micros, zone.clone()))),
            DataType::Interval(IntervalUnit::MonthDayNano) => (Kind::Interval, None),
            DataType::Interval(_) | DataType::Duration(_) => {
                (Kind::Interval, Some(DataType::Interval(IntervalUnit::MonthDayNano)))
            }
            list @ (DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)) => {
                match types::element(PgType::of(list).oid) {
                    Some(element) if element != types::JSON => (Kind::Array(element), None),
                    _ => (Kind::Json, None),
                }
            }
            DataType::Struct(_) | DataType::Map(..) | DataType::Union(..) => (Kind::Json, None),
            DataType::Dictionary(_, value) => {
                let plain = cast(array, value)?;
                return Self::new(&plain);
            }
            _ => (Kind::Text, Some(DataType::Utf8)),
        };
        let array = match wanted {
            Some(wanted) if wanted != *array.data_type() => cast(array, &wanted)?,
            _ => ArrayRef::clone(array),
        };
        Ok(Self { array, kind })
    }

    fn is_null(&self, row: usize) -> bool {
        matches!(self.kind, Kind::Null) || self.array.is_null(row)
    }

    /// The value behind its length; a null is a length of -1.
    fn write_sized(&self, row: usize, binary: bool, zone: Zone, out: &mut BytesMut) {
        if self.is_null(row) {
            out.put_i32(-1);
            return;
        }
        let at = out.len();
        out.put_i32(0);
        self.write(row, binary, zone, out);
        let length = length(out.len() - at - 4);
        if let Some(place) = out.get_mut(at..at + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }

    fn write(&self, row: usize, binary: bool, zone: Zone, out: &mut BytesMut) {
        let array = &self.array;
        match &self.kind {
            Kind::Null => {}
            Kind::Bool => {
                let value = array.as_boolean().value(row);
                match binary {
                    true => out.put_u8(value.into()),
                    false => out.put_u8(if value { b't' } else { b'f' }),
                }
            }
            Kind::Int2 => {
                let value = array.as_primitive::<Int16Type>().value(row);
                match binary {
                    true => out.put_i16(value),
                    false => text::display(value, out),
                }
            }
            Kind::Int4 => {
                let value = array.as_primitive::<Int32Type>().value(row);
                match binary {
                    true => out.put_i32(value),
                    false => text::display(value, out),
                }
            }
            Kind::Int8 => {
                let value = array.as_primitive::<Int64Type>().value(row);
                match binary {
                    true => out.put_i64(value),
                    false => text::display(value, out),
                }
            }
            Kind::Float4 => {
                let value = array.as_primitive::<Float32Type>().value(row);
                match binary {
                    true => out.put_f32(value),
                    false => text::float4(value, out),
                }
            }
            Kind::Float8 => {
                let value = array.as_primitive::<Float64Type>().value(row);
                match binary {
                    true => out.put_f64(value),
                    false => text::float8(value, out),
                }
            }
            Kind::Decimal(scale) => {
                let value = array.as_primitive::<Decimal128Type>().value(row);
                decimal(&value.to_string(), *scale, binary, out);
            }
            Kind::BigDecimal(scale) => {
                let value: i256 = array.as_primitive::<Decimal256Type>().value(row);
                decimal(&value.to_string(), *scale, binary, out);
            }
            Kind::Text => out.put_slice(array.as_string::<i32>().value(row).as_bytes()),
            Kind::Bytes => {
                let value = array.as_binary::<i32>().value(row);
                match binary {
                    true => out.put_slice(value),
                    false => text::bytes(value, out),
                }
            }
            Kind::Uuid => {
                let value = fixed(array).map_or(&[][..], |array| array.value(row));
                match binary {
                    true => out.put_slice(value),
                    false => text::uuid(value, out),
                }
            }
            Kind::Date => {
                let days = array.as_primitive::<Date32Type>().value(row);
                match binary {
                    true => out.put_i32(days.saturating_sub(types::EPOCH_DAYS)),
                    false => text::date(days, out),
                }
            }
            Kind::Time => {
                let micros = array.as_primitive::<Time64MicrosecondType>().value(row);
                match binary {
                    true => out.put_i64(micros),
                    false => text::time(micros, out),
                }
            }
            Kind::Timestamp | Kind::Instant => {
                let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
                match (binary, &self.kind) {
                    (true, _) => out.put_i64(micros.saturating_sub(types::EPOCH_US)),
                    (false, Kind::Timestamp) => text::timestamp(micros, out),
                    (false, _) => text::instant(micros, zone.offset_s(micros), out),
                }
            }
            Kind::Interval => {
                let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
                match binary {
                    true => {
                        out.put_i64(value.nanoseconds / 1000);
                        out.put_i32(value.days);
                        out.put_i32(value.months);
                    }
                    false => text::interval(value.months, value.days, value.nanoseconds / 1000, out),
                }
            }
            Kind::Array(element) => match elements(array, row).and_then(|items| Self::new(&items).ok()) {
                Some(items) if binary => binary::array(&items, *element, zone, out),
                Some(items) => text::array(&items, zone, out),
                None => {}
            },
            Kind::Json => json::write(array, row, out),
            Kind::Named(what) => {
                let oid = array.as_primitive::<Int64Type>().value(row);
                match binary {
                    true => out.put_u32(u32::try_from(oid).unwrap_or_default()),
                    false => text::display(shown::named(what, oid), out),
                }
            }
            Kind::Vector(element) => {
                let items = elements(array, row).and_then(|items| cast(&items, &DataType::Int64).ok());
                if let Some(items) = items {
                    vector(items.as_primitive::<Int64Type>(), *element, binary, out);
                }
            }
        }
    }
}

/// Numbers whose places begin at 0.
fn vector(items: &Int64Array, element: u32, binary: bool, out: &mut BytesMut) {
    let numbers = items.values();
    if !binary {
        let shown: Vec<String> = numbers.iter().map(i64::to_string).collect();
        return out.put_slice(shown.join(" ").as_bytes());
    }
    out.put_i32(i32::from(!numbers.is_empty()));
    out.put_i32(0);
    out.put_u32(element);
    if numbers.is_empty() {
        return;
    }
    out.put_i32(length(numbers.len()));
    out.put_i32(0);
    for number in numbers {
        match element {
            types::INT2 => {
                out.put_i32(2);
                out.put_i16(i16::try_from(*number).unwrap_or_default());
            }
            _ => {
                out.put_i32(4);
                out.put_u32(u32::try_from(*number).unwrap_or_default());
            }
        }
    }
}

fn decimal(digits: &str, scale: i8, binary: bool, out: &mut BytesMut) {
    let text = text::decimal(digits, scale);
    match binary {
        true => binary::numeric(&text, out),
        false => out.put_slice(text.as_bytes()),
    }
}

fn fixed(array: &ArrayRef) -> Option<&FixedSizeBinaryArray> {
    array.as_fixed_size_binary_opt()
}

/// The elements of a list.
fn elements(array: &ArrayRef, row: usize) -> Option<ArrayRef> {
    fn of<O: OffsetSizeTrait>(array: &GenericListArray<O>, row: usize) -> ArrayRef {
        array.value(row)
    }
    match array.data_type() {
        DataType::List(_) => Some(of(array.as_list::<i32>(), row)),
        DataType::LargeList(_) => Some(of(array.as_list::<i64>(), row)),
        DataType::FixedSizeList(..) => Some(array.as_fixed_size_list().value(row)),
        _ => None,
    }
}
