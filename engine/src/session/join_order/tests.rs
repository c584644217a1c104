use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::OptimizerRule;
use datafusion::physical_plan::collect;
use tidewater_core::{Rng, SeededRng};
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
use tidewater_table::{StatisticsOptions, compute_statistics};

use super::{JoinOrder, NAME};
use crate::testing::{Lake, lines, table_name};

const VISITS: i64 = 200_000;
const NOTES: i64 = 150_000;
const CLINICS: i64 = 1_000;

/// A table whose columns are whole numbers, but those called `name`.
async fn table(lake: &Lake, name: &str, columns: Vec<(&str, Vec<Option<i64>>)>) {
    let fields = columns.iter().zip(1..).map(|((column, _), id)| {
        let kind = match *column {
            "name" => PrimitiveType::String,
            _ => PrimitiveType::Long,
        };
        NestedField::optional(id, *column, Type::Primitive(kind)).into()
    });
    let schema = Schema::builder().with_fields(fields).build().expect("a schema");
    lake.create(name, schema, None).await;
    let arrays = columns.into_iter().map(|(column, values)| {
        let array: ArrayRef = match column {
            "name" => {
                let names = values.into_iter().map(|value| value.map(|value| format!("n{value}")));
                Arc::new(StringArray::from_iter(names))
            }
            _ => Arc::new(Int64Array::from(values)),
        };
        (column, array)
    });
    lake.append(name, RecordBatch::try_from_iter(arrays).expect("rows"))
        .await;
}

/// Visits of clinics in regions, and notes of some visits; a tenth of the visits has no clinic.
async fn hospital() -> Lake {
    let lake = Lake::new();
    let numbers = |count: i64, value: fn(i64) -> i64| (0..count).map(|at| Some(value(at))).collect::<Vec<_>>();
    let clinic = |at: i64| (at % 10 != 0).then_some(at % CLINICS);
    table(
        &lake,
        "gold.visits",
        vec![
            ("visit", numbers(VISITS, |at| at)),
            ("clinic", (0..VISITS).map(clinic).collect()),
        ],
    )
    .await;
    table(
        &lake,
        "gold.notes",
        vec![
            ("visit", numbers(NOTES, |at| at * 3 / 2)),
            ("words", numbers(NOTES, |at| at % 97)),
        ],
    )
    .await;
    table(
        &lake,
        "gold.clinics",
        vec![
            ("clinic", numbers(CLINICS, |at| at)),
            ("region", numbers(CLINICS, |at| at % 50)),
            ("name", numbers(CLINICS, |at| at)),
        ],
    )
    .await;
    table(
        &lake,
        "gold.regions",
        vec![("region", numbers(50, |at| at)), ("name", numbers(50, |at| at))],
    )
    .await;
    lake
}

/// The joins of a plan, each in parentheses, the side that is looked up first.
fn shape(plan: &LogicalPlan) -> String {
    match plan {
        LogicalPlan::TableScan(scan) => scan.table_name.table().to_owned(),
        LogicalPlan::SubqueryAlias(alias) => alias.alias.table().to_owned(),
        LogicalPlan::Join(join) => format!("({} {})", shape(&join.left), shape(&join.right)),
        other => other.inputs().first().map(|input| shape(input)).unwrap_or_default(),
    }
}

async fn shape_of(lake: &Lake, sql: &str) -> String {
    let session = lake.session();
    let plan = lake.engine.plan(&session, sql).await.expect("a plan");
    shape(&session.state().optimize(&plan).expect("an optimised plan"))
}

const VISITS_NOTES: &str = "gold.visits AS v JOIN gold.notes AS n ON v.visit = n.visit";

