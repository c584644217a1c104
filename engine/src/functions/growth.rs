//! How much functions make of their arguments.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, LargeStringArray, UInt64Array};
use datafusion::arrow::compute::kernels::length::length;
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{
    DataType, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use super::bounded::BYTES_MAX;
use crate::sizes;

/// What the size of a result depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// A text as often as a number says.
    Repeated,
    /// A text as long as a number says.
    Padded,
    /// A value as often as a number says.
    Filled,
    /// All values from one to another.
    Between,
    /// A text in which each place of a second one becomes a third.
    Replaced,
    /// The same, for places that match an expression; the third may name what was found.
    Matched,
    /// A pattern that is gone through for each row.
    Pattern,
    /// A pattern whose numbers are widths, and whose places are arguments, some of them more than once.
    Widths,
    /// The values of a list, with a text between each two of them.
    Strung,
    /// All arguments together.
    Joined,
    /// The same, with the first between each two of the others.
    Separated,
    /// Work that is the product of two lengths.
    Compared,
}

/// The functions that can make much of little, or work long on little, by name.
pub(super) const KNOWN: &[(&str, Growth)] = &[
    ("repeat", Growth::Repeated),
    ("lpad", Growth::Padded),
    ("rpad", Growth::Padded),
    ("array_repeat", Growth::Filled),
    ("array_resize", Growth::Filled),
    ("range", Growth::Between),
    ("generate_series", Growth::Between),
    ("replace", Growth::Replaced),
    ("regexp_replace", Growth::Matched),
    ("pg_regexp_replace", Growth::Matched),
    ("to_char", Growth::Pattern),
    ("pg_to_char", Growth::Pattern),
    ("format", Growth::Widths),
    ("array_to_string", Growth::Strung),
    ("pg_array_to_string", Growth::Strung),
    ("pg_string_agg", Growth::Strung),
    ("concat", Growth::Joined),
    ("concat_ws", Growth::Separated),
    (super::text_concat::NAME, Growth::Joined),
    ("array_concat", Growth::Joined),
    ("array_append", Growth::Joined),
    ("array_prepend", Growth::Joined),
    ("overlay", Growth::Joined),
    ("levenshtein", Growth::Compared),
];

/// Longest pattern.
const PATTERN_BYTES_MAX: u64 = 4 << 10;

/// What was found is named once for each of its groups; only what is named beyond counts.
const NAMED_MAX: u64 = 9;

/// Steps of a comparison that cost as much as a byte.
const STEPS_A_BYTE: u64 = 8;

impl Growth {
    /// The arguments as the function takes them: to pad a column to less than nothing makes DataFusion 55.2 panic, and it puts elements to
    /// what lies beneath a list that is null.
    pub(super) fn settled(self, mut args: ScalarFunctionArgs) -> Result<ScalarFunctionArgs> {
        if self == Self::Padded
            && let Some(length) = args.args.get_mut(1)
            && let ColumnarValue::Array(lengths) = length
            && let Some(given) = lengths.as_primitive_opt::<Int64Type>()
        {
            let settled: Int64Array = given.unary(|length| length.max(0));
            *length = ColumnarValue::Array(Arc::new(settled));
        }
        if matches!(self, Self::Joined | Self::Separated) {
            for value in &mut args.args {
                if let ColumnarValue::Array(array) = value
                    && matches!(array.data_type(), DataType::List(_) | DataType::LargeList(_))
                    && array.null_count() > 0
                {
                    *array = without_hidden(array)?;
                }
            }
        }
        Ok(args)
    }

