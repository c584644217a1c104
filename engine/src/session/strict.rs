//! Rules of ours without which an answer may be wrong.
//!
//! DataFusion 55.2 goes on without a rule that fails, and rules of its own count on that (`skip_failed_rules`). Where one of these fails,
//! the statement has to: the rule after it puts a node in the place of the whole plan, of which no planner makes anything, neither here nor
//! on a cluster. There is nothing above it that could do without it.

use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNodeRewriter};
use datafusion::common::{DFSchemaRef, Result};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore, assert_expected_schema};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use crate::error::EngineError;

/// What failed, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Failure {
    rule: String,
    reason: String,
}

thread_local! {
    /// What one rule leaves for the next: a plan is optimised on one thread, and the rule's error goes no further than to a log.
    static FAILED: Cell<Option<Failure>> = const { Cell::new(None) };
}

/// A rule that has to succeed. [`Loud`] comes right after it, or after others of its kind.
///
/// It goes through the whole plan by itself: what the query engine finds wrong with a plan on its own way through, or with the columns that
/// come out, it tells nobody but a log.
#[derive(Debug)]
pub(super) struct Strict<R>(pub(super) R);

impl<R: OptimizerRule> OptimizerRule for Strict<R> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let rewritten = self.throughout(plan, config);
        // Where nothing is skipped, the error ends the statement by itself.
        if let Err(error) = &rewritten
            && config.options().optimizer.skip_failed_rules
        {
            FAILED.set(Some(Failure {
                rule: self.name().to_owned(),
                reason: error.to_string(),
            }));
        }
        rewritten
    }
}

impl<R: OptimizerRule> Strict<R> {
    fn throughout(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let schema = Arc::clone(plan.schema());
        let rewritten = match self.0.apply_order() {
            Some(order) => plan.rewrite_with_subqueries(&mut Throughout {
                rule: &self.0,
                order,
                config,
                below: Vec::new(),
            }),
            None => self.0.rewrite(plan, config),
        }?;
        assert_expected_schema(&schema, &rewritten.data)?;
        Ok(rewritten)
    }
}

/// Goes through a plan as the query engine does.
struct Throughout<'a, R> {
    rule: &'a R,
    order: ApplyOrder,
    config: &'a dyn OptimizerConfig,
    /// For each node that is open, the columns of those below it as they were.
    below: Vec<Vec<DFSchemaRef>>,
}

impl<R: OptimizerRule> TreeNodeRewriter for Throughout<'_, R> {
    type Node = LogicalPlan;

    fn f_down(&mut self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let rewritten = match self.order {
            ApplyOrder::TopDown => self.rule.rewrite(node, self.config)?,
            ApplyOrder::BottomUp => Transformed::no(node),
        };
        let below = rewritten.data.inputs().into_iter();
        self.below.push(below.map(|input| Arc::clone(input.schema())).collect());
        Ok(rewritten)
    }

    fn f_up(&mut self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let before = self.below.pop().unwrap_or_default();
        let is_same = |(input, before): (&LogicalPlan, &DFSchemaRef)| {
            Arc::ptr_eq(input.schema(), before) || input.schema() == before
        };
        let same = node.inputs().into_iter().zip(&before).all(is_same);
        let node = match same {
            true => node,
            false => node.recompute_schema()?,
        };
        match self.order {
            ApplyOrder::TopDown => Ok(Transformed::no(node)),
            ApplyOrder::BottomUp => self.rule.rewrite(node, self.config),
        }
    }
}

/// Lets no plan pass of which a rule that has to succeed did not.
#[derive(Debug)]
pub(super) struct Loud;

impl OptimizerRule for Loud {
    fn name(&self) -> &str {
        "failed_rules"
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let Some(failure) = FAILED.take() else {
            return Ok(Transformed::no(plan));
        };
        let failed = Failed {
            failure,
            schema: Arc::clone(plan.schema()),
        };
        let node = Arc::new(failed);
        Ok(Transformed::yes(LogicalPlan::Extension(Extension { node })))
    }
}

