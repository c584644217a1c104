use datafusion::arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int64Array, StringArray};
use datafusion::common::DFSchema;
use datafusion::prelude::{SessionContext, col, lit};
use datafusion::scalar::ScalarValue;
use tidewater_core::{Rng, SeededRng};

use super::*;

const ROWS: u64 = 300;

fn batch(rng: &SeededRng) -> RecordBatch {
    let some = |most: u64| {
        (0..ROWS)
            .map(|_| (rng.below(9) > 0).then(|| rng.below(most)))
            .collect::<Vec<_>>()
    };
    let ints: Int64Array = some(10).into_iter().map(|of| of.map(|of| of as i64)).collect();
    let days: Date32Array = some(20).into_iter().map(|of| of.map(|of| of as i32)).collect();
    let sums: Decimal128Array = some(50).into_iter().map(|of| of.map(i128::from)).collect();
    let texts: StringArray = some(5).into_iter().map(|of| of.map(|of| format!("t{of}"))).collect();
    let sums = sums.with_precision_and_scale(10, 2).expect("a decimal");
    let columns: [(&str, ArrayRef); 4] = [
        ("n", Arc::new(ints)),
        ("day", Arc::new(days)),
        ("sum", Arc::new(sums)),
        ("t", Arc::new(texts)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, of)| (name, of, true))).expect("a batch")
}

fn condition(rng: &SeededRng) -> datafusion::logical_expr::Expr {
    let number = rng.below(10) as i64;
    let sum = lit(ScalarValue::Decimal128(Some(i128::from(rng.below(50))), 10, 2));
    match rng.below(9) {
        0 => col("n").lt(lit(number)),
        1 => col("n").gt_eq(lit(number)).or(col("sum").lt(sum)),
        2 => col("day").not_eq(lit(ScalarValue::Date32(Some(number as i32)))),
        3 => col("sum").gt(sum),
        4 => col("t").eq(lit(format!("t{}", rng.below(5)))),
        5 => col("t").like(lit("%3")).or(col("n").eq(lit(number))),
        6 => col("n").is_not_null(),
        7 => (col("n") + lit(1_i64)).in_list(vec![lit(2_i64), lit(number), lit(7_i64)], false),
        _ => col("t")
            .is_null()
            .or(col("day").lt(lit(ScalarValue::Date32(Some(number as i32))))),
    }
}

// Goal: the rows that pass are those that pass all conditions, whatever their order. Method: random conditions over random rows with nulls,
// against those that DataFusion lets pass.
#[test]
fn the_same_rows_pass() {
    let rng = SeededRng::new(17);
    let session = SessionContext::new();
    let (mut ordered, mut passed) = (0, 0);
    for _ in 0..2_000 {
        let batch = batch(&rng);
        let schema = DFSchema::try_from(batch.schema()).expect("a schema");
        let parts = (0..2 + rng.below(4)).map(|_| condition(&rng));
        let whole = parts.reduce(datafusion::logical_expr::Expr::and).expect("conditions");
        let whole = session.create_physical_expr(whole, &schema).expect("an expression");
        let Some(conditions) = Conditions::of(&whole, &batch.schema()).expect("conditions") else {
            continue;
        };
        ordered += 1;
        let want = truths(whole.evaluate(&batch).expect("truths"), batch.num_rows()).expect("truths");
        let found = truths(conditions.evaluate(&batch).expect("truths"), batch.num_rows()).expect("truths");
        assert_eq!(found, want, "{whole}");
        passed += found.count_set_bits();
    }
    assert!(
        ordered > 1_000 && passed > 10_000,
        "{ordered} conditions, {passed} rows"
    );
}

// Goal: quick is what compares columns as they are. Method: conditions of each kind.
#[test]
fn quick_conditions_are_told() {
    let batch = batch(&SeededRng::new(1));
    let schema = DFSchema::try_from(batch.schema()).expect("a schema");
    let session = SessionContext::new();
    for (condition, quick) in [
        (col("n").lt(lit(3_i64)), true),
        (col("n").eq(col("n")).or(col("sum").is_null()), true),
        (col("t").eq(lit("a")), false),
        ((col("n") / lit(2_i64)).eq(lit(1_i64)), false),
        (col("n").lt(lit(3_i64)).and(col("t").like(lit("a%"))), false),
    ] {
        let expression = session
            .create_physical_expr(condition.clone(), &schema)
            .expect("an expression");
        assert_eq!(is_quick(&expression, &batch.schema()), quick, "{condition}");
    }
}
