//! Plain values, and arrays made of them and read back without any of the code under test.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
    Int64Array, ListArray, MapArray, StringArray, StructArray, TimestampMicrosecondArray,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use tidewater_core::Rng;

use super::super::field_id;

/// Numbers of all kinds are whole, floats count halves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
    Struct(BTreeMap<i32, Value>),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
}

pub(super) fn random(field: &Field, rng: &dyn Rng) -> Value {
    if field.is_nullable() && rng.below(4) == 0 {
        return Value::Null;
    }
    match field.data_type() {
        DataType::Utf8 => Value::Text(rng.below(6).to_string()),
        // Not UTF-8: whoever reads it as text must fail.
        DataType::Binary | DataType::LargeBinary => {
            Value::Bytes(vec![0xff, u8::try_from(rng.below(6)).expect("small")])
        }
        DataType::Struct(children) => Value::Struct(
            children
                .iter()
                .map(|child| (field_id(child).expect("an id"), random(child, rng)))
                .collect(),
        ),
        DataType::List(item) => Value::List((0..rng.below(3)).map(|_| random(item, rng)).collect()),
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else {
                panic!("entries of a map");
            };
            let pairs = (0..rng.below(3)).map(|i| (Value::Text(i.to_string()), random(&pair[1], rng)));
            Value::Map(pairs.collect())
        }
        _ => Value::Int(i64::try_from(rng.below(6)).expect("small")),
    }
}

/// The value under a newer type: fields that came later are null, fields that went are gone.
pub(super) fn wider(value: &Value, data_type: &DataType) -> Value {
    match (value, data_type) {
        (Value::Struct(values), DataType::Struct(children)) => {
            let child = |child: &Arc<Field>| {
                let id = field_id(child).expect("an id");
                let value = values
                    .get(&id)
                    .map_or(Value::Null, |value| wider(value, child.data_type()));
                (id, value)
            };
            Value::Struct(children.iter().map(child).collect())
        }
        (Value::List(values), DataType::List(item)) => {
            Value::List(values.iter().map(|value| wider(value, item.data_type())).collect())
        }
        (value, _) => value.clone(),
    }
}