    /// Bytes that the function would make of these, for all rows; where it is not known exactly, rather too many.
    pub(super) fn bytes(self, args: &ScalarFunctionArgs) -> Result<u64> {
        let rows = args.number_rows;
        match (self, args.args.as_slice()) {
            (Self::Repeated, [text, times, ..]) => {
                let (lengths, times) = (lengths(text)?, numbers(times)?);
                Ok(sum(rows, |row| lengths.at(row).saturating_mul(times.at(row))))
            }
            (Self::Padded, [_, length, ..]) => {
                let length = numbers(length)?;
                Ok(sum(rows, |row| length.at(row)))
            }
            (Self::Filled, [value, count, ..]) => {
                let (count, width) = (numbers(count)?, width(value));
                Ok(sum(rows, |row| count.at(row).saturating_mul(width)))
            }
            (Self::Between, arguments) => between(arguments, rows),
            (Self::Replaced, [text, from, to]) => replaced(text, from, to, rows),
            (Self::Matched, [text, _, by]) => {
                let named = marks(by, &['\\', '$'])?;
                let (lengths, by) = (lengths(text)?, lengths(by)?);
                let times = |row| named.at(row).saturating_sub(NAMED_MAX).saturating_add(1);
                let most = |row| lengths.at(row).saturating_mul(times(row));
                Ok(sum(rows, |row| most(row).saturating_add(by.at(row))))
            }
            // With flags, which may say that all places are meant.
            (Self::Matched, [text, _, by, ..]) => {
                let (lengths, by) = (lengths(text)?, lengths(by)?);
                let most = |row| (lengths.at(row).saturating_add(1)).saturating_mul(by.at(row));
                // Each byte may be a match; most are not.
                Ok(sum(rows, most) / 8)
            }
            (Self::Pattern, [_, pattern, ..]) => match lengths(pattern)?.longest() > PATTERN_BYTES_MAX {
                true => Ok(u64::MAX),
                false => Ok(0),
            },
            (Self::Widths, [pattern, arguments @ ..]) => {
                let (widths, places) = (widths(pattern)?, marks(pattern, &['%'])?);
                let parts: Vec<Numbers> = arguments.iter().map(lengths).collect::<Result<_>>()?;
                let once = u64::try_from(parts.len()).unwrap_or(u64::MAX);
                // Each argument stands somewhere, and the longest in all places that are left.
                Ok(sum(rows, |row| {
                    let lengths = || parts.iter().map(|part| part.at(row));
                    let left = places.at(row).saturating_sub(once);
                    let left = left.saturating_mul(lengths().max().unwrap_or(0));
                    lengths().fold(widths, u64::saturating_add).saturating_add(left)
                }))
            }
            (Self::Strung, [lists, between, missing @ ..]) => {
                let (items, between) = (items(lists)?, lengths(between)?);
                let missing: Vec<Numbers> = missing.iter().map(lengths).collect::<Result<_>>()?;
                Ok(sum(rows, |row| {
                    let each = missing.iter().map(|missing| missing.at(row));
                    let each = each.fold(between.at(row), u64::saturating_add);
                    items.at(row).saturating_mul(each)
                }))
            }
            (Self::Joined, arguments) => {
                let parts: Vec<Numbers> = arguments.iter().map(lengths).collect::<Result<_>>()?;
                Ok(sum(rows, |row| parts.iter().map(|part| part.at(row)).sum()))
            }
            (Self::Separated, [between, arguments @ ..]) => {
                let between = lengths(between)?;
                let parts: Vec<Numbers> = arguments.iter().map(lengths).collect::<Result<_>>()?;
                let times = u64::try_from(parts.len()).unwrap_or(u64::MAX);
                Ok(sum(rows, |row| {
                    let between = between.at(row).saturating_mul(times);
                    parts.iter().map(|part| part.at(row)).fold(between, u64::saturating_add)
                }))
            }
            (Self::Compared, [first, second]) => {
                let (first, second) = (lengths(first)?, lengths(second)?);
                Ok(sum(rows, |row| first.at(row).saturating_mul(second.at(row))) / STEPS_A_BYTE)
            }
            // The function says what is wrong with its arguments.
            _ => Ok(0),
        }
    }
}

/// The same lists, with nothing beneath those that are null.
fn without_hidden(lists: &ArrayRef) -> Result<ArrayRef> {
    let rows: UInt64Array = (0..lists.len()).map(|row| u64::try_from(row).ok()).collect();
    Ok(take(lists, &rows, None)?)
}

fn sum(rows: usize, of: impl Fn(usize) -> u64) -> u64 {
    (0..rows).fold(0, |sum, row| sum.saturating_add(of(row)))
}

/// A number for each row, or one for all.
enum Numbers {
    One(u64),
    Each(Vec<u64>),
}

