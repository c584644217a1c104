//! Walks a predicate down to its leaves and projects leaves onto partition values.

use iceberg::spec::{Datum, PrimitiveLiteral, Transform};

use super::{Comparison, Predicate};
use crate::transform::transform_value;

/// A condition on one column.
#[derive(Debug, Clone)]
pub(crate) enum Leaf {
    Compare(Comparison, Datum),
    In(Vec<Datum>),
    NotIn(Vec<Datum>),
    IsNull,
    NotNull,
    IsNan,
    NotNan,
}

/// May any row fulfil the predicate, as far as `leaf` can tell of a condition on the column with the given field id?
pub(crate) fn may_hold(predicate: &Predicate, leaf: &dyn Fn(i32, &Leaf) -> bool) -> bool {
    walk(predicate, false, Unknown::Holds, leaf)
}

/// How a condition that could not be expressed counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// It may hold.
    Holds,
    /// It is not sure to hold.
    DoesNotHold,
}

/// Negation moves inwards: what is unknown stays unknown on both sides, so a leaf's opposite never holds for null either.
pub(super) fn walk(predicate: &Predicate, negated: bool, unknown: Unknown, leaf: &dyn Fn(i32, &Leaf) -> bool) -> bool {
    match predicate {
        // These stand for conditions that could not be expressed: nothing follows from their opposite.
        Predicate::Always => unknown == Unknown::Holds,
        Predicate::Never => unknown == Unknown::Holds && negated,
        Predicate::Not(inner) => walk(inner, !negated, unknown, leaf),
        Predicate::And(all) if !negated => all.iter().all(|inner| walk(inner, false, unknown, leaf)),
        Predicate::Or(any) if negated => any.iter().all(|inner| walk(inner, true, unknown, leaf)),
        Predicate::And(parts) | Predicate::Or(parts) => parts.iter().any(|inner| walk(inner, negated, unknown, leaf)),
        Predicate::Compare {
            field_id,
            comparison,
            value,
        } => {
            let comparison = if negated { comparison.negated() } else { *comparison };
            leaf(*field_id, &Leaf::Compare(comparison, value.clone()))
        }
        Predicate::In { field_id, values } if negated => leaf(*field_id, &Leaf::NotIn(values.clone())),
        Predicate::In { field_id, values } => leaf(*field_id, &Leaf::In(values.clone())),
        Predicate::IsNull { field_id } if negated => leaf(*field_id, &Leaf::NotNull),
        Predicate::IsNull { field_id } => leaf(*field_id, &Leaf::IsNull),
        Predicate::IsNan { field_id } if negated => leaf(*field_id, &Leaf::NotNan),
        Predicate::IsNan { field_id } => leaf(*field_id, &Leaf::IsNan),
    }
}

impl Leaf {
    /// Conditions on the transformed value of which one must hold wherever this one holds; `None` if nothing can be said.
    pub(crate) fn projected(&self, transform: Transform) -> Option<Vec<Leaf>> {
        if matches!(transform, Transform::Void | Transform::Unknown) {
            return None;
        }
        match self {
            Self::IsNull | Self::NotNull => Some(vec![self.clone()]),
            _ if transform == Transform::Identity => Some(vec![self.clone()]),
            Self::In(values) => {
                let values = values
                    .iter()
                    .map(|value| images(transform, value))
                    .collect::<Option<Vec<_>>>()?;
                Some(vec![Self::In(values.concat())])
            }
            Self::Compare(Comparison::Equal, value) => Some(vec![Self::In(images(transform, value)?)]),
            Self::Compare(Comparison::Less | Comparison::LessOrEqual, value) if keeps_order(transform) => {
                let highest = images(transform, value)?.pop()?;
                let mut leaves = vec![Self::Compare(Comparison::LessOrEqual, highest)];
                leaves.extend(wrapped(transform, value));
                Some(leaves)
            }
            Self::Compare(Comparison::Greater | Comparison::GreaterOrEqual, value) if keeps_order(transform) => {
                let lowest = images(transform, value)?.into_iter().next()?;
                if wraps(transform, value, &lowest) {
                    return None;
                }
                Some(vec![Self::Compare(Comparison::GreaterOrEqual, lowest)])
            }
            Self::Compare(..) | Self::NotIn(_) | Self::IsNan | Self::NotNan => None,
        }
    }
}

