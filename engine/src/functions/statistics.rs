//! Variances, deviations, covariances, the correlation and the line of regression: DataFusion's, but for frames whose beginning moves
//! (`sliding`). `regr_count` only counts, which loses nothing.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::functions_aggregate::correlation::corr_udaf;
use datafusion::functions_aggregate::covariance::{covar_pop_udaf, covar_samp_udaf};
use datafusion::functions_aggregate::regr::{
    regr_avgx_udaf, regr_avgy_udaf, regr_intercept_udaf, regr_r2_udaf, regr_slope_udaf, regr_sxx_udaf, regr_sxy_udaf,
    regr_syy_udaf,
};
use datafusion::functions_aggregate::stddev::{stddev_pop_udaf, stddev_udaf};
use datafusion::functions_aggregate::variance::{var_pop_udaf, var_samp_udaf};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, Signature,
};

use super::sliding::{Moments, Pairs, over};

/// What is told of numbers, or of pairs of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    VarianceOfAll,
    VarianceOfSample,
    DeviationOfAll,
    DeviationOfSample,
    CovarianceOfAll,
    CovarianceOfSample,
    Correlation,
    Determination,
    Slope,
    Intercept,
    MeanOfX,
    MeanOfY,
    SquaresOfX,
    SquaresOfY,
    Products,
}

impl Kind {
    fn sliding(self) -> Box<dyn Accumulator> {
        match self {
            Self::VarianceOfAll => over::<Moments>(Moments::of_all),
            Self::VarianceOfSample => over::<Moments>(Moments::of_sample),
            Self::DeviationOfAll => over::<Moments>(|rows| rows.of_all().map(f64::sqrt)),
            Self::DeviationOfSample => over::<Moments>(|rows| rows.of_sample().map(f64::sqrt)),
            Self::CovarianceOfAll => over::<Pairs>(Pairs::of_all),
            Self::CovarianceOfSample => over::<Pairs>(Pairs::of_sample),
            Self::Correlation => over::<Pairs>(Pairs::correlation),
            Self::Determination => over::<Pairs>(Pairs::determination),
            Self::Slope => over::<Pairs>(Pairs::slope),
            Self::Intercept => over::<Pairs>(Pairs::intercept),
            Self::MeanOfX => over::<Pairs>(|rows| rows.kept(rows.x.mean)),
            Self::MeanOfY => over::<Pairs>(|rows| rows.kept(rows.y.mean)),
            Self::SquaresOfX => over::<Pairs>(|rows| rows.kept(rows.x.squares)),
            Self::SquaresOfY => over::<Pairs>(|rows| rows.kept(rows.y.squares)),
            Self::Products => over::<Pairs>(|rows| rows.kept(rows.products)),
        }
    }
}

/// One of them.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Statistic {
    inner: Arc<AggregateUDF>,
    kind: Kind,
}

/// All of them, under DataFusion's names.
pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let all = [
        (var_pop_udaf(), Kind::VarianceOfAll),
        (var_samp_udaf(), Kind::VarianceOfSample),
        (stddev_pop_udaf(), Kind::DeviationOfAll),
        (stddev_udaf(), Kind::DeviationOfSample),
        (covar_pop_udaf(), Kind::CovarianceOfAll),
        (covar_samp_udaf(), Kind::CovarianceOfSample),
        (corr_udaf(), Kind::Correlation),
        (regr_r2_udaf(), Kind::Determination),
        (regr_slope_udaf(), Kind::Slope),
        (regr_intercept_udaf(), Kind::Intercept),
        (regr_avgx_udaf(), Kind::MeanOfX),
        (regr_avgy_udaf(), Kind::MeanOfY),
        (regr_sxx_udaf(), Kind::SquaresOfX),
        (regr_syy_udaf(), Kind::SquaresOfY),
        (regr_sxy_udaf(), Kind::Products),
    ];
    all.into_iter()
        .map(|(inner, kind)| Arc::new(AggregateUDF::new_from_impl(Statistic { inner, kind })))
        .collect()
}

impl AggregateUDFImpl for Statistic {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.inner.accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match args.is_distinct {
            true => self.inner.create_sliding_accumulator(args),
            false => Ok(self.kind.sliding()),
        }
    }

    /// That of correlations adds up squares of the numbers as they are, of which nothing is left where they are far from zero.
    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.kind != Kind::Correlation && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_udf()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

#[cfg(test)]
mod tests;
