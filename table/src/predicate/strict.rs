//! Surely rather than perhaps: a condition holds for every value of a range. Where engines differ, nothing is sure.

use iceberg::spec::{Datum, PrimitiveLiteral};

use super::prune::{Unknown, walk};
use super::{Leaf, Predicate, Range};

/// Must every row fulfil the predicate, as far as `leaf` can tell of a condition on the column with the given field id? Unknown
/// is not fulfilled.
pub(crate) fn must_hold(predicate: &Predicate, leaf: &dyn Fn(i32, &Leaf) -> bool) -> bool {
    walk(predicate, false, Unknown::DoesNotHold, leaf)
}

impl Leaf {
    /// What holds of a value that is not null exactly when this does not.
    pub(crate) fn opposite(&self) -> Leaf {
        match self {
            Self::Compare(comparison, value) => Self::Compare(comparison.negated(), value.clone()),
            Self::In(values) => Self::NotIn(values.clone()),
            Self::NotIn(values) => Self::In(values.clone()),
            Self::IsNull => Self::NotNull,
            Self::NotNull => Self::IsNull,
            Self::IsNan => Self::NotNan,
            Self::NotNan => Self::IsNan,
        }
    }

    /// Whether engines answer differently for some values: the two zeros are one for some and two for others.
    pub(crate) fn is_contested(&self) -> bool {
        let is_zero = |value: &Datum| match value.literal() {
            PrimitiveLiteral::Float(value) => value.0 == 0.0,
            PrimitiveLiteral::Double(value) => value.0 == 0.0,
            _ => false,
        };
        match self {
            Self::Compare(_, value) => is_zero(value),
            Self::In(values) | Self::NotIn(values) => values.iter().any(is_zero),
            Self::IsNull | Self::NotNull | Self::IsNan | Self::NotNan => false,
        }
    }
}

impl Range {
    /// Does the condition hold for each value of this range?
    pub(crate) fn must(&self, leaf: &Leaf) -> bool {
        match leaf {
            Leaf::IsNull => !self.may_be_value,
            Leaf::NotNull => !self.may_be_null,
            // Nothing but null compares with nothing.
            _ if self.may_be_null || leaf.is_contested() => false,
            Leaf::IsNan | Leaf::NotNan => !self.may(&leaf.opposite()),
            // Some put NaN above everything, others beside it.
            _ => !self.may_be_nan && !self.may(&leaf.opposite()),
        }
    }
}
