//! What is known of the values of a column in a file or a manifest, and whether a condition may hold among them.

use std::cmp::Ordering;

use iceberg::spec::{Datum, PrimitiveLiteral, PrimitiveType};

use super::{Comparison, Leaf};

/// A value that compares with others of its family, whatever width they were stored with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Boolean(bool),
    Whole(i64),
    Float(f64),
    Date(i32),
    Time(i64),
    Micros(i64),
    Nanos(i64),
    Decimal { unscaled: i128, scale: u32 },
    Text(String),
    Bytes(Vec<u8>),
    Uuid(u128),
}

impl Value {
    pub(crate) fn of(value: &Datum) -> Option<Self> {
        Self::from_literal(value.literal(), value.data_type())
    }

    /// `None` for what has no place in the order.
    pub(crate) fn from_literal(literal: &PrimitiveLiteral, kind: &PrimitiveType) -> Option<Self> {
        Some(match (literal, kind) {
            (PrimitiveLiteral::Boolean(value), _) => Self::Boolean(*value),
            (PrimitiveLiteral::Int(value), PrimitiveType::Date) => Self::Date(*value),
            (PrimitiveLiteral::Int(value), _) => Self::Whole(i64::from(*value)),
            (PrimitiveLiteral::Long(value), PrimitiveType::Time) => Self::Time(*value),
            (PrimitiveLiteral::Long(value), PrimitiveType::Timestamp | PrimitiveType::Timestamptz) => {
                Self::Micros(*value)
            }
            (PrimitiveLiteral::Long(value), PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs) => {
                Self::Nanos(*value)
            }
            (PrimitiveLiteral::Long(value), _) => Self::Whole(*value),
            (PrimitiveLiteral::Float(value), _) => Self::Float(f64::from(value.0)),
            (PrimitiveLiteral::Double(value), _) => Self::Float(value.0),
            (PrimitiveLiteral::Int128(unscaled), PrimitiveType::Decimal { scale, .. }) => Self::Decimal {
                unscaled: *unscaled,
                scale: *scale,
            },
            (PrimitiveLiteral::String(value), _) => Self::Text(value.clone()),
            (PrimitiveLiteral::Binary(value), _) => Self::Bytes(value.clone()),
            (PrimitiveLiteral::UInt128(value), _) => Self::Uuid(*value),
            _ => return None,
        })
    }

    fn is_nan(&self) -> bool {
        matches!(self, Self::Float(value) if value.is_nan())
    }

    /// `None` if the values are of different families, or one is NaN.
    fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Boolean(a), Self::Boolean(b)) => Some(a.cmp(b)),
            (Self::Whole(a), Self::Whole(b)) | (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            (Self::Micros(a), Self::Micros(b)) | (Self::Nanos(a), Self::Nanos(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Date(a), Self::Date(b)) => Some(a.cmp(b)),
            (
                Self::Decimal { unscaled: a, scale },
                Self::Decimal {
                    unscaled: b,
                    scale: same,
                },
            ) if scale == same => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(b)),
            (Self::Uuid(a), Self::Uuid(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// Bounds that files of others tell, if they bound anything: none where the lower is above the upper, as writers that compare decimals byte
/// by byte have them, nor of UUIDs. Their order is that of unsigned bytes in Parquet and of two signed numbers in Java, and bounds of both
/// are merged into some that hold for neither.
pub(crate) fn trusted(lower: Option<Value>, upper: Option<Value>) -> (Option<Value>, Option<Value>) {
    let has_no_order = [&lower, &upper]
        .into_iter()
        .any(|bound| matches!(bound, Some(Value::Uuid(_))));
    let order = lower
        .as_ref()
        .zip(upper.as_ref())
        .and_then(|(lower, upper)| lower.order(upper));
    match has_no_order || order == Some(Ordering::Greater) {
        true => (None, None),
        false => (lower, upper),
    }
}

/// What is known. Everything that is not known is possible.
#[derive(Debug, Clone)]
pub(crate) struct Range {
    /// No value is below it.
    pub(crate) lower: Option<Value>,
    /// No value is above it.
    pub(crate) upper: Option<Value>,
    pub(crate) may_be_null: bool,
    pub(crate) may_be_value: bool,
    /// NaN lies outside the bounds, and engines put it above everything.
    pub(crate) may_be_nan: bool,
    /// Known to be a single value, or null.
    pub(crate) is_one: bool,
}

impl Range {
    /// Of exactly this value; `None` is null.
    pub(crate) fn exactly(value: Option<Value>) -> Self {
        let nan = value.as_ref().is_some_and(Value::is_nan);
        let bound = value.clone().filter(|_| !nan);
        Self {
            may_be_null: value.is_none(),
            may_be_value: value.is_some(),
            may_be_nan: nan,
            is_one: true,
            lower: bound.clone(),
            upper: bound,
        }
    }

    /// May the condition hold for a value of this range?
    pub(crate) fn may(&self, leaf: &Leaf) -> bool {
        match leaf {
            Leaf::IsNull => self.may_be_null,
            Leaf::NotNull => self.may_be_value,
            // Nothing but null compares with nothing.
            _ if !self.may_be_value => false,
            Leaf::IsNan => self.may_be_nan,
            Leaf::NotNan => !self.only_nan(),
            Leaf::Compare(comparison, value) => match Value::of(value) {
                Some(value) => self.may_compare(*comparison, &value),
                None => true,
            },
            Leaf::In(values) => values.iter().any(|value| match Value::of(value) {
                Some(value) => self.may_compare(Comparison::Equal, &value),
                None => true,
            }),
            Leaf::NotIn(values) => values.iter().all(|value| match Value::of(value) {
                Some(value) => self.may_compare(Comparison::NotEqual, &value),
                None => true,
            }),
        }
    }

    /// Exactly one value, and that is NaN.
    fn only_nan(&self) -> bool {
        self.is_one && self.may_be_nan
    }

    fn may_compare(&self, comparison: Comparison, value: &Value) -> bool {
        if value.is_nan() {
            return true;
        }
        let lower = self.lower.as_ref().and_then(|lower| lower.order(value));
        let upper = self.upper.as_ref().and_then(|upper| upper.order(value));
        match comparison {
            Comparison::Less => lower != Some(Ordering::Greater) && lower != Some(Ordering::Equal),
            Comparison::LessOrEqual => lower != Some(Ordering::Greater),
            Comparison::Greater => self.may_be_nan || (upper != Some(Ordering::Less) && upper != Some(Ordering::Equal)),
            Comparison::GreaterOrEqual => self.may_be_nan || upper != Some(Ordering::Less),
            Comparison::Equal => lower != Some(Ordering::Greater) && upper != Some(Ordering::Less),
            // Zero has two signs, and whether they are equal depends on the engine.
            Comparison::NotEqual if matches!(value, Value::Float(_)) => true,
            Comparison::NotEqual => lower != Some(Ordering::Equal) || upper != Some(Ordering::Equal),
        }
    }
}
