//! Conditions of a path: true, false, or not known.

use std::cmp::Ordering;

use super::evaluation::{Context, Evaluation, Failure, Found};
use super::item::Item;
use super::syntax::{Comparison, Condition, Value};

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    fn of(truth: bool) -> Self {
        match truth {
            true => Self::True,
            false => Self::False,
        }
    }

    pub(super) fn known(self) -> Option<bool> {
        match self {
            Self::True => Some(true),
            Self::False => Some(false),
            Self::Unknown => None,
        }
    }
}

type Held = Result<Truth, Failure>;

impl Evaluation<'_> {
    /// Whether a condition holds. What goes wrong in it is not known.
    pub(super) fn holds(&self, condition: &Condition, context: &Context) -> Held {
        match condition {
            Condition::Both(left, right) => Ok(match self.holds(left, context)? {
                Truth::False => Truth::False,
                left => match self.holds(right, context)? {
                    Truth::True => left,
                    right => right,
                },
            }),
            Condition::Either(left, right) => Ok(match self.holds(left, context)? {
                Truth::True => Truth::True,
                left => match self.holds(right, context)? {
                    Truth::False => left,
                    right => right,
                },
            }),
            Condition::Not(inner) => Ok(match self.holds(inner, context)? {
                Truth::True => Truth::False,
                Truth::False => Truth::True,
                Truth::Unknown => Truth::Unknown,
            }),
            Condition::Unknown(inner) => Ok(Truth::of(self.holds(inner, context)? == Truth::Unknown)),
            Condition::Exists(value) => self.exists(value, context),
            Condition::Compared(left, comparison, right) => {
                let (left, right) = (self.known(left, true, context)?, self.known(right, true, context)?);
                let (Some(left), Some(right)) = (left, right) else {
                    return Ok(Truth::Unknown);
                };
                let pairs = left
                    .iter()
                    .flat_map(|left| right.iter().map(move |right| (left, right)));
                self.any(pairs.map(|(left, right)| -> Held {
                    self.pay(1 + left.cost() + right.cost())?;
                    Ok(compared(left, *comparison, right))
                }))
            }
            Condition::StartsWith(value, prefix) => {
                let (values, prefixes) = (self.known(value, true, context)?, self.known(prefix, false, context)?);
                let (Some(values), Some(prefixes)) = (values, prefixes) else {
                    return Ok(Truth::Unknown);
                };
                let pairs = values
                    .iter()
                    .flat_map(|value| prefixes.iter().map(move |prefix| (value, prefix)));
                self.any(pairs.map(|pair| -> Held {
                    self.pay(1 + pair.1.cost())?;
                    Ok(match pair {
                        (Item::Text(text), Item::Text(prefix)) => Truth::of(text.starts_with(&**prefix)),
                        _ => Truth::Unknown,
                    })
                }))
            }
            Condition::Like(value, pattern) => {
                let Some(values) = self.known(value, true, context)? else {
                    return Ok(Truth::Unknown);
                };
                self.any(values.iter().map(|value| -> Held {
                    let Item::Text(text) = value else {
                        return Ok(Truth::Unknown);
                    };
                    self.pay(pattern.cost(text).saturating_add(1))?;
                    Ok(Truth::of(pattern.is_in(text)))
                }))
            }
        }
    }

    /// What a value is; none where something goes wrong.
    fn known(&self, value: &Value, unwrap: bool, context: &Context) -> Result<Option<Vec<Item>>, Failure> {
        let inner = Context {
            loud: false,
            ..context.clone()
        };
        match self.sequence(value, unwrap, &inner) {
            Ok(items) => Ok(Some(items)),
            Err(Failure::Quiet(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// A lax path is content with the first thing that is there, a strict one wants no error among all of them.
    fn exists(&self, value: &Value, context: &Context) -> Held {
        if !self.is_lax() {
            let items = self.known(value, false, context)?;
            return Ok(items.map_or(Truth::Unknown, |items| Truth::of(!items.is_empty())));
        }
        let inner = Context {
            loud: false,
            ..context.clone()
        };
        match self.value(value, &[], &inner, &mut Found::first()) {
            Ok(any) => Ok(Truth::of(any)),
            Err(Failure::Quiet(_)) => Ok(Truth::Unknown),
            Err(failure) => Err(failure),
        }
    }

    /// Whether any of these is true. A lax path stops at the first that is, a strict one where one is not known.
    fn any(&self, truths: impl Iterator<Item = Held>) -> Held {
        let (mut found, mut unknown) = (false, false);
        for truth in truths {
            match truth? {
                Truth::Unknown if !self.is_lax() => return Ok(Truth::Unknown),
                Truth::Unknown => unknown = true,
                Truth::True if self.is_lax() => return Ok(Truth::True),
                Truth::True => found = true,
                Truth::False => {}
            }
        }
        Ok(match (found, unknown) {
            (true, _) => Truth::True,
            (false, true) => Truth::Unknown,
            (false, false) => Truth::False,
        })
    }
}

/// Values of different types cannot be compared; a null is another than all that are none.
fn compared(left: &Item, comparison: Comparison, right: &Item) -> Truth {
    let order = match (left, right) {
        (Item::Null, Item::Null) => Ordering::Equal,
        (Item::Null, _) | (_, Item::Null) => return Truth::of(comparison == Comparison::NotEqual),
        (Item::Truth(left), Item::Truth(right)) => left.cmp(right),
        (Item::Number(left), Item::Number(right)) => left.compared(right),
        (Item::Text(left), Item::Text(right)) => left.cmp(right),
        _ => return Truth::Unknown,
    };
    Truth::of(match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    })
}
