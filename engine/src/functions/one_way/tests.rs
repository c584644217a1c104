use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};

use crate::testing::Lake;

const ROWS: &str = "(VALUES (1, 10), (2, 20), (3, NULL), (4, 40)) AS v (id, n)";

const ALL: &str = "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING";

/// Of each window in the plan of a statement, whether it goes from the last row to the first.
async fn backwards(lake: &Lake, sql: &str) -> Vec<bool> {
    let session = lake.session();
    let plan = lake.engine.plan(&session, sql).await.expect(sql);
    let plan = session.state().create_physical_plan(&plan).await.expect(sql);
    let mut found = Vec::new();
    plan.apply(|node| {
        let windows = if let Some(window) = node.downcast_ref::<BoundedWindowAggExec>() {
            window.window_expr()
        } else if let Some(window) = node.downcast_ref::<WindowAggExec>() {
            window.window_expr()
        } else {
            &[]
        };
        for window in windows {
            found.push(window.order_by().iter().any(|key| key.options.descending));
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .expect("it is looked at only");
    found
}

// Goal: no function is turned round that cannot be, or whose turn is not sent. Method: each over rows that come in the opposite order; the
// plan's window goes the way that was asked for.
#[tokio::test]
async fn no_window_is_turned_round() {
    let lake = Lake::new();
    let functions = [
        "lead(n)",
        "lag(n, 2, 77)",
        "nth_value(n, 1)",
        "array_agg(n)",
        "string_agg(CAST(n AS text), '-')",
        "bool_and(n > 15)",
        "bool_or(n > 15)",
        "bit_and(n)",
        "bit_or(n)",
        "max(n)",
    ];
    for function in functions {
        let sql = format!(
            "SELECT id, {function} OVER (ORDER BY id) FROM (SELECT * FROM {ROWS} ORDER BY id DESC LIMIT 3) AS q"
        );
        assert_eq!(backwards(&lake, &sql).await, [false], "{sql}");
    }
}

// Goal: windows in opposite orders have each its own rows, here and on executors. Method: each function in both orders, in plans that stay and
// in plans that travel; the answers are PostgreSQL's.
#[tokio::test]
async fn both_orders_at_once() {
    let lake = Lake::new();
    let texts = "string_agg(CAST(id AS text), '-')";
    let cases = [
        ("lead(n)", "", ["1,20,", "2,,10", "3,40,20", "4,,"]),
        ("lag(n)", "", ["1,,20", "2,10,", "3,20,40", "4,,"]),
        ("nth_value(id, 2)", "", ["1,,3", "2,2,3", "3,2,3", "4,2,"]),
        (
            "array_agg(id)",
            "",
            [
                "1,[1],[4, 3, 2, 1]",
                "2,[1, 2],[4, 3, 2]",
                "3,[1, 2, 3],[4, 3]",
                "4,[1, 2, 3, 4],[4]",
            ],
        ),
        (texts, "", ["1,1,4-3-2-1", "2,1-2,4-3-2", "3,1-2-3,4-3", "4,1-2-3-4,4"]),
        (
            texts,
            ALL,
            [
                "1,1-2-3-4,4-3-2-1",
                "2,1-2-3-4,4-3-2-1",
                "3,1-2-3-4,4-3-2-1",
                "4,1-2-3-4,4-3-2-1",
            ],
        ),
        (
            "bool_and(n > 15)",
            "",
            ["1,false,false", "2,false,true", "3,false,true", "4,false,true"],
        ),
        (
            "bool_or(n > 25)",
            "",
            ["1,false,true", "2,false,true", "3,false,true", "4,true,true"],
        ),
        ("bit_and(id)", "", ["1,1,0", "2,0,0", "3,0,0", "4,0,4"]),
        ("bit_or(id)", "", ["1,1,7", "2,3,7", "3,3,7", "4,7,4"]),
    ];
    for (function, frame, wanted) in cases {
        let sql = format!(
            "SELECT id, {function} OVER (ORDER BY id {frame}), {function} OVER (ORDER BY id DESC {frame}) FROM {ROWS}"
        );
        assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        assert_eq!(lake.travelled(&sql).await.expect(&sql), wanted, "{sql}");
    }
}

// Goal: what is gathered in an order of its own is in it, however rows come. Method: lists and texts over rows from the last to the first, in
// both orders and together, with groups and without, in plans that stay and in plans that travel.
#[tokio::test]
async fn gathered_in_its_own_order() {
    let lake = Lake::new();
    let from = format!("FROM (SELECT * FROM {ROWS} ORDER BY id DESC LIMIT 3) AS q");
    let up = "array_agg(id ORDER BY id)";
    let down = "array_agg(id ORDER BY id DESC)";
    let texts = "string_agg(CAST(id AS text), '-' ORDER BY id)";
    for (columns, grouped, wanted) in [
        (up.to_owned(), "", vec!["[2, 3, 4]"]),
        (down.to_owned(), "", vec!["[4, 3, 2]"]),
        (format!("{up}, {down}"), "", vec!["[2, 3, 4],[4, 3, 2]"]),
        (texts.to_owned(), "", vec!["2-3-4"]),
        ("array_agg(DISTINCT id ORDER BY id)".to_owned(), "", vec!["[2, 3, 4]"]),
        (
            "array_agg(DISTINCT id ORDER BY id), array_agg(DISTINCT id ORDER BY id DESC), array_agg(id ORDER BY id)"
                .to_owned(),
            "",
            vec!["[2, 3, 4],[4, 3, 2],[2, 3, 4]"],
        ),
        (
            format!("id % 2, {up}, {down}"),
            "GROUP BY 1",
            vec!["0,[2, 4],[4, 2]", "1,[3],[3]"],
        ),
    ] {
        let sql = format!("SELECT {columns} {from} {grouped}");
        assert_eq!(lake.lines(&sql).await, wanted, "{sql}");
        assert_eq!(lake.travelled(&sql).await.expect(&sql), wanted, "{sql}");
    }
}

// Goal: lists of groups have their rows sorted before, as DataFusion's have. Method: the plan of one over rows in no order has a sort.
#[tokio::test]
async fn sorted_before_it_is_gathered() {
    let lake = Lake::new();
    let session = lake.session();
    let sql = format!("SELECT array_agg(id ORDER BY n) FROM {ROWS}");
    let plan = lake.engine.plan(&session, &sql).await.expect(&sql);
    let plan = session.state().create_physical_plan(&plan).await.expect(&sql);
    let sorted = plan.exists(|node| Ok(node.downcast_ref::<SortExec>().is_some()));
    assert!(sorted.expect("it is looked at only"), "{sql}");
}

// Goal: a limit keeps no row away that a window looks at. Method: `lag` of one row less than none, over a frame of rows, before a limit.
#[tokio::test]
async fn looks_beyond_a_limit() {
    let lake = Lake::new();
    let window = "ORDER BY id ROWS UNBOUNDED PRECEDING";
    let sql = format!("SELECT id, lag(id, -1) OVER ({window}) FROM {ROWS} ORDER BY id LIMIT 2");
    assert_eq!(lake.lines(&sql).await, ["1,2", "2,3"]);
}

// Goal: functions that skip nulls find the next row behind several of them. Method: rows ahead and back of a column with nulls in a row and
// at its end, with a default and without.
#[tokio::test]
async fn what_skips_nulls_finds_the_row_behind_them() {
    let lake = Lake::new();
    let rows =
        "(VALUES (1, 10), (2, 20), (3, 30), (4, 40), (5, NULL), (6, NULL), (7, 70), (8, 80), (9, NULL)) AS v (id, n)";
    let sql = format!(
        "SELECT id, lead(n) IGNORE NULLS OVER w, lead(n, 2) IGNORE NULLS OVER w, lag(n, -2, -1) IGNORE NULLS OVER w, \
         lag(n, 2) IGNORE NULLS OVER w FROM {rows} WINDOW w AS (ORDER BY id)"
    );
    let found = [
        "1,20,30,30,",
        "2,30,40,40,",
        "3,40,70,70,10",
        "4,70,80,80,20",
        "5,70,80,80,30",
        "6,70,80,80,30",
        "7,80,,-1,30",
        "8,,,-1,40",
        "9,,,-1,70",
    ];
    assert_eq!(lake.lines(&sql).await, found);
    // Each by itself: those beside it may decide how rows are kept.
    for (function, column) in [
        ("lead(n)", 1),
        ("lead(n, 2)", 2),
        ("lag(n, -2, -1)", 3),
        ("lag(n, 2)", 4),
    ] {
        let sql = format!("SELECT id, {function} IGNORE NULLS OVER (ORDER BY id) FROM {rows}");
        let found = found.iter().map(|row| {
            let row: Vec<&str> = row.split(',').collect();
            format!("{},{}", row[0], row[column])
        });
        assert_eq!(lake.lines(&sql).await, found.collect::<Vec<_>>(), "{sql}");
    }
}

// Goal: only functions that look at all rows of a partition at once have them all kept. Method: the operator of each window that skips nulls.
#[tokio::test]
async fn few_that_skip_nulls_keep_all_rows() {
    let lake = Lake::new();
    let session = lake.session();
    for (function, keeps) in [
        ("lead(n)", false),
        ("lead(n, 1, 0)", false),
        ("lead(n, 2)", true),
        ("lag(n)", false),
        ("lag(n, 2, 0)", false),
        ("lag(n, -2)", true),
    ] {
        let sql = format!("SELECT id, {function} IGNORE NULLS OVER (ORDER BY id) FROM {ROWS}");
        let plan = lake.engine.plan(&session, &sql).await.expect(&sql);
        let plan = session.state().create_physical_plan(&plan).await.expect(&sql);
        let kept = plan.exists(|node| Ok(node.is::<WindowAggExec>()));
        assert_eq!(kept.expect("it is looked at only"), keeps, "{sql}");
    }
}
