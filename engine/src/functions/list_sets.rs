//! `@>` and `&&` of lists (PostgreSQL 15, 9.19): a null is in no list, and where a list is null the answer is. DataFusion's `array_has_all`
//! and `array_has_any` find a null of one list in the other, and do not look for lists that are null beside empty ones.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Datum, ListArray};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{ArrowNativeType, DataType};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::row::{Row, RowConverter, Rows, SortField};
use datafusion::common::utils::normalize_float_zero;
use datafusion::common::{HashSet, Result, plan_err};
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;

/// What is asked of two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Question {
    /// Whether each element of the second is in the first.
    Contain,
    /// Whether one is in both.
    Overlap,
}

const QUESTIONS: [Question; 2] = [Question::Contain, Question::Overlap];

#[derive(Debug, PartialEq, Eq, Hash)]
struct ListSets {
    question: Question,
    signature: Signature,
}

impl ListSets {
    fn new(question: Question) -> Self {
        Self {
            question,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    fn no_lists<T>(&self) -> Result<T> {
        plan_err!("No function matches: {} takes two lists of one type", self.name())
    }
}

fn known() -> &'static [Arc<ScalarUDF>; 2] {
    static KNOWN: LazyLock<[Arc<ScalarUDF>; 2]> =
        LazyLock::new(|| QUESTIONS.map(|question| Arc::new(ScalarUDF::new_from_impl(ListSets::new(question)))));
    &KNOWN
}

/// The functions, as plans have them. They are known by their names wherever they travel.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    known().to_vec()
}

fn call(question: Question, lists: Vec<Expr>) -> Expr {
    let function = Arc::clone(&known()[question as usize]);
    Expr::ScalarFunction(ScalarFunction::new_udf(function, lists))
}

/// `whole @> part`.
pub(crate) fn contain(whole: Expr, part: Expr) -> Expr {
    call(Question::Contain, vec![whole, part])
}

/// `one && other`.
pub(crate) fn overlap(one: Expr, other: Expr) -> Expr {
    call(Question::Overlap, vec![one, other])
}

impl ScalarUDFImpl for ListSets {
    fn name(&self) -> &str {
        match self.question {
            Question::Contain => "lists_contain",
            Question::Overlap => "lists_overlap",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, kinds: &[DataType]) -> Result<Vec<DataType>> {
        let [one, other] = kinds else {
            return self.no_lists();
        };
        let (one, other) = BinaryTypeCoercer::new(one, &Operator::Eq, other).get_input_types()?;
        let coerced = [one, other].map(|kind| match kind {
            DataType::LargeList(item) | DataType::FixedSizeList(item, _) => DataType::List(item),
            kind => kind,
        });
        match &coerced {
            [DataType::List(_), DataType::List(_)] => Ok(coerced.to_vec()),
            _ => self.no_lists(),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [one, other] => apply(one, other, |one, other| answers(self.question, one, other)),
            _ => self.no_lists(),
        }
    }
}

/// The lists of one side, with their elements in a form that is the same where they are.
struct Side<'a> {
    lists: &'a ListArray,
    nulls: Option<NullBuffer>,
    elements: Rows,
    /// Where the elements begin among the values.
    begin: usize,
    /// Whether there is one list for all rows.
    constant: bool,
}

impl<'a> Side<'a> {
    fn of(lists: &'a ListArray, constant: bool, converter: &RowConverter) -> Result<Self, ArrowError> {
        let offsets = lists.value_offsets();
        let begin = offsets.first().map_or(0, |at| at.as_usize());
        let end = offsets.last().map_or(begin, |at| at.as_usize());
        // Zeros are equal whatever their sign.
        let values = normalize_float_zero(&lists.values().slice(begin, end - begin));
        Ok(Self {
            lists,
            nulls: lists.values().logical_nulls(),
            elements: converter.convert_columns(&[values])?,
            begin,
            constant,
        })
    }

    /// The elements of a row's list, of which null ones are none. None of a list that is null.
    fn elements(&self, row: usize) -> Option<impl Iterator<Item = Option<Row<'_>>>> {
        let row = if self.constant { 0 } else { row };
        if self.lists.is_null(row) {
            return None;
        }
        let offsets = self.lists.value_offsets();
        let (begin, end) = (offsets.get(row)?.as_usize(), offsets.get(row + 1)?.as_usize());
        let element = move |at: usize| {
            let known = self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(at));
            known.then(|| self.elements.row(at - self.begin))
        };
        Some((begin..end).map(element))
    }

    fn known(&self, row: usize) -> Option<HashSet<Row<'_>>> {
        Some(self.elements(row)?.flatten().collect())
    }
}