/// An optimised plan, if all rules that have to succeed did.
///
/// # Errors
/// [`EngineError::RuleFailed`] if one did not.
pub(crate) fn whole(plan: LogicalPlan) -> Result<LogicalPlan, EngineError> {
    let runs = match &plan {
        LogicalPlan::Explain(explain) => explain.plan.as_ref(),
        plan => plan,
    };
    if let LogicalPlan::Extension(Extension { node }) = runs
        && let Some(failed) = node.as_any().downcast_ref::<Failed>()
    {
        let Failure { rule, reason } = failed.failure.clone();
        return Err(EngineError::RuleFailed { rule, reason });
    }
    Ok(plan)
}

/// Stands for all rows of a plan that is not what it has to be.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Failed {
    failure: Failure,
    schema: DFSchemaRef,
}

/// As planners name it in their errors.
impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        UserDefinedLogicalNodeCore::fmt_for_explain(self, f)
    }
}

impl PartialOrd for Failed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.failure.cmp(&other.failure)).filter(|order| *order != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for Failed {
    fn name(&self) -> &str {
        "Failed"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { rule, reason } = &self.failure;
        write!(f, "Failed: {rule}: {reason}")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, _: Vec<LogicalPlan>) -> Result<Self> {
        Ok(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::RecordBatch;
    use datafusion::common::plan_err;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::optimizer::Optimizer;
    use datafusion::prelude::SessionContext;
    use tidewater_core::Coded;

    use super::*;
    use crate::runner::{PlanRequest, PlanRunner};
    use crate::session::Class;
    use crate::testing::{Lake, lines};

    type Rule = Arc<dyn OptimizerRule + Send + Sync>;

    const REASON: &str = "nothing suits this rule";

    #[derive(Debug)]
    struct Fails(Option<ApplyOrder>);

    impl OptimizerRule for Fails {
        fn name(&self) -> &str {
            "fails"
        }

        fn apply_order(&self) -> Option<ApplyOrder> {
            self.0
        }

        fn rewrite(&self, _: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
            plan_err!("{REASON}")
        }
    }

    /// Leaves nothing of a plan, nor of its columns.
    #[derive(Debug)]
    struct Empties(Option<ApplyOrder>);

    impl OptimizerRule for Empties {
        fn name(&self) -> &str {
            "empties"
        }

        fn apply_order(&self) -> Option<ApplyOrder> {
            self.0
        }

        fn rewrite(&self, _: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
            Ok(Transformed::yes(LogicalPlan::default()))
        }
    }

    /// A session that has these rules before all others.
    fn session(lake: &Lake, first: Vec<Rule>) -> SessionContext {
        let state = lake.session().state();
        let mut rules = first;
        rules.extend(state.optimizers().iter().cloned());
        let state = SessionStateBuilder::new_from_existing(state).with_optimizer_rules(rules);
        SessionContext::new_with_state(state.build())
    }

    async fn answer(lake: &Lake, session: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>, EngineError> {
        let request = PlanRequest {
            job: lake.job(),
            session: session.clone(),
            plan: lake.engine.plan(session, sql).await?,
            class: Class::Interactive,
            deadline: None,
        };
        lake.engine.local_runner().run(request).await?.collect().await
    }

    const STATEMENTS: [&str; 7] = [
        "SELECT 1 AS one",
        "SELECT x FROM (VALUES (1), (2)) AS v (x) LIMIT 0",
        "SELECT x FROM (VALUES (1), (2)) AS v (x) WHERE false",
        "SELECT count(*) AS n FROM (VALUES (1), (2)) AS v (x) WHERE x > 1",
        "SELECT x FROM (VALUES (1), (2)) AS v (x) WHERE EXISTS (SELECT 1 FROM (VALUES (2)) AS w (y) WHERE y = x)",
        "SELECT x FROM (VALUES (1)) AS v (x) UNION ALL SELECT y FROM (VALUES (2)) AS w (y)",
        "EXPLAIN SELECT x FROM (VALUES (1), (2)) AS v (x) LIMIT 0",
    ];

    // Goal: a rule that has to succeed and does not ends the statement with what it says, whatever could do without rows, and no other
    // statement after it. Method: one that always fails, however it goes through a plan, before statements that have few rows or none, as
    // they are run here and as a cluster plans them; then the same statements by the rules that there are.
    #[tokio::test]
    async fn failures_are_told() {
        let lake = Lake::new();
        for order in [None, Some(ApplyOrder::TopDown), Some(ApplyOrder::BottomUp)] {
            let session = session(&lake, vec![Arc::new(Strict(Fails(order))), Arc::new(Loud)]);
            for sql in STATEMENTS {
                let error = answer(&lake, &session, sql).await.expect_err(sql);
                assert_eq!(error.code(), "ENG-0025", "{sql}: {error:?}");
                assert!(error.to_string().contains(REASON), "{sql}: {error}");
                if sql.starts_with("EXPLAIN") {
                    continue;
                }
                let plan = lake.engine.plan(&session, sql).await.expect(sql);
                let planned = session.state().create_physical_plan(&plan).await;
                let error = planned.expect_err(sql).to_string();
                assert!(error.contains(REASON), "{sql}: {error}");
            }
        }
        let session = lake.session();
        for sql in STATEMENTS {
            answer(&lake, &session, sql).await.expect(sql);
            let plan = lake.engine.plan(&session, sql).await.expect(sql);
            session.state().create_physical_plan(&plan).await.expect(sql);
        }
    }

    // Goal: a rule that has to succeed and makes another plan than was asked for ends the statement. Method: one whose plans have no columns,
    // however it goes through a plan, which fails nowhere by itself.
    #[tokio::test]
    async fn other_columns_are_told() {
        let lake = Lake::new();
        for order in [None, Some(ApplyOrder::TopDown), Some(ApplyOrder::BottomUp)] {
            let session = session(&lake, vec![Arc::new(Strict(Empties(order))), Arc::new(Loud)]);
            for sql in STATEMENTS {
                let error = answer(&lake, &session, sql).await.expect_err(sql);
                assert_eq!(error.code(), "ENG-0025", "{sql}: {error:?}");
            }
        }
    }

    // Goal: any other rule that fails is passed over, as DataFusion's have to be. Method: the same rule on its own.
    #[tokio::test]
    async fn others_are_passed_over() {
        let lake = Lake::new();
        let session = session(&lake, vec![Arc::new(Fails(Some(ApplyOrder::BottomUp)))]);
        let sql = "SELECT x FROM (VALUES (1), (2)) AS v (x) WHERE x > 1";
        let rows = answer(&lake, &session, sql).await.expect("rows");
        assert_eq!(lines(&rows), ["2"]);
    }

    // Goal: each rule of ours without which rows may be wrong has to succeed. Method: those that do, by name, and what comes after each.
    #[test]
    fn failures_come_out() {
        let rules = crate::session::optimizer_rules(Optimizer::new().rules);
        let is_strict = |rule: &Rule| format!("{rule:?}").starts_with("Strict(");
        let strict = rules.iter().filter(|rule| is_strict(rule)).map(|rule| rule.name());
        let strict: Vec<&str> = strict.collect();
        let wanted = [
            "late_casts",
            "correlated_derived",
            "not_among",
            "correlated_keys",
            "listed_twice",
            "backslashes",
            "scaled_casts",
            "null_parts_of_conditions",
            "lossy_casts",
        ];
        assert_eq!(strict, wanted);
        for (at, _) in rules.iter().enumerate().filter(|(_, rule)| is_strict(rule)) {
            let next = rules.iter().skip(at).find(|rule| !is_strict(rule));
            assert_eq!(next.map(|rule| rule.name()), Some(Loud.name()), "after rule {at}");
        }
    }
}
