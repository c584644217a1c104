//! Which columns are means, and which digits they get.

use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use iceberg::spec::{PrimitiveType, Type};
use serde_json::{Value, json};
use tidewater_table::schema;

use super::kept;
use crate::testing::{Lake, table_name};
use crate::{Pipelines, RunOptions, RunReport, Selection};

/// Queries whose second column is a mean, however it gets there.
const QUERIES: [&str; 6] = [
    "SELECT ward, avg(amount) AS mean FROM silver.costs GROUP BY ward",
    "SELECT * FROM (SELECT ward, avg(amount) AS mean FROM silver.costs GROUP BY ward) AS t ORDER BY ward",
    "WITH m AS (SELECT ward, avg(amount) AS mean FROM silver.costs GROUP BY ward) \
     SELECT w.ward, m.mean FROM (SELECT DISTINCT ward FROM silver.costs) AS w JOIN m ON w.ward = m.ward",
    "SELECT ward, mean FROM (SELECT ward, avg(amount) OVER (PARTITION BY ward) AS mean, \
     row_number() OVER (PARTITION BY ward ORDER BY amount) AS place FROM silver.costs) AS t WHERE place = 1",
    "SELECT ward, avg(amount) AS mean FROM silver.costs GROUP BY GROUPING SETS ((ward))",
    "SELECT ward, avg(amount) AS mean FROM silver.costs WHERE ward = 'a' GROUP BY ward \
     UNION ALL SELECT ward, avg(amount) AS mean FROM silver.costs WHERE ward <> 'a' GROUP BY ward",
];

fn costs(amount: DataType) -> ArrowSchema {
    ArrowSchema::new(vec![
        Field::new("ward", DataType::Utf8, true),
        Field::new("amount", amount, true),
    ])
}

fn cost(ward: &str, amount: &str) -> Value {
    json!({"ward": ward, "amount": amount})
}

async fn lake() -> Lake {
    let lake = Lake::new();
    lake.create("silver.costs", &costs(DataType::Decimal128(10, 2))).await;
    let rows = [
        cost("a", "1.25"),
        cost("a", "2.50"),
        cost("a", "7.37"),
        cost("b", "-0.50"),
    ];
    lake.append("silver.costs", &rows).await;
    lake
}

fn of(lake: &Lake, query: &str) -> Pipelines {
    lake.pipelines(&[("gold.means", &format!("/*---\nkind: table\n---*/\n{query}"))])
}

async fn run(pipelines: &Pipelines, full_refresh: bool) -> RunReport {
    let options = RunOptions {
        full_refresh,
        ..RunOptions::default()
    };
    let report = pipelines.run(&Selection::All, options).await;
    report.expect("a run")
}

/// The type of the means and the rows, in an order.
async fn means(lake: &Lake) -> (Type, Vec<String>) {
    let table = lake.load("gold.means").await;
    let mean = table.metadata.current_schema().field_by_name("mean").expect("a column");
    let rows = lake.lines("SELECT ward, mean FROM gold.means ORDER BY ward").await;
    (mean.field_type.as_ref().clone(), rows)
}

fn decimal(precision: u32, scale: u32) -> Type {
    Type::Primitive(PrimitiveType::Decimal { precision, scale })
}

/// A table as a version made it that told four digits more than the column's, cut off.
async fn of_before(lake: &Lake) {
    let mean = Field::new("mean", DataType::Decimal128(14, 6), true);
    let columns = ArrowSchema::new(vec![Field::new("ward", DataType::Utf8, true), mean]);
    lake.create("gold.means", &columns).await;
    lake.append("gold.means", &[json!({"ward": "a", "mean": "3.706666"})])
        .await;
}

// Goal: a mean of decimals needs no cast, in a table that is new and in one that was made with fewer digits, run after run. Method: means
// that come in several ways to their column; runs by what changed and as a whole; types and rows.
#[tokio::test]
async fn means_have_the_digits_of_their_table() {
    for query in QUERIES {
        for (is_new, of_type, first, second) in [
            (true, decimal(20, 12), "3.706666666667", "4.030000000000"),
            (false, decimal(14, 6), "3.706667", "4.030000"),
        ] {
            let lake = lake().await;
            if !is_new {
                of_before(&lake).await;
            }
            let model = of(&lake, query);
            for full_refresh in [false, true] {
                let report = run(&model, full_refresh).await;
                assert!(report.succeeded(), "{query}: {report:?}");
                let (told, rows) = means(&lake).await;
                assert_eq!(told, of_type, "{query}");
                assert_eq!(rows[0], format!("a,{first}"), "{query}");
                assert_eq!(rows.len(), 2, "{query}: {rows:?}");
            }
            lake.append("silver.costs", &[cost("a", "5.00")]).await;
            let report = run(&model, false).await;
            assert!(report.succeeded(), "{query}: {report:?}");
            let (told, rows) = means(&lake).await;
            assert_eq!((told, rows[0].clone()), (of_type, format!("a,{second}")), "{query}");
        }
    }
}

