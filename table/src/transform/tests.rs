use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Int32Array, Int64Array,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Decimal128Type, Int32Type, Int64Type};
use iceberg::transform::create_transform_function;
use proptest::prelude::*;

use super::*;

const DECIMAL: PrimitiveType = PrimitiveType::Decimal {
    precision: 38,
    scale: 4,
};

/// The value as both a datum and a column of one row. Times stay within what the format library can compute.
fn values() -> impl Strategy<Value = (Datum, ArrayRef)> {
    fn pair(datum: Datum, array: impl Array + 'static) -> (Datum, ArrayRef) {
        (datum, Arc::new(array))
    }
    let decimal = -(10i128.pow(37))..10i128.pow(37);
    prop_oneof![
        any::<i32>().prop_map(|v| pair(Datum::int(v), Int32Array::from(vec![v]))),
        any::<i64>().prop_map(|v| pair(Datum::long(v), Int64Array::from(vec![v]))),
        (-90_000_000i32..90_000_000).prop_map(|v| pair(Datum::date(v), Date32Array::from(vec![v]))),
        (-4_000_000_000_000_000i64..4_000_000_000_000_000)
            .prop_map(|v| pair(Datum::timestamp_micros(v), TimestampMicrosecondArray::from(vec![v]))),
        prop_oneof![decimal, -300i128..300].prop_map(|v| {
            let array = Decimal128Array::from(vec![v]).with_precision_and_scale(38, 4).unwrap();
            pair(Datum::try_from_bytes(&v.to_be_bytes(), DECIMAL).unwrap(), array)
        }),
        ".{0,12}".prop_map(|v: String| pair(Datum::string(&v), StringArray::from(vec![v.as_str()]))),
        proptest::collection::vec(any::<u8>(), 0..24)
            .prop_map(|v| pair(Datum::binary(v.clone()), BinaryArray::from(vec![v.as_slice()]))),
        any::<u128>().prop_map(|v| {
            let array = FixedSizeBinaryArray::try_from_iter([v.to_be_bytes()].into_iter()).unwrap();
            pair(Datum::uuid(uuid::Uuid::from_u128(v)), array)
        }),
    ]
}

fn transforms() -> impl Strategy<Value = Transform> {
    prop_oneof![
        Just(Transform::Identity),
        (1u32..5000).prop_map(Transform::Bucket),
        (1u32..5000).prop_map(Transform::Truncate),
        Just(Transform::Year),
        Just(Transform::Month),
        Just(Transform::Day),
        Just(Transform::Hour),
    ]
}

