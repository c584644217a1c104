//! Sessions in a time zone: days, hours and clocks of instants are those of that zone, as PostgreSQL has them.
//!
//! The query engine reckons with an instant in the zone that its type tells, and the types of stored columns tell none but UTC. In a
//! session with another zone every instant is given that zone where it enters a plan: columns of tables, constants, parameters, and what
//! functions answer. Values stay what they are. `extract`, casts to days and to times, and most functions then follow the zone by
//! themselves.
//!
//! A cast between an instant and a clock is a call of `timezone` here: the optimiser takes such a cast off a column and puts the
//! constant beside it into the other type without a look at the zone (DataFusion 55.2).

mod functions;
mod values;

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{Cast, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, Projection, ScalarUDF, Union};

use self::values::{at_zone, cast, is_clock, is_text, moment};
pub(crate) use self::values::{clock_of, instant_of};
use super::ZONE;
use super::beside::aligned;
use super::called::as_called;
use super::decimals::compares;
use crate::pg_catalog::{self, Postgres};

/// What turns a plan.
struct Zoned<'a> {
    zone: &'a str,
    now: Option<Arc<ScalarUDF>>,
}

/// The plan with its instants in the zone of its session, and with texts beside moments as PostgreSQL reads them if it is of such a
/// session.
pub(super) fn in_zone(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    let zone = zone_of(state.config_options());
    if zone == ZONE && (state.config().get_extension::<Postgres>().is_none() || !has_texts(&plan)?) {
        return Ok(plan);
    }
    let now = state.scalar_functions().get("now").cloned();
    Zoned { zone, now }.plan(plan)
}

/// Whether a projection only gives the instants of its input their zone: all columns, each as it was called. Whoever asks which columns
/// are read has to look at those that are asked of it.
pub fn gives_zones(projection: &Projection) -> bool {
    let columns = projection.input.schema().columns();
    let mut zoned = 0;
    let whole = columns.len() == projection.expr.len()
        && columns.iter().zip(&projection.expr).all(|(column, expr)| {
            let own = |expr: &Expr| matches!(expr, Expr::Column(of) if of == column);
            match expr {
                Expr::Alias(alias) if alias.relation == column.relation && alias.name == column.name => {
                    zoned += 1;
                    matches!(alias.expr.as_ref(), Expr::Cast(cast) if own(&cast.expr))
                }
                expr => own(expr),
            }
        });
    whole && zoned > 0
}

/// The zone of a session, as types of instants tell it.
pub(crate) fn zone_of(settings: &ConfigOptions) -> &str {
    settings.execution.time_zone.as_deref().unwrap_or(ZONE)
}

fn has_texts(plan: &LogicalPlan) -> Result<bool> {
    let is_text = |expr: &Expr| Ok(matches!(expr, Expr::Literal(ScalarValue::Utf8(Some(_)), _)));
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found = found || expr.exists(is_text)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if found {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    })?;
    Ok(found)
}

