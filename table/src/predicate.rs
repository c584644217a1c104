//! Conditions on columns, by field id, for pruning only: whoever reads the files still filters the rows.

mod prune;
mod range;
mod strict;

use iceberg::spec::Datum;

pub(crate) use self::prune::{Leaf, may_hold};
pub(crate) use self::range::{Range, Value, trusted};
pub(crate) use self::strict::must_hold;

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// What holds of two values that are not null exactly when this does not.
    pub(crate) fn negated(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Less => Self::GreaterOrEqual,
            Self::LessOrEqual => Self::Greater,
            Self::Greater => Self::LessOrEqual,
            Self::GreaterOrEqual => Self::Less,
        }
    }
}

/// A condition with SQL's meaning: a row is kept if it is true, neither if false nor if unknown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Predicate {
    /// Keeps every row: what the caller cannot express. Its opposite keeps every row as well.
    Always,
    /// Keeps no row.
    Never,
    /// All of them.
    And(Vec<Predicate>),
    /// At least one of them.
    Or(Vec<Predicate>),
    /// The opposite; unknown stays unknown.
    Not(Box<Predicate>),
    /// A column against a value.
    Compare {
        /// Field id of the column; nested fields of structs have ids too.
        field_id: i32,
        /// How.
        comparison: Comparison,
        /// Of the column's type; other types prune nothing.
        value: Datum,
    },
    /// A column is one of the values.
    In {
        /// Field id of the column.
        field_id: i32,
        /// Of the column's type.
        values: Vec<Datum>,
    },
    /// A column is null.
    IsNull {
        /// Field id of the column.
        field_id: i32,
    },
    /// A column is "not a number"; never true of null.
    IsNan {
        /// Field id of the column.
        field_id: i32,
    },
}

impl Predicate {
    /// `field = value`
    pub fn equal(field_id: i32, value: Datum) -> Self {
        Self::compare(field_id, Comparison::Equal, value)
    }

    /// A column against a value.
    pub fn compare(field_id: i32, comparison: Comparison, value: Datum) -> Self {
        Self::Compare {
            field_id,
            comparison,
            value,
        }
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match self {
            Self::And(mut all) => {
                all.push(other);
                Self::And(all)
            }
            first => Self::And(vec![first, other]),
        }
    }

    /// One of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match self {
            Self::Or(mut any) => {
                any.push(other);
                Self::Or(any)
            }
            first => Self::Or(vec![first, other]),
        }
    }
}

impl std::ops::Not for Predicate {
    type Output = Self;

    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}
