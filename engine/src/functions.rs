//! Functions that sessions and executors know besides DataFusion's own.

mod appended;
mod bounded;
mod exclusive;
mod extreme;
mod growth;
pub(crate) mod interval_length;
mod list_order;
pub(crate) mod list_sets;
mod longest;
mod mean;
mod one_way;
pub(crate) mod perhaps;
pub(crate) mod plain_list;
pub(crate) mod quotient;
pub(crate) mod rounded;
pub(crate) mod rounded_within;
mod sliding;
mod statistics;
mod sum;
mod text_concat;
mod whole;
pub(crate) mod wide;

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::execution::{FunctionRegistry, SessionStateDefaults};
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use datafusion::prelude::SessionContext;

use self::appended::Appended;
pub(crate) use self::bounded::BYTES_MAX;
use self::bounded::Bounded;
use self::exclusive::Exclusive;
use self::extreme::Extreme;
use self::interval_length::{ByLength, IntervalLength};
use self::mean::Mean;
use self::perhaps::Perhaps;
use self::plain_list::PlainList;
use self::quotient::Quotient;
use self::rounded::Rounded;
use self::rounded_within::RoundedWithin;
use self::sum::Sum;
use self::text_concat::TextConcat;
pub(crate) use self::text_concat::within_limits;
use crate::compaction;
use crate::session::ZONE;
use crate::write;

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

    /// How texts are joined within limits.
    pub(crate) fn text_concat(&self) -> Option<&Arc<ScalarUDF>> {
        self.scalar
            .iter()
            .rev()
            .find(|function| function.name() == text_concat::NAME)
    }

    /// With the functions that can make much of little, ours and DataFusion's, within limits, and those of DataFusion's that we mend.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        for extreme in [Extreme::largest(), Extreme::smallest()] {
            self.aggregate.push(Arc::new(AggregateUDF::new_from_impl(extreme)));
        }
        self.aggregate.push(Arc::new(AggregateUDF::new_from_impl(Sum::new())));
        self.aggregate.push(Arc::new(AggregateUDF::new_from_impl(Mean::new())));
        self.aggregate.extend(statistics::functions());
        self.aggregate.extend(one_way::aggregates());
        self.window.extend(one_way::windows());
        self.scalar.push(Arc::new(ScalarUDF::new_from_impl(TextConcat::new())));
        self.scalar.push(Arc::new(ScalarUDF::new_from_impl(Quotient::new())));
        self.scalar.push(Arc::new(ScalarUDF::new_from_impl(Perhaps::new())));
        self.scalar.push(Arc::new(ScalarUDF::new_from_impl(PlainList::new())));
        self.scalar.push(Arc::new(ScalarUDF::new_from_impl(Rounded::new())));
        self.scalar
            .push(Arc::new(ScalarUDF::new_from_impl(RoundedWithin::new())));
        self.scalar
            .push(Arc::new(ScalarUDF::new_from_impl(IntervalLength::new())));
        self.scalar.extend(whole::functions());
        self.scalar.extend(list_order::functions());
        self.scalar.extend(list_sets::functions());
        self.scalar.extend(in_our_zone());
        // Rows are sorted by it on executors too.
        self.scalar.push(Arc::new(compaction::zorder()));
        self.scalar.push(Arc::new(write::iceberg_transform()));
        let known = SessionStateDefaults::default_scalar_functions();
        for (name, growth) in growth::KNOWN {
            let ours = self.scalar.iter().rev().find(|function| function.name() == *name);
            let found = ours.or_else(|| known.iter().find(|function| function.name() == *name));
            if let Some(function) = found {
                let bounded = Bounded::new(Arc::clone(function), *growth);
                self.scalar.push(Arc::new(ScalarUDF::new_from_impl(bounded)));
            }
        }
        self
    }

    /// Makes them known to a session, whose operators of whole numbers become functions that fail where they overflow.
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
        let state = session.state_ref();
        let mut state = state.write();
        // Each is added to the others: there is no way to fail.
        let _ = state.register_function_rewrite(Arc::new(whole::Checked));
        let _ = state.register_function_rewrite(Arc::new(Exclusive));
        let _ = state.register_function_rewrite(Arc::new(list_order::Compared));
        let _ = state.register_function_rewrite(Arc::new(ByLength));
        let _ = state.register_function_rewrite(Arc::new(Appended::of(&self.scalar)));
    }
}

/// DataFusion's functions whose type is told by the zone of the session, as ours have it. Executors, which know of no session, would else make
/// values of another type than the plan says.
fn in_our_zone() -> Vec<Arc<ScalarUDF>> {
    let mut config = ConfigOptions::new();
    config.execution.time_zone = Some(ZONE.to_owned());
    let known = SessionStateDefaults::default_scalar_functions().into_iter();
    known
        .filter_map(|function| function.inner().with_updated_config(&config).map(Arc::new))
        .collect()
}