impl Zoned<'_> {
    fn plan(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let zoned = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::TableScan(_) | LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) if self.is_apart() => {
                self.entering(node)
            }
            LogicalPlan::Union(Union { inputs, .. }) if self.is_apart() => {
                let union = Union::try_new_with_loose_types(inputs)?;
                Ok(Transformed::yes(LogicalPlan::Union(union)))
            }
            node => {
                let schema = merge_schema(&node.inputs());
                let names = NamePreserver::new(&node);
                let mut change = |expr: Expr| expr.transform_up(|expr| self.expression(expr, &schema));
                let node = node.map_expressions(|expr| as_called(expr, &names, &mut change))?;
                node.map_data(LogicalPlan::recompute_schema)
            }
        })?;
        Ok(zoned.data)
    }

    /// Whether it is another zone than that of stored instants.
    fn is_apart(&self) -> bool {
        self.zone != ZONE
    }

    /// A relation without inputs.
    fn entering(&self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let mut changed = false;
        let columns = node.schema().iter().map(|(of, field)| {
            let column = Expr::Column(Column::new(of.cloned(), field.name()));
            match self.typed(field.data_type()) {
                Some(to) => {
                    changed = true;
                    cast(column, to).alias_qualified(of.cloned(), field.name())
                }
                None => column,
            }
        });
        let columns: Vec<Expr> = columns.collect();
        if !changed {
            return Ok(Transformed::no(node));
        }
        let zoned = Projection::try_new(columns, Arc::new(node))?;
        Ok(Transformed::yes(LogicalPlan::Projection(zoned)))
    }

    fn expression(&self, expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        Ok(match expr {
            Expr::Literal(value, metadata) => match self.typed(&value.data_type()) {
                Some(to) => Transformed::yes(Expr::Literal(value.cast_to(&to)?, metadata)),
                None => Transformed::no(Expr::Literal(value, metadata)),
            },
            Expr::OuterReferenceColumn(field, column) => match self.field(&field) {
                Some(zoned) => Transformed::yes(Expr::OuterReferenceColumn(zoned, column)),
                None => Transformed::no(Expr::OuterReferenceColumn(field, column)),
            },
            Expr::Cast(Cast { expr, field }) => {
                // What has no type yet is no instant that is known; the planner tells what can have none.
                let of = expr.get_type(schema).ok();
                match self.between(*expr, of, field.data_type())? {
                    Ok(zoned) => Transformed::yes(zoned),
                    Err(expr) => Transformed::no(Expr::Cast(Cast {
                        expr: Box::new(expr),
                        field,
                    })),
                }
            }
            Expr::TryCast(TryCast { expr, field }) => match self.typed(field.data_type()) {
                Some(to) => Transformed::yes(Expr::TryCast(TryCast::new(expr, to))),
                None => Transformed::no(Expr::TryCast(TryCast { expr, field })),
            },
            Expr::ScalarFunction(call) => self.function(call, schema)?,
            Expr::Placeholder(_) => self.answered(expr, schema),
            Expr::BinaryExpr(sum) if self.is_apart() && matches!(sum.op, Operator::Plus | Operator::Minus) => {
                self.sum(sum, schema)?
            }
            expr => {
                let mut outcome = Ok(false);
                let zoned = aligned(expr, compares, |sides| {
                    outcome = self.beside(sides, schema);
                    matches!(outcome, Ok(true))
                });
                outcome.map(|_| zoned)?
            }
        })
    }

    /// An instant with a span, and what lies between an instant and something else.
    fn sum(&self, mut sum: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        let (left, right) = (sum.left.get_type(schema), sum.right.get_type(schema));
        Ok(match (left, sum.op, right) {
            (Ok(DataType::Timestamp(_, Some(_))), op, Ok(DataType::Interval(_))) => {
                let span = match op {
                    Operator::Minus => Expr::Negative(sum.right),
                    _ => *sum.right,
                };
                Transformed::yes(pg_catalog::instant_plus(*sum.left, span)?)
            }
            (Ok(DataType::Interval(_)), Operator::Plus, Ok(DataType::Timestamp(_, Some(_)))) => {
                Transformed::yes(pg_catalog::instant_plus(*sum.right, *sum.left)?)
            }
            _ => {
                let changed = self.beside(&mut [sum.left.as_mut(), sum.right.as_mut()], schema)?;
                Transformed::new_transformed(Expr::BinaryExpr(sum), changed)
            }
        })
    }

    /// A cast to this type of what is `of` another; the value itself where instants are no matter.
    fn between(&self, value: Expr, of: Option<DataType>, to: &DataType) -> Result<Result<Expr, Expr>> {
        let wanted = self.typed(to);
        let to = wanted.as_ref().unwrap_or(to);
        if let (Some(of), DataType::Timestamp(_, Some(_))) = (&of, to)
            && is_text(of)
        {
            return Ok(Ok(cast(instant_of(value, of, self.zone)?, to.clone())));
        }
        let reckons = self.is_apart()
            && match (&of, to) {
                (Some(of), DataType::Timestamp(_, Some(_))) => is_clock(of),
                (Some(DataType::Timestamp(_, Some(_))), DataType::Timestamp(_, None)) => true,
                _ => false,
            };
        Ok(match (reckons, &wanted) {
            (true, _) => {
                let value = match &of {
                    Some(of) => moment(value, of),
                    None => value,
                };
                Ok(cast(at_zone(self.zone, value)?, to.clone()))
            }
            (false, Some(_)) => Ok(cast(value, to.clone())),
            (false, None) => Err(value),
        })
    }

    /// What an expression gives.
    fn answered(&self, expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
        match expr.get_type(schema).ok().and_then(|of| self.typed(&of)) {
            Some(to) => Transformed::yes(cast(expr, to)),
            None => Transformed::no(expr),
        }
    }

    /// Makes instants of the clocks and days among these if one is an instant, and moments of the texts that stand beside moments.
    fn beside(&self, sides: &mut [&mut Expr], schema: &DFSchema) -> Result<bool> {
        let types: Vec<Option<DataType>> = sides.iter().map(|side| side.get_type(schema).ok()).collect();
        let instants = types
            .iter()
            .flatten()
            .any(|of| matches!(of, DataType::Timestamp(_, Some(_))));
        if !instants && !types.iter().flatten().any(is_clock) {
            return Ok(false);
        }
        let mut changed = false;
        for (side, of) in sides.iter_mut().zip(types) {
            let Some(of) = of else { continue };
            match &**side {
                Expr::Literal(ScalarValue::Utf8(Some(written)), metadata) if !instants => {
                    if let Some(figures) = pg_catalog::figures(written) {
                        **side = Expr::Literal(ScalarValue::Utf8(Some(figures)), metadata.clone());
                        changed = true;
                    }
                }
                part if instants
                    && (is_clock(&of) && self.is_apart() || is_text(&of) && matches!(part, Expr::Literal(..))) =>
                {
                    **side = instant_of(std::mem::take(*side), &of, self.zone)?;
                    changed = true;
                }
                _ => {}
            }
        }
        Ok(changed)
    }

    /// The type with its instants in the zone; `None` where they are, or there are none.
    fn typed(&self, of: &DataType) -> Option<DataType> {
        match of {
            DataType::Timestamp(unit, Some(told)) if **told != *self.zone => {
                Some(DataType::Timestamp(*unit, Some(self.zone.into())))
            }
            DataType::List(item) => self.field(item).map(DataType::List),
            DataType::LargeList(item) => self.field(item).map(DataType::LargeList),
            DataType::FixedSizeList(item, length) => {
                self.field(item).map(|item| DataType::FixedSizeList(item, *length))
            }
            DataType::Map(entries, sorted) => self.field(entries).map(|entries| DataType::Map(entries, *sorted)),
            DataType::Struct(fields) => {
                let zoned: Vec<Option<FieldRef>> = fields.iter().map(|field| self.field(field)).collect();
                zoned.iter().any(Option::is_some).then(|| {
                    let fields = fields.iter().zip(zoned);
                    let fields = fields.map(|(as_is, zoned)| zoned.unwrap_or_else(|| Arc::clone(as_is)));
                    DataType::Struct(fields.collect())
                })
            }
            _ => None,
        }
    }

    fn field(&self, field: &FieldRef) -> Option<FieldRef> {
        let to = self.typed(field.data_type())?;
        Some(Arc::new(Field::clone(field).with_data_type(to)))
    }
}