impl Numbers {
    fn at(&self, row: usize) -> u64 {
        match self {
            Self::One(number) => *number,
            Self::Each(numbers) => numbers.get(row).copied().unwrap_or(0),
        }
    }

    fn longest(&self) -> u64 {
        match self {
            Self::One(number) => *number,
            Self::Each(numbers) => numbers.iter().copied().max().unwrap_or(0),
        }
    }
}

/// One row of a constant, all rows of what is none.
fn array(value: &ColumnarValue) -> Result<ArrayRef> {
    match value {
        ColumnarValue::Array(array) => Ok(array.clone()),
        ColumnarValue::Scalar(scalar) => scalar.to_array_of_size(1),
    }
}

/// As numbers, those below 0 as 0.
fn counted(value: &ColumnarValue, counts: &ArrayRef) -> Numbers {
    let counts = counts.as_primitive::<Int64Type>();
    let of = |count: Option<i64>| u64::try_from(count.unwrap_or(0)).unwrap_or(0);
    match value {
        ColumnarValue::Scalar(_) => Numbers::One(of(counts.iter().next().flatten())),
        ColumnarValue::Array(_) => Numbers::Each(counts.iter().map(of).collect()),
    }
}

fn numbers(value: &ColumnarValue) -> Result<Numbers> {
    let array = array(value)?;
    if !array.data_type().is_integer() {
        return Ok(Numbers::One(0));
    }
    Ok(counted(value, &cast(&array, &DataType::Int64)?))
}

/// Bytes of texts; of other values what they take on average.
fn lengths(value: &ColumnarValue) -> Result<Numbers> {
    let array = array(value)?;
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Binary | DataType::LargeBinary => {
            Ok(counted(value, &cast(&length(&array)?, &DataType::Int64)?))
        }
        _ => Ok(Numbers::One(width(value))),
    }
}

/// Bytes of one value, on average.
fn width(value: &ColumnarValue) -> u64 {
    let (bytes, rows) = match value {
        ColumnarValue::Array(array) => (sizes::of_array(array), array.len()),
        ColumnarValue::Scalar(scalar) => (scalar.size(), 1),
    };
    u64::try_from(bytes / rows.max(1)).unwrap_or(u64::MAX).max(8)
}

/// How often one of these letters stands in a text.
fn marks(value: &ColumnarValue, letters: &[char]) -> Result<Numbers> {
    let texts = cast(&array(value)?, &DataType::LargeUtf8)?;
    let of = |text: Option<&str>| {
        let count = text.map_or(0, |text| text.matches(letters).count());
        u64::try_from(count).unwrap_or(u64::MAX)
    };
    let mut counts = texts.as_string::<i64>().iter().map(of);
    Ok(match value {
        ColumnarValue::Scalar(_) => Numbers::One(counts.next().unwrap_or(0)),
        ColumnarValue::Array(_) => Numbers::Each(counts.collect()),
    })
}

/// How many values a list has, those of lists within it among them.
fn items(value: &ColumnarValue) -> Result<Numbers> {
    let lists = array(value)?;
    Ok(match value {
        ColumnarValue::Scalar(_) => Numbers::One(within(&lists, 0)),
        ColumnarValue::Array(_) => Numbers::Each((0..lists.len()).map(|row| within(&lists, row)).collect()),
    })
}

fn within(lists: &ArrayRef, row: usize) -> u64 {
    if lists.is_null(row) {
        return 0;
    }
    let items = match lists.data_type() {
        DataType::List(_) => lists.as_list::<i32>().value(row),
        DataType::LargeList(_) => lists.as_list::<i64>().value(row),
        DataType::FixedSizeList(..) => lists.as_fixed_size_list().value(row),
        _ => return 1,
    };
    match items.data_type().is_list() {
        true => (0..items.len()).fold(0, |sum, at| sum.saturating_add(within(&items, at))),
        false => u64::try_from(items.len()).unwrap_or(u64::MAX),
    }
}

