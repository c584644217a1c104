//! Functions that sessions and executors know besides DataFusion's own.

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use datafusion::prelude::SessionContext;

/// Functions to register everywhere a plan is made or run. A function must be known under the same name in every process,
/// for only its name travels with a plan.
#[derive(Debug, Clone, Default)]
pub struct Functions {
    scalar: Vec<Arc<ScalarUDF>>,
    aggregate: Vec<Arc<AggregateUDF>>,
    window: Vec<Arc<WindowUDF>>,
}

impl Functions {
    /// With one more scalar function.
    #[must_use]
    pub fn with_scalar(mut self, function: ScalarUDF) -> Self {
        self.scalar.push(Arc::new(function));
        self
    }

    /// With one more aggregate function.
    #[must_use]
    pub fn with_aggregate(mut self, function: AggregateUDF) -> Self {
        self.aggregate.push(Arc::new(function));
        self
    }

    /// With one more window function.
    #[must_use]
    pub fn with_window(mut self, function: WindowUDF) -> Self {
        self.window.push(Arc::new(function));
        self
    }

    /// Scalar functions.
    pub fn scalar(&self) -> &[Arc<ScalarUDF>] {
        &self.scalar
    }

    /// Aggregate functions.
    pub fn aggregate(&self) -> &[Arc<AggregateUDF>] {
        &self.aggregate
    }

    /// Window functions.
    pub fn window(&self) -> &[Arc<WindowUDF>] {
        &self.window
    }

    /// Makes them known to a session.
    pub fn register(&self, session: &SessionContext) {
        for function in &self.scalar {
            session.register_udf(function.as_ref().clone());
        }
        for function in &self.aggregate {
            session.register_udaf(function.as_ref().clone());
        }
        for function in &self.window {
            session.register_udwf(function.as_ref().clone());
        }
    }
}