fn first(array: &ArrayRef, like: &Datum) -> Datum {
    match (like.data_type(), like.literal()) {
        (_, PrimitiveLiteral::Int(_)) => match array.as_primitive_opt::<Int32Type>() {
            Some(ints) => Datum::int(ints.value(0)),
            None => Datum::date(array.as_primitive::<arrow::datatypes::Date32Type>().value(0)),
        },
        (PrimitiveType::Long, _) => Datum::long(array.as_primitive::<Int64Type>().value(0)),
        (PrimitiveType::Timestamp, _) => Datum::timestamp_micros(
            array
                .as_primitive::<arrow::datatypes::TimestampMicrosecondType>()
                .value(0),
        ),
        (PrimitiveType::Decimal { .. }, _) => {
            let unscaled = array.as_primitive::<Decimal128Type>().value(0);
            Datum::try_from_bytes(&unscaled.to_be_bytes(), DECIMAL).unwrap()
        }
        (PrimitiveType::String, _) => Datum::string(array.as_string::<i32>().value(0)),
        (PrimitiveType::Binary, _) => Datum::binary(array.as_binary::<i32>().value(0).to_vec()),
        (PrimitiveType::Uuid, _) => Datum::uuid(uuid::Uuid::from_slice(array.as_fixed_size_binary().value(0)).unwrap()),
        other => panic!("no such value: {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3000,
        max_global_rejects: 30_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    // Goal: our transforms are Iceberg's, of values and of columns. Method: the format library's transforms of single values.
    #[test]
    fn transforms_are_those_of_iceberg((datum, array) in values(), transform in transforms()) {
        // The format library transforms values of types that the specification does not take.
        let kind = iceberg::spec::Type::Primitive(datum.data_type().clone());
        prop_assume!(transform.result_type(&kind).is_ok());
        prop_assume!(!(transform == Transform::Hour && *datum.data_type() == PrimitiveType::Date));
        // It truncates columns of binary, but no single value.
        let binary = *datum.data_type() == PrimitiveType::Binary;
        prop_assume!(!(binary && matches!(transform, Transform::Truncate(_))));
        let theirs = match datum.data_type() {
            // The width goes through 32 bits there, and overflows close to the smallest number.
            PrimitiveType::Int | PrimitiveType::Long if matches!(transform, Transform::Truncate(_)) => {
                let far = matches!(datum.literal(), PrimitiveLiteral::Int(v) if *v > i32::MIN + 5000)
                    || matches!(datum.literal(), PrimitiveLiteral::Long(v) if *v > i64::MIN + 5000);
                prop_assume!(far);
                create_transform_function(&transform).unwrap().transform_literal(&datum)
            }
            _ => create_transform_function(&transform).unwrap().transform_literal(&datum),
        };
        let ours = transform_value(transform, &datum);
        let theirs = theirs.ok().flatten();
        prop_assert_eq!(ours.as_ref().map(Datum::literal), theirs.as_ref().map(Datum::literal));
        match (transform_array(transform, &array), ours) {
            (Ok(column), Some(ours)) => {
                let column = first(&column, &ours);
                prop_assert_eq!(column.literal(), ours.literal());
            }
            (Err(_), None) => {}
            (column, ours) => prop_assert!(false, "{column:?} and {ours:?}"),
        }
    }

    // Goal: no value makes a transform panic, and order is kept where pruning relies on it. Method: any two moments.
    #[test]
    fn times_keep_their_order(a in any::<i64>(), b in any::<i64>(), day in any::<i32>()) {
        let (low, high) = (a.min(b), a.max(b));
        for transform in [Transform::Year, Transform::Month, Transform::Day, Transform::Hour] {
            let of = |micros| transform_value(transform, &Datum::timestamp_micros(micros)).unwrap();
            prop_assert!(of(low) <= of(high));
        }
        prop_assert!(transform_value(Transform::Month, &Datum::date(day)).is_some());
        prop_assert!(transform_value(Transform::Hour, &Datum::date(day)).is_none());
    }
}

// Goal: the hash is the specification's. Method: the examples of its appendix B.
#[test]
fn hashes_are_those_of_the_specification() {
    let hash = |datum: Datum| transform_value(Transform::Bucket(u32::MAX >> 1), &datum).unwrap();
    let of = |hash: i64| ((hash & i64::from(i32::MAX)) % i64::from(u32::MAX >> 1)) as i32;
    assert_eq!(hash(Datum::int(34)), Datum::int(of(2_017_239_379)));
    assert_eq!(hash(Datum::long(34)), Datum::int(of(2_017_239_379)));
    assert_eq!(hash(Datum::string("iceberg")), Datum::int(of(1_210_000_089)));
    assert_eq!(hash(Datum::binary([0u8, 1, 2, 3])), Datum::int(of(-188_683_207)));
    assert_eq!(hash(Datum::date(17_486)), Datum::int(of(-653_330_422)));
    let uuid = uuid::Uuid::parse_str("f79c3e09-677c-4bbd-a479-3f349cb785e7").unwrap();
    assert_eq!(hash(Datum::uuid(uuid)), Datum::int(of(1_488_055_340)));
    let decimal = Datum::try_from_bytes(&1420i128.to_be_bytes(), DECIMAL).unwrap();
    assert_eq!(hash(decimal), Datum::int(of(-500_754_589)));
}

// Goal: a field within a struct is null where the struct is, whatever lies beneath. Method: a struct of which one is null, by hand; a
// field that it does not have.
#[test]
fn fields_of_null_structs_are_null() {
    let fields = arrow::datatypes::Fields::from(vec![arrow::datatypes::Field::new("n", DataType::Int64, true)]);
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![7, 8, 9]));
    let nulls = arrow::buffer::NullBuffer::from(vec![true, false, true]);
    let outer: ArrayRef = Arc::new(arrow::array::StructArray::new(fields, vec![inner], Some(nulls)));
    let found = transformed(Transform::Truncate(5), &outer, &["n"]).unwrap();
    let found: Vec<_> = found.as_primitive::<Int64Type>().iter().collect();
    assert_eq!(found, [Some(5), None, Some(5)]);
    assert!(transformed(Transform::Identity, &outer, &["m"]).is_err());
    assert!(transformed(Transform::Identity, &outer.slice(0, 0), &["n", "o"]).is_err());
}