fn ints(values: &[Value]) -> impl Iterator<Item = Option<i64>> {
    values.iter().map(|value| match value {
        Value::Int(value) => Some(*value),
        _ => None,
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the values are small"
)]
pub(super) fn array(data_type: &DataType, values: &[Value]) -> ArrayRef {
    let valid = NullBuffer::from_iter(values.iter().map(|value| *value != Value::Null));
    match data_type {
        DataType::Int32 => Arc::new(ints(values).map(|v| v.map(|v| v as i32)).collect::<Int32Array>()),
        DataType::Int64 => Arc::new(ints(values).collect::<Int64Array>()),
        DataType::Float32 => Arc::new(
            ints(values)
                .map(|v| v.map(|v| v as f32 / 2.0))
                .collect::<Float32Array>(),
        ),
        DataType::Float64 => Arc::new(
            ints(values)
                .map(|v| v.map(|v| v as f64 / 2.0))
                .collect::<Float64Array>(),
        ),
        DataType::Date32 => Arc::new(ints(values).map(|v| v.map(|v| v as i32)).collect::<Date32Array>()),
        DataType::Decimal128(precision, scale) => {
            let array: Decimal128Array = ints(values).map(|v| v.map(i128::from)).collect();
            Arc::new(array.with_precision_and_scale(*precision, *scale).expect("a decimal"))
        }
        DataType::Timestamp(_, zone) => {
            let array: TimestampMicrosecondArray = ints(values).collect();
            Arc::new(array.with_timezone_opt(zone.clone()))
        }
        DataType::Utf8 => Arc::new(
            values
                .iter()
                .map(|value| match value {
                    Value::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect::<StringArray>(),
        ),
        DataType::Binary => Arc::new(
            values
                .iter()
                .map(|value| match value {
                    Value::Bytes(bytes) => Some(bytes.as_slice()),
                    _ => None,
                })
                .collect::<BinaryArray>(),
        ),
        DataType::Struct(children) => {
            let child = |child: &Arc<Field>| {
                let id = field_id(child).expect("an id");
                let values: Vec<Value> = values
                    .iter()
                    .map(|value| match value {
                        Value::Struct(values) => values[&id].clone(),
                        _ => Value::Null,
                    })
                    .collect();
                array(child.data_type(), &values)
            };
            let columns = children.iter().map(child).collect();
            Arc::new(StructArray::new(children.clone(), columns, Some(valid)))
        }
        DataType::List(item) => {
            let lists: Vec<&[Value]> = values
                .iter()
                .map(|value| match value {
                    Value::List(items) => items.as_slice(),
                    _ => &[],
                })
                .collect();
            let offsets = OffsetBuffer::from_lengths(lists.iter().map(|list| list.len()));
            let items = array(item.data_type(), &lists.concat());
            Arc::new(ListArray::new(item.clone(), offsets, items, Some(valid)))
        }
        DataType::Map(entries, sorted) => {
            let DataType::Struct(pair) = entries.data_type() else {
                panic!("entries of a map");
            };
            let maps: Vec<&[(Value, Value)]> = values
                .iter()
                .map(|value| match value {
                    Value::Map(pairs) => pairs.as_slice(),
                    _ => &[],
                })
                .collect();
            let offsets = OffsetBuffer::from_lengths(maps.iter().map(|map| map.len()));
            let (keys, items): (Vec<Value>, Vec<Value>) = maps.concat().into_iter().unzip();
            let columns = vec![array(pair[0].data_type(), &keys), array(pair[1].data_type(), &items)];
            let pairs = StructArray::new(pair.clone(), columns, None);
            Arc::new(MapArray::new(entries.clone(), offsets, pairs, Some(valid), *sorted))
        }
        other => panic!("no values of {other}"),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the values are small")]
pub(super) fn read(array: &ArrayRef, data_type: &DataType) -> Vec<Value> {
    let one = |row: usize| -> Value {
        match data_type {
            DataType::Int32 => Value::Int(i64::from(array.as_primitive::<Int32Type>().value(row))),
            DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
            DataType::Float32 => Value::Int((array.as_primitive::<Float32Type>().value(row) * 2.0) as i64),
            DataType::Float64 => Value::Int((array.as_primitive::<Float64Type>().value(row) * 2.0) as i64),
            DataType::Date32 => Value::Int(i64::from(array.as_primitive::<Date32Type>().value(row))),
            DataType::Decimal128(..) => Value::Int(array.as_primitive::<Decimal128Type>().value(row) as i64),
            DataType::Timestamp(..) => Value::Int(array.as_primitive::<TimestampMicrosecondType>().value(row)),
            DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).to_owned()),
            DataType::Binary => Value::Bytes(array.as_binary::<i32>().value(row).to_vec()),
            DataType::Struct(children) => {
                let parts = children.iter().zip(array.as_struct().columns());
                let part = |(child, column): (&Arc<Field>, &ArrayRef)| {
                    let value = read(&column.slice(row, 1), child.data_type()).remove(0);
                    (field_id(child).expect("an id"), value)
                };
                Value::Struct(parts.map(part).collect())
            }
            DataType::List(item) => Value::List(read(&array.as_list::<i32>().value(row), item.data_type())),
            DataType::Map(entries, _) => {
                let DataType::Struct(pair) = entries.data_type() else {
                    panic!("entries of a map");
                };
                let map = array.as_map().value(row);
                let keys = read(map.column(0), pair[0].data_type());
                let values = read(map.column(1), pair[1].data_type());
                Value::Map(keys.into_iter().zip(values).collect())
            }
            other => panic!("no values of {other}"),
        }
    };
    (0..array.len())
        .map(|row| if array.is_null(row) { Value::Null } else { one(row) })
        .collect()
}
