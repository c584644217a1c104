//! Inner joins that stand together: what they join, by what, and the same in another order.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, NullEquality, Result};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, ExprSchemable, Filter, Join, JoinConstraint, JoinType, LogicalPlan};

use super::begins;
use super::rows;
use super::search::{Condition, Estimates, Keys, Set, Tree};

/// Relations that a set has place for.
const RELATIONS_MAX: usize = 60;

/// Two relations have one order.
const RELATIONS_MIN: usize = 3;

/// A key: a column of a relation, or what it is cast to.
#[derive(Debug, Clone, PartialEq)]
struct Key {
    relation: usize,
    expr: Expr,
}

/// What is joined.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) relations: Vec<Arc<LogicalPlan>>,
    /// Keys that the statement compares.
    pairs: Vec<(Key, Key)>,
    /// Keys that are equal to each other for it.
    classes: Vec<Vec<Key>>,
    /// Everything else that must be true, and of which relations.
    conditions: Vec<(Set, Expr)>,
}

impl Group {
    /// The joins from here on, and their order; none where there is nothing to choose, or where another order could mean something else.
    pub(super) fn of(plan: &LogicalPlan) -> Option<(Self, Tree)> {
        let (mut group, mut on, mut conditions) = (Self::default(), Vec::new(), Vec::new());
        let stated = group.gather(plan, &mut on, &mut conditions)?;
        let count = group.relations.len();
        // Joins between projections are of an earlier look: what stands below them was in order then.
        if !(RELATIONS_MIN..=RELATIONS_MAX).contains(&count) || group.relations.iter().any(|plan| was_seen(plan)) {
            return None;
        }
        for (left, right) in on {
            let pair = (group.key(left)?, group.key(right)?);
            group.equal(&pair);
            group.pairs.push(pair);
        }
        for condition in conditions {
            if condition.is_volatile() || has_query(&condition) {
                return None;
            }
            let mut relations = 0;
            for column in condition.column_refs() {
                relations |= 1 << group.holder(column)?;
            }
            group.conditions.push((relations, condition));
        }
        Some((group, stated))
    }

