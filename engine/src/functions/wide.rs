//! Decimals of 256 bits on their way to other numbers. Of one that is too large Arrow 59.3 makes a whole number of the lowest bits, and
//! where a type says that all of its values fit in fewer bytes it panics at one that does not, also behind a null.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType};
use datafusion::arrow::util::display::FormatOptions;
use datafusion::common::Result;

/// The types through which values of a type get to another one so that each that counts is looked at; none where a cast does so at once.
pub(crate) fn steps(of: &DataType, to: &DataType) -> Vec<DataType> {
    if !matches!(of, DataType::Decimal256(..)) {
        return Vec::new();
    }
    let widest = |scale| DataType::Decimal256(DECIMAL256_MAX_PRECISION, scale);
    let mut steps = match to {
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => {
            vec![widest(*scale)]
        }
        // A cast to fewer digits rounds away from zero.
        to if to.is_integer() => vec![widest(0), DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0)],
        _ => Vec::new(),
    };
    steps.retain(|step| step != of);
    steps
}

/// The values in another type. What does not fit is an error.
pub(crate) fn strictly(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let options = CastOptions {
        safe: false,
        format_options: FormatOptions::default(),
    };
    let mut found = Arc::clone(values);
    for step in steps(values.data_type(), to).iter().chain([to]) {
        found = cast_with_options(&found, step, &options)?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Decimal128Array, Decimal256Array, Int32Array, Int64Array};
    use datafusion::arrow::datatypes::i256;

    use super::*;

    fn decimals(values: Vec<i256>, valid: Vec<bool>, digits: u8, scale: i8) -> ArrayRef {
        let decimals = Decimal256Array::new(values.into(), Some(valid.into()));
        Arc::new(decimals.with_precision_and_scale(digits, scale).expect("decimals"))
    }

    // Goal: a wide decimal becomes the number that it is, or none. Method: numbers of both signs at the ends of the types, and beyond them
    // those whose lowest bits are another number; behind a null what has no place anywhere, in types that say that all fits.
    #[test]
    fn no_bits_are_lost() {
        let one = |value| decimals(vec![value], vec![true], 76, 0);
        for (value, wanted) in [
            (i256::from_i128(i64::MAX.into()), Some(i64::MAX)),
            (i256::from_i128(i64::MIN.into()), Some(i64::MIN)),
            (i256::from_i128(1 << 64), None),
            (i256::from_i128(-(1 << 64)), None),
            (i256::from_i128(i128::from(i64::MAX) + 1), None),
            (i256::from_parts(7, 1), None),
            (i256::from_i128(10_i128.pow(38)), None),
        ] {
            let found = strictly(&one(value), &DataType::Int64).ok();
            let wanted = wanted.map(|wanted| Arc::new(Int64Array::from(vec![wanted])) as ArrayRef);
            assert_eq!(found, wanted, "{value}");
        }
        assert!(strictly(&one(i256::from_i128(1 << 32)), &DataType::Int32).is_err());

        let hidden = |digits, scale| decimals(vec![i256::from_i128(-25), i256::MAX], vec![true, false], digits, scale);
        let rounded: ArrayRef = Arc::new(Int32Array::from(vec![Some(-3), None]));
        assert_eq!(&strictly(&hidden(12, 1), &DataType::Int32).expect("numbers"), &rounded);
        let narrow = Decimal128Array::from(vec![Some(-250), None]);
        let narrow: ArrayRef = Arc::new(narrow.with_precision_and_scale(20, 2).expect("decimals"));
        assert_eq!(
            &strictly(&hidden(12, 1), &DataType::Decimal128(20, 2)).expect("decimals"),
            &narrow
        );
    }
}