// Goal: where the values get more digits, and a mean fewer of its own behind the point, the table's column has room for both. Method: the
// column of the values is widened between two runs, and a value comes that it could not hold before.
#[tokio::test]
async fn wider_values_fit() {
    for (is_new, of_type, wanted) in [
        (true, decimal(30, 12), "a,250000000000000000.000000000000"),
        (false, decimal(24, 6), "a,250000000000000000.000000"),
    ] {
        let lake = lake().await;
        if !is_new {
            of_before(&lake).await;
        }
        let model = of(&lake, QUERIES[0]);
        assert!(run(&model, false).await.succeeded());
        let wider = schema::from_arrow(&costs(DataType::Decimal128(20, 2)), 1).expect("a schema");
        let name = table_name("silver.costs");
        schema::evolve_table(lake.catalog.as_ref(), &lake.store, &name, &wider)
            .await
            .expect("a wider column");
        lake.append("silver.costs", &[cost("a", "999999999999999988.88")]).await;
        let report = run(&model, false).await;
        assert!(report.succeeded(), "{report:?}");
        let (told, rows) = means(&lake).await;
        assert_eq!((told, rows[0].as_str()), (of_type, wanted), "{rows:?}");
    }
}

// Goal: what is no mean is never rounded to the table's digits. Method: models whose column has more digits behind the point than the
// table's, of which some are made from means, or are means that tell rows apart.
#[tokio::test]
async fn other_decimals_are_refused() {
    for query in [
        "SELECT ward, CAST(amount AS decimal(20, 12)) AS mean FROM silver.costs",
        "SELECT ward, max(CAST(amount AS decimal(20, 12))) AS mean FROM silver.costs GROUP BY ward",
        "SELECT ward, avg(amount) + 1 AS mean FROM silver.costs GROUP BY ward",
        "SELECT ward, CAST(avg(amount) AS decimal(20, 12)) AS mean FROM silver.costs GROUP BY ward",
        "SELECT ward, avg(amount) AS mean FROM silver.costs GROUP BY ward \
         UNION ALL SELECT ward, CAST(amount AS decimal(20, 12)) AS mean FROM silver.costs",
        "SELECT DISTINCT ward, avg(amount) OVER (PARTITION BY ward) AS mean FROM silver.costs",
        "SELECT max(ward) AS ward, mean FROM (SELECT ward, avg(amount) AS mean FROM silver.costs GROUP BY ward) AS t \
         GROUP BY mean",
    ] {
        let lake = lake().await;
        of_before(&lake).await;
        let report = run(&of(&lake, query), false).await;
        let failure = report.models[0].failure.clone().expect("it is refused");
        assert_eq!(failure.code, "PIP-0014", "{query}: {failure:?}");
        let (told, rows) = means(&lake).await;
        assert_eq!((told, rows), (decimal(14, 6), vec!["a,3.706666".to_owned()]), "{query}");
    }
}

// Goal: a column has the stored digits behind the point, never fewer before it than means need, and is of no other type. Method: a table.
#[test]
fn digits_are_kept() {
    for (stored, mean, wanted) in [
        (decimal(14, 6), (20, 12), Some((14, 6))),
        (decimal(20, 12), (28, 10), Some((30, 12))),
        (decimal(14, 6), (36, 12), Some((30, 6))),
        (decimal(38, 6), (20, 12), Some((38, 6))),
        (decimal(30, 20), (36, 12), None),
        (Type::Primitive(PrimitiveType::Double), (20, 12), None),
    ] {
        let mean = DataType::Decimal128(mean.0, mean.1);
        let wanted = wanted.map(|(precision, scale)| DataType::Decimal128(precision, scale));
        assert_eq!(kept(&stored, &mean), wanted, "{stored} for {mean}");
    }
    assert_eq!(kept(&decimal(14, 6), &DataType::Float64), None);
}
