//! `<`, `<=`, `>` and `>=` of lists, among whose elements a null is the largest, as in PostgreSQL (9.19) and where the query engine sorts
//! them. Its operators take it for the smallest.

use std::cmp::Ordering;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, BooleanArray, Datum, make_comparator};
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::expr::{Between, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, not,
};
use datafusion::physical_expr_common::datum::apply;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

const COMPARISONS: [Comparison; 4] = [
    Comparison::Less,
    Comparison::LessOrEqual,
    Comparison::Greater,
    Comparison::GreaterOrEqual,
];

impl Comparison {
    fn of(operator: Operator) -> Option<Self> {
        COMPARISONS.into_iter().find(|known| known.operator() == operator)
    }

    fn operator(self) -> Operator {
        match self {
            Self::Less => Operator::Lt,
            Self::LessOrEqual => Operator::LtEq,
            Self::Greater => Operator::Gt,
            Self::GreaterOrEqual => Operator::GtEq,
        }
    }

    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// A comparison of lists; null where a list is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ListOrder {
    comparison: Comparison,
    signature: Signature,
}

impl ListOrder {
    fn new(comparison: Comparison) -> Self {
        Self {
            comparison,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    fn no_lists<T>(&self) -> Result<T> {
        plan_err!("No function matches: {} takes two lists", self.name())
    }
}

fn known() -> &'static [Arc<ScalarUDF>; 4] {
    static KNOWN: LazyLock<[Arc<ScalarUDF>; 4]> =
        LazyLock::new(|| COMPARISONS.map(|comparison| Arc::new(ScalarUDF::new_from_impl(ListOrder::new(comparison)))));
    &KNOWN
}

/// The functions, as plans have them. They are known by their names wherever they travel.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    known().to_vec()
}

fn call(comparison: Comparison, left: Expr, right: Expr) -> Expr {
    let function = Arc::clone(&known()[comparison as usize]);
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![left, right]))
}

impl ScalarUDFImpl for ListOrder {
    fn name(&self) -> &str {
        match self.comparison {
            Comparison::Less => "list_less",
            Comparison::LessOrEqual => "list_less_or_equal",
            Comparison::Greater => "list_greater",
            Comparison::GreaterOrEqual => "list_greater_or_equal",
        }
    }

    /// As columns of the operators are called.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let operator = self.comparison.operator();
        match args {
            [left, right] => Ok(format!("{} {operator} {}", left.schema_name(), right.schema_name())),
            _ => self.no_lists(),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, kinds: &[DataType]) -> Result<Vec<DataType>> {
        let [left, right] = kinds else {
            return self.no_lists();
        };
        let operator = self.comparison.operator();
        let (left, right) = BinaryTypeCoercer::new(left, &operator, right).get_input_types()?;
        Ok(vec![left, right])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [left, right] => apply(left, right, |left, right| compared(self.comparison, left, right)),
            _ => self.no_lists(),
        }
    }
}

fn compared(comparison: Comparison, left: &dyn Datum, right: &dyn Datum) -> Result<ArrayRef, ArrowError> {
    let ((left, left_constant), (right, right_constant)) = (left.get(), right.get());
    let rows = if left_constant { right.len() } else { left.len() };
    let options = SortOptions {
        descending: false,
        nulls_first: false,
    };
    let order = make_comparator(left, right, options)?;
    let found = (0..rows).map(|row| {
        let at = if left_constant { 0 } else { row };
        let beside = if right_constant { 0 } else { row };
        let known = left.is_valid(at) && right.is_valid(beside);
        known.then(|| comparison.holds(order(at, beside)))
    });
    Ok(Arc::new(found.collect::<BooleanArray>()))
}

/// Puts these functions in the places of the operators, and of `BETWEEN`.
#[derive(Debug)]
pub(super) struct Compared;

impl FunctionRewrite for Compared {
    fn name(&self) -> &str {
        "lists_with_nulls_that_are_compared"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match Comparison::of(op) {
                Some(comparison) if is_list(&left, schema) && is_list(&right, schema) => {
                    Ok(Transformed::yes(call(comparison, *left, *right)))
                }
                _ => Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
            },
            Expr::Between(Between {
                expr,
                negated,
                low,
                high,
            }) if is_list(&expr, schema) && is_list(&low, schema) && is_list(&high, schema) && !expr.is_volatile() => {
                let above = call(Comparison::GreaterOrEqual, expr.as_ref().clone(), *low);
                let between = above.and(call(Comparison::LessOrEqual, *expr, *high));
                Ok(Transformed::yes(if negated { not(between) } else { between }))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

fn is_list(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(
        expr.get_type(schema),
        Ok(DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..))
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: a null is the largest of elements and equal to another one, a list that is null is not known; by plans that travelled too.
    // Method: comparisons of columns and with constants, against answers of PostgreSQL 15.
    #[tokio::test]
    async fn nulls_are_the_largest() {
        let lake = Lake::new();
        let rows = "(VALUES (1, [1, NULL], [1, 2]), (2, [1, NULL], [1, NULL]), (3, [1], [1, NULL]), (4, [NULL, 1], [NULL, 2]), \
                    (5, NULL, [1]), (6, [], [NULL])) AS v (id, a, b)";
        let asked =
            "a < b, a <= b, a > b, a >= b, a = b, a < [1, 2], [1, 2] < a, a BETWEEN [1] AND b, a NOT BETWEEN [1] AND b";
        let sql = format!("SELECT id, {asked} FROM {rows} ORDER BY id");
        let wanted = [
            "1,false,false,true,true,false,false,true,false,true",
            "2,false,true,false,true,true,false,true,true,false",
            "3,true,true,false,false,false,true,false,true,false",
            "4,true,true,false,false,false,false,true,true,false",
            "5,,,,,,,,,",
            "6,true,true,false,false,false,true,false,false,true",
        ];
        assert_eq!(lake.lines(&sql).await, wanted);
        assert_eq!(lake.travelled(&sql).await.expect("an answer"), wanted);
    }

    // Goal: sorts and groups have the same order and equality. Method: the places of lists with nulls, sorted both ways, and their groups.
    #[tokio::test]
    async fn sorts_and_groups_agree() {
        let lake = Lake::new();
        let rows =
            "(VALUES (1, [1, NULL]), (2, [1, 2]), (3, [1, NULL]), (4, [NULL]), (5, [1]), (6, NULL)) AS v (id, a)";
        let places = "row_number() OVER (ORDER BY a, id), row_number() OVER (ORDER BY a DESC, id DESC)";
        let sorted = lake.lines(&format!("SELECT id, {places} FROM {rows}")).await;
        assert_eq!(sorted, ["1,3,4", "2,2,5", "3,4,3", "4,5,2", "5,1,6", "6,6,1"]);
        let grouped = lake
            .lines(&format!("SELECT max(id), count(*) FROM {rows} GROUP BY a"))
            .await;
        assert_eq!(grouped, ["2,1", "3,2", "4,1", "5,1", "6,1"]);
    }
}