// Goal: what leaves out most rows is joined first, wherever a statement names it, and the rows are those of the order that was written.
// Method: joins of four tables with conditions and keys of several kinds, beside the same in which a limit that leaves out nothing keeps
// the first join where it is.
#[tokio::test]
async fn few_rows_come_first() {
    let lake = hospital().await;
    let kept = "(SELECT v.visit, v.clinic, n.visit AS noted, n.words FROM gold.visits AS v JOIN gold.notes AS n ON v.visit = n.visit \
        LIMIT 10000000) AS v";
    for (joins, condition, shaped) in [
        (
            "JOIN gold.clinics AS c ON c.clinic = v.clinic",
            "c.name = 'n7'",
            "((c v) n)",
        ),
        (
            "JOIN gold.clinics AS c ON c.clinic = v.clinic JOIN gold.regions AS r ON r.region = c.region",
            "r.name = 'n3'",
            "(((r c) v) n)",
        ),
        // By what the statement compares with a third table only.
        (
            "JOIN gold.clinics AS c ON c.clinic = v.clinic JOIN gold.regions AS r ON r.region = v.clinic",
            "r.name = 'n3' AND c.name = 'n3'",
            "(((r c) v) n)",
        ),
        // A condition of three tables, one that fails for some rows, and one of none.
        (
            "JOIN gold.clinics AS c ON c.clinic = v.clinic JOIN gold.regions AS r ON r.region = c.region",
            "r.name = 'n3' AND v.visit + c.region > n.words AND (c.region = 0 OR 100 / c.region > 5) AND n.words >= r.region",
            "(((r c) v) n)",
        ),
        // Nothing that leaves out rows.
        (
            "JOIN gold.clinics AS c ON c.clinic = v.clinic",
            "n.words >= 0",
            "(c (n v))",
        ),
    ] {
        let columns = "count(*), sum(v.visit), sum(n.words), min(c.name), max(v.clinic)";
        let asked = format!("SELECT {columns} FROM {VISITS_NOTES} {joins} WHERE {condition}");
        let shown = shape_of(&lake, &asked).await;
        if shaped.ends_with("n)") {
            assert_eq!(shown, shaped, "{asked}");
        } else {
            assert!(shown.contains("v n") || shown.contains("n v"), "{asked}: {shown}");
        }
        let rest = format!("{joins} WHERE {condition}").replace("n.", "v.");
        let stays = format!("SELECT {} FROM {kept} {rest}", columns.replace("n.", "v."));
        let (given, wanted) = (lake.lines(&asked).await, lake.lines(&stays).await);
        assert_eq!(given, wanted, "{asked}");
    }
}

// Goal: columns come out in their order and under their names, also where tables have columns of one name. Method: `*` over a join that
// is put in order, beside the columns in writing.
#[tokio::test]
async fn columns_stay_where_they_are() {
    let lake = hospital().await;
    let from = format!(
        "FROM {VISITS_NOTES} JOIN gold.clinics AS c ON c.clinic = v.clinic JOIN gold.regions AS r USING (region) \
         WHERE r.name = 'n3' ORDER BY n.visit, n.words"
    );
    assert_eq!(shape_of(&lake, &format!("SELECT * {from}")).await, "(((r c) v) n)");
    let all = lake.query(&format!("SELECT * {from}")).await;
    let columns = "v.visit, v.clinic, n.visit, n.words, c.clinic, c.region, c.name, r.name";
    let written = lake.query(&format!("SELECT {columns} {from}")).await;
    let names: Vec<String> = all[0]
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    assert_eq!(names[..4], ["visit", "clinic", "visit", "words"]);
    assert!(all.iter().map(RecordBatch::num_rows).sum::<usize>() > 10);
    for (one, other) in all.iter().zip(&written) {
        assert_eq!(one.columns(), other.columns());
    }
}

// Goal: values that were counted are heard. Method: two tables joined by a column of which both have few values, so that the join has many
// rows; without counts the smaller one is taken to have each value once.
#[tokio::test]
async fn counted_values_tell_more() {
    let lake = hospital().await;
    let asked = "SELECT count(*) FROM gold.notes AS n JOIN gold.clinics AS c ON c.region = n.words \
        JOIN gold.visits AS v ON v.visit = n.visit WHERE v.clinic > 900";
    let before = (shape_of(&lake, asked).await, lake.lines(asked).await);
    for name in ["gold.notes", "gold.clinics"] {
        let options = StatisticsOptions::default();
        compute_statistics(lake.catalog.as_ref(), &lake.store, &table_name(name), &options)
            .await
            .expect("statistics");
    }
    let after = (shape_of(&lake, asked).await, lake.lines(asked).await);
    assert_eq!(before.1, after.1);
    assert_eq!((before.0.as_str(), after.0.as_str()), ("((n c) v)", "(c (v n))"));
}