/// Bytes of all values between the first and the second, by the step of the third.
fn between(arguments: &[ColumnarValue], rows: usize) -> Result<u64> {
    let (start, stop, step) = match arguments {
        [stop] => (Some(vec![Some(0)]), places(stop)?, Some(vec![Some(1)])),
        [start, stop] => (places(start)?, places(stop)?, Some(vec![Some(1)])),
        [start, stop, step] => (places(start)?, places(stop)?, places(step)?),
        _ => return Ok(0),
    };
    let (Some(start), Some(stop), Some(step)) = (start, stop, step) else {
        return Ok(0);
    };
    let at = |of: &[Option<i128>], row: usize| match of {
        [one] => *one,
        each => each.get(row).copied().flatten(),
    };
    // Between nulls there is nothing.
    let count = |row: usize| {
        let way = at(&stop, row)? - at(&start, row)?;
        let count = way.checked_div(at(&step, row)?)?.max(0);
        Some(u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(8))
    };
    Ok(sum(rows, |row| count(row).unwrap_or(0)))
}

/// Whole numbers as they are; moments and spans in nanoseconds. None for what is none of them.
fn places(value: &ColumnarValue) -> Result<Option<Vec<Option<i128>>>> {
    let array = array(value)?;
    let nanoseconds: i128 = match array.data_type() {
        integer if integer.is_integer() => 1,
        DataType::Date32 => DAY,
        DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let spans = array.as_primitive::<IntervalMonthDayNanoType>().iter();
            return Ok(Some(spans.map(|value| value.map(span)).collect()));
        }
        _ => return Ok(None),
    };
    let numbers = cast(&array, &DataType::Int64)?;
    let numbers = numbers.as_primitive::<Int64Type>().iter();
    Ok(Some(
        numbers.map(|number| Some(i128::from(number?) * nanoseconds)).collect(),
    ))
}

/// Nanoseconds.
const DAY: i128 = 86_400_000_000_000;

/// With months as short as they can be.
fn span(value: IntervalMonthDayNano) -> i128 {
    (i128::from(value.months) * 28 + i128::from(value.days)) * DAY + i128::from(value.nanoseconds)
}

/// Reckoned roughly first: places are counted only where they could be too many.
fn replaced(text: &ColumnarValue, from: &ColumnarValue, to: &ColumnarValue, rows: usize) -> Result<u64> {
    let (length, of_from, of_to) = (lengths(text)?, lengths(from)?, lengths(to)?);
    let with = |row: usize, places: u64| length.at(row).saturating_add(places.saturating_mul(of_to.at(row)));
    let most = sum(rows, |row| with(row, length.at(row) / of_from.at(row).max(1) + 1));
    if most <= BYTES_MAX {
        return Ok(most);
    }
    let texts = |value: &ColumnarValue| cast(&array(value)?, &DataType::LargeUtf8).map_err(Into::into);
    let (text, from): (Result<ArrayRef>, Result<ArrayRef>) = (texts(text), texts(from));
    let (text, from) = (text?, from?);
    let (text, from) = (text.as_string::<i64>(), from.as_string::<i64>());
    let places = |row| match (at(text, row), at(from, row)) {
        (Some(text), Some(from)) => u64::try_from(text.matches(from).count()).unwrap_or(u64::MAX),
        _ => 0,
    };
    Ok(sum(rows, |row| with(row, places(row))))
}

/// The text of a row, or the one of all rows.
fn at(texts: &LargeStringArray, row: usize) -> Option<&str> {
    let row = if texts.len() == 1 { 0 } else { row };
    texts.is_valid(row).then(|| texts.value(row))
}