    fn gather(&mut self, plan: &LogicalPlan, on: &mut Vec<(Expr, Expr)>, conditions: &mut Vec<Expr>) -> Option<Tree> {
        match plan {
            LogicalPlan::Filter(filter) if begins(&filter.input) => {
                conditions.extend(split_conjunction(&filter.predicate).into_iter().cloned());
                self.gather(&filter.input, on, conditions)
            }
            LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
                if join.null_equality != NullEquality::NullEqualsNothing || join.null_aware {
                    return None;
                }
                on.extend(join.on.iter().cloned());
                let filter = join.filter.iter().flat_map(split_conjunction);
                conditions.extend(filter.cloned());
                let left = self.gather(&join.left, on, conditions)?;
                let right = self.gather(&join.right, on, conditions)?;
                Some(Tree::join(left, right))
            }
            plan => {
                self.relations.push(Arc::new(plan.clone()));
                Some(Tree::Relation(self.relations.len() - 1))
            }
        }
    }

    /// The relation that has a column; none where several may be meant.
    fn holder(&self, column: &Column) -> Option<usize> {
        let numbered = self.relations.iter().enumerate();
        let mut holders = numbered.filter(|(_, plan)| plan.schema().maybe_index_of_column(column).is_some());
        let (found, _) = holders.next()?;
        holders.next().is_none().then_some(found)
    }

    /// A key that can be looked at wherever its relation is: it fails for no value, and is equal to others as they are to each other.
    fn key(&self, expr: Expr) -> Option<Key> {
        let (column, cast) = match &expr {
            Expr::Column(column) => (column, None),
            Expr::Cast(cast) => match cast.expr.as_ref() {
                Expr::Column(column) => (column, Some(cast.field.data_type().clone())),
                _ => return None,
            },
            _ => return None,
        };
        let relation = self.holder(column)?;
        let schema = self.relations.get(relation)?.schema();
        let from = Expr::Column(column.clone()).get_type(schema.as_ref()).ok()?;
        let fails = cast.is_some_and(|to| !widens(&from, &to));
        (!fails && !from.is_floating()).then_some(Key { relation, expr })
    }

    /// Puts two keys into one class, with everything that was equal to either.
    fn equal(&mut self, pair: &(Key, Key)) {
        let mut joined = vec![pair.0.clone(), pair.1.clone()];
        self.classes.retain_mut(|class| {
            let apart = !class.contains(&pair.0) && !class.contains(&pair.1);
            if !apart {
                joined.append(class);
            }
            apart
        });
        let mut once: Vec<Key> = Vec::new();
        for key in joined {
            if !once.contains(&key) {
                once.push(key);
            }
        }
        self.classes.push(once);
    }

    /// What is known of the relations; none where one is of unknown size.
    pub(super) fn estimates(&self) -> Option<Estimates> {
        let sizes = self.relations.iter().map(|relation| rows::of(relation));
        let mut sizes = sizes.collect::<Option<Vec<_>>>()?;
        let keys = self.classes.iter().map(|class| {
            let known = class.iter().filter_map(|key| {
                let relation = self.relations.get(key.relation)?;
                key.expr
                    .column_refs()
                    .into_iter()
                    .find_map(|column| rows::distinct(relation, column))
            });
            let all = class
                .iter()
                .filter_map(|key| sizes.get(key.relation))
                .map(|size| size.all);
            Keys {
                relations: class.iter().fold(0, |set, key| set | 1 << key.relation),
                // Where nobody has counted, whoever has the fewest rows is taken to have each value once.
                values: known
                    .reduce(f64::max)
                    .unwrap_or_else(|| all.fold(f64::INFINITY, f64::min)),
            }
        });
        let keys = keys.collect();
        let mut conditions = Vec::new();
        for (relations, condition) in &self.conditions {
            let share = rows::share(condition, &self.relations);
            match relations.count_ones() {
                0 => {}
                1 => {
                    let only = sizes.get_mut(usize::try_from(relations.trailing_zeros()).ok()?)?;
                    only.rows = (only.rows * share).max(1.0);
                }
                _ => conditions.push(Condition {
                    relations: *relations,
                    share,
                }),
            }
        }
        Some(Estimates {
            sizes,
            keys,
            conditions,
        })
    }

    /// The relations in this order.
    pub(super) fn joined(&self, tree: &Tree, relations: &[Arc<LogicalPlan>]) -> Result<LogicalPlan> {
        let joined = self.below(tree, relations)?;
        let of_none = self.conditions.iter().filter(|(of, _)| *of == 0);
        filtered(joined, of_none.map(|(_, condition)| condition.clone()))
    }

    fn below(&self, tree: &Tree, relations: &[Arc<LogicalPlan>]) -> Result<LogicalPlan> {
        let (left, right) = match tree {
            Tree::Relation(number) => {
                let relation = relations.get(*number).ok_or_else(|| missing(*number))?;
                let own = self.conditions.iter().filter(|(of, _)| *of == 1 << number);
                return filtered(relation.as_ref().clone(), own.map(|(_, condition)| condition.clone()));
            }
            Tree::Join(left, right) => (left, right),
        };
        let (one, other) = (left.set(), right.set());
        let both = one | other;
        let new = self
            .conditions
            .iter()
            .filter(|(of, _)| of.count_ones() > 1 && of & both == *of && of & one != *of && of & other != *of);
        let join = Join::try_new(
            Arc::new(self.below(left, relations)?),
            Arc::new(self.below(right, relations)?),
            self.on(one, other),
            conjunction(new.map(|(_, condition)| condition.clone())),
            JoinType::Inner,
            JoinConstraint::On,
            NullEquality::NullEqualsNothing,
            false,
        )?;
        Ok(LogicalPlan::Join(join))
    }

    /// The keys by which two sets are joined: what the statement compares, and where it compares them with a third one only, these.
    fn on(&self, left: Set, right: Set) -> Vec<(Expr, Expr)> {
        let within = |key: &Key, set: Set| 1 << key.relation & set != 0;
        let mut on = Vec::new();
        for class in &self.classes {
            let of_class = self.pairs.iter().filter(|(one, _)| class.contains(one));
            let stated = of_class.filter_map(|(one, other)| {
                if within(one, left) && within(other, right) {
                    return Some((one, other));
                }
                (within(other, left) && within(one, right)).then_some((other, one))
            });
            let before = on.len();
            on.extend(stated.map(|(one, other)| (one.expr.clone(), other.expr.clone())));
            if on.len() == before
                && let Some(one) = class.iter().find(|key| within(key, left))
                && let Some(other) = class.iter().find(|key| within(key, right))
            {
                on.push((one.expr.clone(), other.expr.clone()));
            }
        }
        on
    }
}

fn filtered(plan: LogicalPlan, conditions: impl Iterator<Item = Expr>) -> Result<LogicalPlan> {
    match conjunction(conditions) {
        Some(condition) => Filter::try_new(condition, Arc::new(plan)).map(LogicalPlan::Filter),
        None => Ok(plan),
    }
}

fn was_seen(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => begins(&projection.input),
        _ => false,
    }
}

/// Whether every value has a counterpart, and different ones have different ones.
fn widens(from: &DataType, to: &DataType) -> bool {
    let text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let wider = from.primitive_width() <= to.primitive_width();
    (from.is_signed_integer() && to.is_signed_integer() && wider) || (text(from) && text(to))
}

fn has_query(expr: &Expr) -> bool {
    let mut found = false;
    // It never fails.
    drop(expr.apply(|part| {
        found |= matches!(
            part,
            Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::ScalarSubquery(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
        );
        Ok(if found {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    }));
    found
}

fn missing(number: usize) -> datafusion::error::DataFusionError {
    datafusion::error::DataFusionError::Internal(format!("relation {number} of a group of joins is missing"))
}