fn answers(question: Question, one: &dyn Datum, other: &dyn Datum) -> Result<ArrayRef, ArrowError> {
    let ((one, one_constant), (other, other_constant)) = (one.get(), other.get());
    let rows = if one_constant { other.len() } else { one.len() };
    let (Some(one), Some(other)) = (one.as_list_opt::<i32>(), other.as_list_opt::<i32>()) else {
        let told = format!("{} and {} are no lists", one.data_type(), other.data_type());
        return Err(ArrowError::InvalidArgumentError(told));
    };
    let converter = RowConverter::new(vec![SortField::new(one.value_type())])?;
    let one = Side::of(one, one_constant, &converter)?;
    let other = Side::of(other, other_constant, &converter)?;
    // It does not matter which of two lists is which if they have to share something; a constant is looked through once.
    let (whole, part) = match question {
        Question::Overlap if other.constant => (&other, &one),
        _ => (&one, &other),
    };
    let constant = whole.constant.then(|| whole.known(0));
    let found = (0..rows).map(|row| {
        let own;
        let known = match &constant {
            Some(known) => known,
            None => {
                own = whole.known(row);
                &own
            }
        };
        let (known, mut part) = (known.as_ref()?, part.elements(row)?);
        Some(match question {
            Question::Contain => part.all(|element| element.is_some_and(|element| known.contains(&element))),
            Question::Overlap => part.flatten().any(|element| known.contains(&element)),
        })
    });
    Ok(Arc::new(found.collect::<BooleanArray>()))
}

#[cfg(test)]
mod tests {
    use crate::testing::Lake;

    // Goal: a null is found in no list, an empty list is in every one, and a list that is null is not known; by plans that travelled too.
    // Method: `@>`, `<@` and `&&` of columns and constants, against answers of PostgreSQL 15.
    #[tokio::test]
    async fn nulls_are_not_found() {
        let lake = Lake::new();
        let rows = "(VALUES (1, [1, NULL], [1]), (2, [1, NULL], [NULL, 1]), (3, [1, 2], [2, 1, 2]), (4, [1], []), (5, NULL, []), \
                    (6, [3], NULL), (7, [], [NULL, 3])) AS v (id, a, b)";
        let asked = "a @> b, b <@ a, a && b, a @> [1], a @> [NULL, 1], a && [NULL, 1], [1, 2] @> a, [1, 2] && b";
        let sql = format!("SELECT id, {asked} FROM {rows} ORDER BY id");
        let wanted = [
            "1,true,true,true,true,false,true,false,true",
            "2,false,false,true,true,false,true,false,true",
            "3,true,true,true,true,false,true,true,true",
            "4,true,true,false,true,false,true,true,false",
            "5,,,,,,,,false",
            "6,,,,false,false,false,false,",
            "7,false,false,false,false,false,false,true,false",
        ];
        assert_eq!(lake.lines(&sql).await, wanted);
        assert_eq!(lake.travelled(&sql).await.expect("an answer"), wanted);
    }

    // Goal: elements of other types are compared as they are, and what is no list is refused. Method: texts, a table's own list beside a
    // written one, lists of lists; numbers beside a list.
    #[tokio::test]
    async fn elements_of_any_type_are_compared() {
        let lake = Lake::new();
        for (asked, wanted) in [
            ("['a', NULL] && ['b', NULL]", "false"),
            ("['a', 'b'] @> ['b', 'b']", "true"),
            ("[CAST(1 AS int)] <@ [CAST(1 AS bigint), 2]", "true"),
            ("[[1], [2]] @> [[2]]", "true"),
            ("[NULL] @> [NULL]", "false"),
            ("([1] && NULL) IS NULL", "true"),
            ("[DATE '2024-01-01'] && [DATE '2024-01-01', NULL]", "true"),
            ("[CAST('-0' AS double)] && [CAST('0' AS double)]", "true"),
            ("[CAST(1.5 AS decimal(4, 1))] <@ [CAST(1.50 AS decimal(6, 3))]", "true"),
            ("[CAST(1 AS int)] @> [CAST(1.5 AS double)]", "false"),
        ] {
            assert_eq!(lake.lines(&format!("SELECT {asked}")).await, [wanted], "{asked}");
        }
        lake.refused("SELECT [1] && 1").await;
    }
}