/// The widths in a pattern together, of that one where they are most: the numbers behind `%`, but for those that name an argument.
fn widths(pattern: &ColumnarValue) -> Result<u64> {
    let patterns = cast(&array(pattern)?, &DataType::LargeUtf8)?;
    let width = |place: &str| -> Option<u64> {
        let end = place.find(|letter: char| !(letter.is_ascii_digit() || matches!(letter, '$' | '-')))?;
        let digits = place.get(..end)?;
        let digits = digits.rsplit_once(['$', '-']).map_or(digits, |(_, digits)| digits);
        (!digits.is_empty()).then(|| digits.parse().unwrap_or(u64::MAX))
    };
    let of = |text: &str| {
        let places = text.split('%').skip(1);
        places.filter_map(width).fold(0, u64::saturating_add)
    };
    Ok(patterns.as_string::<i64>().iter().flatten().map(of).max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use tidewater_core::Coded;

    use crate::testing::Lake;

    // Goal: what would make too much is refused before it is made, with its code, and what is near it is made. Method: each
    // function, with values and with constants.
    #[tokio::test]
    async fn much_of_little_is_refused() {
        let lake = Lake::new();
        for sql in [
            "SELECT length(repeat('x', 1000000000))",
            "SELECT length(repeat('x', value)) FROM range(268435457, 268435458)",
            "SELECT length(lpad('x', 2000000000))",
            "SELECT length(rpad('x', 2000000000, 'yz'))",
            "SELECT array_repeat(1, 1000000000)",
            "SELECT array_resize([1], 1000000000, 0)",
            "SELECT range(0, 100000000000)",
            "SELECT generate_series(9223372036854775807, -9223372036854775807, -1)",
            "SELECT generate_series(timestamp '2000-01-01', timestamp '2100-01-01', interval '1 millisecond')",
            "SELECT length(replace(repeat('a', 100000), 'a', repeat('b', 100000)))",
            "SELECT length(regexp_replace(repeat('a', 1000000), 'a', repeat('b', 100000), 'g'))",
            "SELECT length(regexp_replace(repeat('a', 1000000), 'a*', repeat('$0', 100000)))",
            "SELECT to_char(now(), repeat('%Y', 10000))",
            "SELECT format('%1000000000s', 'x')",
            "SELECT length(format(repeat('%1$s', 100000), repeat('a', 1000000)))",
            "SELECT length(array_to_string(range(0, 1000000), repeat('x', 1000000)))",
            "SELECT length(concat_ws(repeat('x', 20000000), 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p'))",
            "SELECT levenshtein(repeat('a', 100000), repeat('b', 100000))",
            "WITH a AS (SELECT repeat('x', 100000000) AS s), b AS (SELECT concat(s, s) AS s FROM a) SELECT concat(s, s) FROM b",
        ] {
            let refused = lake.refused(sql).await;
            assert_eq!(refused.code(), "ENG-0021", "{sql}: {refused}");
        }
        for (sql, answer) in [
            ("SELECT length(repeat('x', 1000000))", "1000000"),
            ("SELECT repeat('ab', -1) || lpad('x', 3, 'y')", "yyx"),
            (
                "SELECT max(lpad('ab', value, 'x')) || max(rpad('ab', value, 'x')) FROM range(-3, 2)",
                "aa",
            ),
            ("SELECT sum(length(repeat('x', value))) FROM range(0, 100)", "4950"),
            ("SELECT length(replace('a,b', ',', ' and '))", "7"),
            ("SELECT levenshtein('kitten', 'sitting')", "3"),
            ("SELECT array_to_string([[1, 2], [3]], ', ')", "1, 2, 3"),
            ("SELECT length(array_to_string(range(0, 100000), ', '))", "688888"),
            (
                "SELECT regexp_replace(repeat('a', 5000000), '(a)(a)', '\\2\\1') LIKE 'aa%'",
                "true",
            ),
            ("SELECT length(format('%1$s%1$s', repeat('a', 5000000)))", "10000000"),
            ("SELECT array_length(range(0, 1000000))", "1000000"),
            ("SELECT concat('a', NULL, 'b', 1)", "ab1"),
            ("SELECT concat_ws(', ', 'a', NULL, 'b')", "a, b"),
            ("SELECT repeat(NULL, 3) IS NULL", "true"),
            (
                "SELECT sum(length(format('ICD-1000000/%s', value))) FROM range(0, 5000)",
                "78890",
            ),
            (
                "SELECT count(generate_series(CAST(NULL AS TIMESTAMP), TIMESTAMP '2026-01-01', INTERVAL '1 second')) FROM range(0, 5000)",
                "0",
            ),
            (
                "SELECT regexp_replace(repeat('a', 1000000), 'a', repeat('b', 100000)) LIKE 'b%'",
                "true",
            ),
            (
                "SELECT sum(array_length(array_append(array_repeat(value, 10), 1))) FROM (SELECT value FROM range(0, 200000) GROUP BY value)",
                "2200000",
            ),
        ] {
            assert_eq!(lake.lines(sql).await, [answer], "{sql}");
        }
    }
}