/// Small tables in which keys are missing, are there several times, and have no counterpart.
async fn small() -> Lake {
    let lake = Lake::new();
    for (name, rows, step) in [
        ("a", 9, 1),
        ("b", 14, 3),
        ("c", 5, 2),
        ("d", 20, 7),
        ("e", 3, 1),
        ("f", 11, 5),
    ] {
        let column = |by: i64, of: i64| {
            let values = (0..rows).map(move |at: i64| (at % 6 != 5).then_some(at * by % of));
            values.collect::<Vec<_>>()
        };
        let columns = vec![("k", column(step, 4)), ("l", column(step + 2, 5)), ("m", column(1, 3))];
        table(&lake, &format!("gold.{name}"), columns).await;
    }
    lake
}

/// A join of three to six of them, each bound to one before it, with more keys and conditions beside.
fn some_join(rng: &SeededRng) -> String {
    let pick = |below: u64| usize::try_from(rng.below(below)).unwrap_or(0);
    let column = |of: usize| format!("t{of}.{}", ["k", "l", "m"][pick(3)]);
    let count = 3 + pick(4);
    let mut from = format!("gold.{} AS t0", ["a", "b", "c", "d", "e", "f"][pick(6)]);
    for at in 1..count {
        let table = ["a", "b", "c", "d", "e", "f"][pick(6)];
        let mut on = vec![format!("{} = {}", column(at), column(pick(at as u64)))];
        while pick(3) == 0 {
            on.push(format!("{} = {}", column(pick(at as u64)), column(at)));
        }
        if pick(4) == 0 {
            let compared = ["<", ">=", "<>"][pick(3)];
            on.push(format!("{} {compared} {}", column(pick(at as u64)), column(at)));
        }
        from += &format!(" JOIN gold.{table} AS t{at} ON {}", on.join(" AND "));
    }
    let mut conditions = vec!["true".to_owned()];
    while pick(2) == 0 {
        let (one, other, third) = (
            column(pick(count as u64)),
            column(pick(count as u64)),
            column(pick(count as u64)),
        );
        conditions.push(match pick(5) {
            0 => format!("{one} IS NOT NULL"),
            1 => format!("({one} = 1 OR {other} > 1)"),
            2 => format!("{one} + {other} >= {third}"),
            3 => format!("coalesce({one}, 2) <> {other}"),
            _ => format!("{one} IN (0, 2)"),
        });
    }
    let columns = (0..count)
        .map(|of| format!("t{of}.k, t{of}.l, t{of}.m"))
        .collect::<Vec<_>>();
    format!(
        "SELECT {} FROM {from} WHERE {}",
        columns.join(", "),
        conditions.join(" AND ")
    )
}

async fn answer(state: &SessionState, plan: &LogicalPlan) -> (String, Vec<String>) {
    let optimized = state.optimize(plan).expect("an optimised plan");
    let planned = state.query_planner().create_physical_plan(&optimized, state).await;
    let found = collect(planned.expect("a physical plan"), state.task_ctx()).await;
    let mut found = lines(&found.expect("rows"));
    found.sort();
    (shape(&optimized), found)
}

// Goal: another order never changes an answer. Method: random joins of small tables with nulls and repeated keys, put into whatever order is
// reckoned to be best, however little it spares, beside the same without the rule; most of them have to change their order.
#[tokio::test]
async fn no_order_changes_an_answer() {
    let lake = small().await;
    let session = lake.session();
    let rules = |order: Option<JoinOrder>| {
        let mut rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = session.state().optimizers().to_vec();
        let at = rules.iter().position(|rule| rule.name() == NAME).expect("the rule");
        rules.remove(at);
        if let Some(order) = order {
            rules.insert(at, Arc::new(order));
        }
        SessionStateBuilder::new_from_existing(session.state())
            .with_optimizer_rules(rules)
            .build()
    };
    let always = rules(Some(JoinOrder {
        spared_rows_min: 0.0,
        share_max: 1.0,
    }));
    let never = rules(None);
    let rng = SeededRng::new(11);
    let (mut moved, mut with_rows) = (0, 0);
    for _ in 0..200 {
        let sql = some_join(&rng);
        let plan = lake.engine.plan(&session, &sql).await.expect("a plan");
        let (ordered, given) = answer(&always, &plan).await;
        let (stated, wanted) = answer(&never, &plan).await;
        assert_eq!(given, wanted, "{sql}: {ordered} and {stated}");
        moved += usize::from(ordered != stated);
        with_rows += usize::from(!wanted.is_empty());
    }
    assert!(
        moved > 100 && with_rows > 66,
        "{moved} in another order, {with_rows} with rows"
    );
}