fn keeps_order(transform: Transform) -> bool {
    !matches!(transform, Transform::Bucket(_))
}

/// What writers make of the value, in rising order. Old ones rounded times before 1970 towards it, one unit too high.
fn images(transform: Transform, value: &Datum) -> Option<Vec<Datum>> {
    let image = transform_value(transform, value)?;
    let time = matches!(
        transform,
        Transform::Year | Transform::Month | Transform::Day | Transform::Hour
    );
    Some(match image.literal() {
        PrimitiveLiteral::Int(before) if time && *before < 0 => vec![image.clone(), Datum::int(before + 1)],
        _ => vec![image],
    })
}

/// Whether truncating this number wrapped around: what is larger than it stands everywhere.
fn wraps(transform: Transform, value: &Datum, image: &Datum) -> bool {
    let larger = match (value.literal(), image.literal()) {
        (PrimitiveLiteral::Int(value), PrimitiveLiteral::Int(image)) => image > value,
        (PrimitiveLiteral::Long(value), PrimitiveLiteral::Long(image)) => image > value,
        _ => false,
    };
    larger && matches!(transform, Transform::Truncate(_))
}

/// Truncating a number close to the smallest wraps around: such rows stand at the other end of the order.
fn wrapped(transform: Transform, value: &Datum) -> Option<Leaf> {
    let Transform::Truncate(width) = transform else {
        return None;
    };
    let bound = match value.literal() {
        PrimitiveLiteral::Int(_) => Datum::int(i32::MAX.saturating_sub_unsigned(width)),
        PrimitiveLiteral::Long(_) => Datum::long(i64::MAX.saturating_sub_unsigned(u64::from(width))),
        _ => return None,
    };
    Some(Leaf::Compare(Comparison::GreaterOrEqual, bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(leaf: &Leaf, value: &Datum) -> bool {
        match leaf {
            Leaf::Compare(comparison, bound) => {
                let order = value.partial_cmp(bound).expect("numbers of one type");
                match comparison {
                    Comparison::Equal => order.is_eq(),
                    Comparison::NotEqual => order.is_ne(),
                    Comparison::Less => order.is_lt(),
                    Comparison::LessOrEqual => order.is_le(),
                    Comparison::Greater => order.is_gt(),
                    Comparison::GreaterOrEqual => order.is_ge(),
                }
            }
            Leaf::In(values) => values.contains(value),
            other => panic!("no condition of a truncated number: {other:?}"),
        }
    }

    // Goal: no partition of truncated numbers is left out that may hold a row, close to both ends of the numbers too, where truncating wraps
    // around. Method: each comparison of each two numbers close to the ends and to zero, by several widths.
    #[test]
    fn truncated_numbers_hold_what_is_asked_for() {
        let steps: [i64; 9] = [0, 1, 2, 9, 10, 11, 998, 1_000, 1_003];
        let ints = steps.iter().flat_map(|step| {
            let step = i32::try_from(*step).expect("a small one");
            [i32::MIN + step, i32::MAX - step, -step, step].map(Datum::int)
        });
        let longs = steps
            .iter()
            .flat_map(|step| [i64::MIN + step, i64::MAX - step, -step, *step].map(Datum::long));
        let comparisons = [
            Comparison::Equal,
            Comparison::Less,
            Comparison::LessOrEqual,
            Comparison::Greater,
            Comparison::GreaterOrEqual,
        ];
        for numbers in [ints.collect::<Vec<_>>(), longs.collect()] {
            for width in [1, 2, 10, 1_000] {
                let transform = Transform::Truncate(width);
                for (comparison, bound) in comparisons
                    .iter()
                    .flat_map(|one| numbers.iter().map(move |bound| (*one, bound)))
                {
                    let leaf = Leaf::Compare(comparison, bound.clone());
                    let Some(projected) = leaf.projected(transform) else {
                        continue;
                    };
                    for number in numbers.iter().filter(|number| holds(&leaf, number)) {
                        let image = transform_value(transform, number).expect("a number");
                        let kept = projected.iter().any(|leaf| holds(leaf, &image));
                        assert!(kept, "{number} {comparison:?} {bound} by {width}: {projected:?}");
                    }
                }
            }
        }
    }
}
