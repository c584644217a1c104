//! Variances, deviations, covariances, the correlation and the line of regression: DataFusion's, but for frames whose beginning moves
//! (`sliding`), for `DISTINCT`, which it ignores or refuses (`distinct`), and for numbers that are none, or infinite (`alone`).

mod alone;
mod distinct;

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::correlation::corr_udaf;
use datafusion::functions_aggregate::covariance::{covar_pop_udaf, covar_samp_udaf};
use datafusion::functions_aggregate::regr::{
    regr_avgx_udaf, regr_avgy_udaf, regr_count_udaf, regr_intercept_udaf, regr_r2_udaf, regr_slope_udaf, regr_sxx_udaf,
    regr_sxy_udaf, regr_syy_udaf,
};
use datafusion::functions_aggregate::stddev::{stddev_pop_udaf, stddev_udaf};
use datafusion::functions_aggregate::variance::{var_pop_udaf, var_samp_udaf};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, Signature,
};

use self::alone::Alone;
use self::distinct::Distinct;
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
    Count,
}

/// How it is told of a tally of the rows.
#[derive(Debug, Clone, Copy)]
enum Told {
    OfNumbers(fn(Moments) -> Option<f64>),
    OfPairs(fn(Pairs) -> Option<f64>),
    /// How many pairs there are.
    Count,
}

impl Told {
    /// How many columns it is told of.
    fn columns(self) -> usize {
        match self {
            Self::OfNumbers(_) => 1,
            Self::OfPairs(_) | Self::Count => 2,
        }
    }
}

impl Kind {
    fn told(self) -> Told {
        match self {
            Self::VarianceOfAll => Told::OfNumbers(Moments::of_all),
            Self::VarianceOfSample => Told::OfNumbers(Moments::of_sample),
            Self::DeviationOfAll => Told::OfNumbers(|rows| rows.of_all().map(f64::sqrt)),
            Self::DeviationOfSample => Told::OfNumbers(|rows| rows.of_sample().map(f64::sqrt)),
            Self::CovarianceOfAll => Told::OfPairs(Pairs::of_all),
            Self::CovarianceOfSample => Told::OfPairs(Pairs::of_sample),
            Self::Correlation => Told::OfPairs(Pairs::correlation),
            Self::Determination => Told::OfPairs(Pairs::determination),
            Self::Slope => Told::OfPairs(Pairs::slope),
            Self::Intercept => Told::OfPairs(Pairs::intercept),
            Self::MeanOfX => Told::OfPairs(|rows| rows.kept(rows.x.mean)),
            Self::MeanOfY => Told::OfPairs(|rows| rows.kept(rows.y.mean)),
            Self::SquaresOfX => Told::OfPairs(|rows| rows.kept(rows.x.squares)),
            Self::SquaresOfY => Told::OfPairs(|rows| rows.kept(rows.y.squares)),
            Self::Products => Told::OfPairs(|rows| rows.kept(rows.products)),
            Self::Count => Told::Count,
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
        (regr_count_udaf(), Kind::Count),
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

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if !args.is_distinct {
            return self.inner.state_fields(args);
        }
        let column = |at: usize| {
            let name = format_state_name(args.name, &format!("distinct_{at}"));
            Arc::new(Field::new(name, DataType::new_list(DataType::Float64, true), true))
        };
        Ok((0..self.kind.told().columns()).map(column).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return Ok(Box::new(Distinct::new(self.kind.told())));
        }
        let inner = self.inner.accumulator(args)?;
        Ok(match self.kind {
            Kind::VarianceOfAll | Kind::DeviationOfAll | Kind::Correlation => Box::new(Alone(inner)),
            _ => inner,
        })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match (args.is_distinct, self.kind.told()) {
            // It forgets rows too.
            (true, told) => Ok(Box::new(Distinct::new(told))),
            (false, Told::OfNumbers(told)) => Ok(over::<Moments>(told)),
            (false, Told::OfPairs(told)) => Ok(over::<Pairs>(told)),
            // What only counts loses nothing.
            (false, Told::Count) => self.inner.create_sliding_accumulator(args),
        }
    }

    /// That of correlations adds up squares of the numbers as they are, of which nothing is left where they are far from zero.
    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct && self.kind != Kind::Correlation && self.inner.groups_accumulator_supported(args)
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
