//! The last check of a physical plan, whose failure is a defect and tells nobody the plan.
//!
//! DataFusion 55.2 refuses a plan whose rows do not come as an operator needs them by an error that reads as if the statement were wrong,
//! and that has the whole plan in its text: the paths of files, and what they are filtered by.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::config::ConfigOptions;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

use crate::error::EngineError;

/// The name of the rule that checks plans.
pub(super) const CHECK: &str = "SanityCheckPlan";

/// That rule. What it finds goes to the log.
#[derive(Debug)]
pub(super) struct PlanCheck(pub(super) Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for PlanCheck {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        self.0.optimize(plan, config).map_err(|error| {
            tracing::debug!(%error, "the plan is refused");
            let failed = EngineError::RuleFailed {
                rule: CHECK.to_owned(),
                reason: "rows would not come as an operator needs them".to_owned(),
            };
            failed.into()
        })
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::Schema;
    use datafusion::common::plan_err;
    use datafusion::physical_plan::empty::EmptyExec;
    use tidewater_core::{Coded, ErrorKind};

    use super::*;
    use crate::session::same_names::rules;

    const PATH: &str = "s3://lake/silver/visits/data.parquet";

    #[derive(Debug)]
    struct Refuses;

    impl PhysicalOptimizerRule for Refuses {
        fn optimize(&self, _: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
            plan_err!("Plan: [\"{PATH}\"] does not satisfy order requirements")
        }

        fn name(&self) -> &str {
            CHECK
        }

        fn schema_check(&self) -> bool {
            true
        }
    }

    // Goal: a plan that does not pass the last check is an internal error in which the plan is not told. Method: a check that always fails
    // with a path in its text; and that the check of our sessions is one of these.
    #[test]
    fn plans_are_not_told() {
        let plan = Arc::new(EmptyExec::new(Arc::new(Schema::empty())));
        let checked = PlanCheck(Arc::new(Refuses)).optimize(plan, &ConfigOptions::new());
        let error = EngineError::from(checked.expect_err("a plan that is refused"));
        assert_eq!(
            (error.code(), error.kind()),
            ("ENG-0025", ErrorKind::Internal),
            "{error:?}"
        );
        assert!(!format!("{error:?}").contains(PATH), "{error:?}");
        let last = rules().pop().map(|rule| format!("{rule:?}"));
        assert_eq!(last.as_deref(), Some("PlanCheck(SanityCheckPlan)"));
    }
}
