use datafusion::sql::parser::{DFParserBuilder, Statement as Parsed};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;

use super::*;

fn changed(sql: &str) -> String {
    let postgres = Postgres {
        user: "ana".into(),
        database: "lake".into(),
        version: "15.0".into(),
        schemas: vec!["toy".into()],
        parameters: vec![Some(datafusion::arrow::datatypes::DataType::Int32)],
        ..Postgres::default()
    };
    let dialect = PostgreSqlDialect {};
    let mut parser = DFParserBuilder::new(sql)
        .with_dialect(&dialect)
        .build()
        .expect("a parser");
    let mut parsed: Parsed = parser.parse_statement().expect("a statement");
    statement(&mut parsed, &postgres);
    parsed.to_string().replace('\0', "~")
}

// Goal: what only PostgreSQL says becomes what the query engine understands. Method: statements before and after.
#[test]
fn statements_are_changed() {
    for (before, after) in [
        (
            "SELECT x::regclass::text FROM t",
            "SELECT \"pg_regclass_name\"(x) AS \"x\" FROM t",
        ),
        (
            "SELECT 'pg_class'::regclass",
            "SELECT \"pg_regclass_name\"(\"pg_regclass\"('pg_class')) AS \"regclass\"",
        ),
        (
            "SELECT 'pg_class'::regclass::oid",
            "SELECT \"pg_regclass\"('pg_class') AS \"oid\"",
        ),
        (
            "SELECT * FROM (SELECT 'pg_class'::regclass AS c) s",
            "SELECT * FROM (SELECT \"pg_regclass\"('pg_class') AS c) s",
        ),
        (
            "SELECT a OPERATOR(pg_catalog.~) '^x' COLLATE pg_catalog.default FROM t",
            "SELECT a ~ '^x' AS \"?column?\" FROM t",
        ),
        (
            "SELECT relname FROM pg_class",
            "SELECT relname FROM \"pg_catalog\".\"pg_class\" AS pg_class",
        ),
        (
            "SELECT * FROM information_schema.columns c",
            "SELECT * FROM \"pg_catalog\".\"information_schema_columns\" c",
        ),
        (
            "SELECT current_user, current_schema()",
            "SELECT 'ana' AS \"current_user\", 'toy' AS \"current_schema\"",
        ),
        (
            "SELECT x AT TIME ZONE 'UTC' FROM t",
            "SELECT \"timezone\"('UTC', x) AS \"timezone\" FROM t",
        ),
        (
            "SELECT pg_catalog.to_char(x, 'YYYY') FROM t",
            "SELECT \"pg_to_char\"(x, 'YYYY') AS \"to_char\" FROM t",
        ),
        (
            "SELECT cardinality(a), array_positions(a, 1) FROM t",
            "SELECT CAST(\"cardinality\"(a) AS INT) AS \"cardinality\", CAST(\"array_positions\"(a, 1) AS INT[]) AS \"array_positions\" FROM t",
        ),
        (
            "SELECT encode(b, 'base64'), encode(b, 'hex'), to_hex(-1), to_hex(i), sign(i) FROM t",
            "SELECT \"pg_base64\"(b) AS \"encode\", encode(b, 'hex') AS \"encode~1\", \"pg_to_hex\"(CAST(-1 AS INT)) AS \"to_hex\", \
             \"pg_to_hex\"(i) AS \"to_hex~3\", \"nanvl\"(CAST(\"signum\"(i) AS DOUBLE PRECISION), CAST(0 AS DOUBLE PRECISION)) AS \"sign\" FROM t",
        ),
        (
            "SELECT DATE 'today'",
            "SELECT CAST(\"current_date\"() AS DATE) AS \"date\"",
        ),
        ("SELECT a && b FROM t", "SELECT a && b AS \"?column?\" FROM t"),
        ("SELECT 12.50::numeric", "SELECT '12.50'::NUMERIC(4,2) AS \"numeric\""),
        (
            "SELECT $1, $2",
            "SELECT CAST($1 AS INTEGER) AS \"?column?\", $2 AS \"?column?~1\"",
        ),
        (
            "SELECT i FROM generate_series(1, 3) i",
            "SELECT i FROM generate_series(1, 3) i (i) ORDER BY i.i ASC",
        ),
        (
            "SELECT count(*) FROM generate_series(1, 3) i",
            "SELECT count(*) AS \"count\" FROM generate_series(1, 3) i (i)",
        ),
        (
            "SELECT -x FROM generate_series(3, 1, -1) g(x) LIMIT 1",
            "SELECT -x AS \"?column?\" FROM generate_series(3, 1, -1) g (x) ORDER BY g.x DESC LIMIT 1",
        ),
        (
            "SELECT a FROM t WHERE a LIKE 'x/_/y%' ESCAPE '/'",
            "SELECT a FROM t WHERE a LIKE 'x\\_y%'",
        ),
        (
            "SELECT a FROM t WHERE a LIKE $2 || '%' ESCAPE '/'",
            "SELECT a FROM t WHERE a LIKE \"pg_like_pattern\"($2 || '%', '/')",
        ),
        (
            "SELECT a FROM t WHERE a = ANY ($2::oid[])",
            "SELECT a FROM t WHERE a = ANY($2::BIGINT[])",
        ),
        (
            "SELECT r FROM generate_series(1, array_upper(x, 1)) AS r",
            "SELECT r FROM generate_series(1, \"pg_int8\"(\"nullif\"(CAST(\"array_length\"(x, CAST(1 AS BIGINT)) AS INT), CAST(0 AS INT)))) AS r (r) ORDER BY r.r ASC",
        ),
        ("SELECT count(*) FROM t", "SELECT count(*) AS \"count\" FROM t"),
        ("SELECT a, a FROM t", "SELECT a, a AS \"a~1\" FROM t"),
        (
            "SELECT (SELECT adbin FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.x) FROM t a",
            "SELECT CAST(NULL AS TEXT) AS \"adbin\" FROM t a",
        ),
        (
            "SELECT a FROM t WHERE a = ANY ('{r,v}')",
            "SELECT a FROM t WHERE a IN ('r', 'v')",
        ),
        (
            "SELECT a FROM t WHERE a || 'x' <> ALL ('{\"r,\", NULL}')",
            "SELECT a FROM t WHERE (a || 'x') NOT IN ('r,', NULL)",
        ),
        (
            "SELECT a FROM t WHERE a < ANY ('{1,2}') AND a >= ALL ('{}') AND a = ANY ('{1')",
            "SELECT a FROM t WHERE ((a < '1') OR (a < '2')) AND true AND a = ANY(\"pg_array_of_text\"('{1'))",
        ),
        (
            "SELECT a FROM t WHERE a NOT LIKE ALL (ARRAY['x']) AND a LIKE ALL ('{y}')",
            "SELECT a FROM t WHERE (NOT \"pg_like_any\"(a, ARRAY['x'], false, false)) AND (NOT \"pg_like_any\"(a, CAST(\"make_array\"('y') AS TEXT[]), false, true))",
        ),
        (
            "SELECT '{1,NULL}'::int[] AS a, '{a\\_b,\"c,d\"}'::text[] AS b, '{}'::int[][] AS c, '{1'::int[] AS d",
            "SELECT ARRAY[CAST('1' AS INT), CAST(NULL AS INT)] AS a, ARRAY[CAST('a_b' AS TEXT), CAST('c,d' AS TEXT)] AS b, CAST(ARRAY[] AS INT[]) AS c, '{1'::INT[] AS d",
        ),
        (
            "SELECT (CASE WHEN t.typtype = 'c' THEN (SELECT array_agg(x) FROM y) ELSE NULL END) AS a FROM t",
            "SELECT (CAST(NULL AS TEXT[])) AS a FROM t",
        ),
        ("SELECT a FROM t FOR UPDATE", "SELECT a FROM t"),
        ("SELECT a FROM t FETCH FIRST 2 ROWS ONLY", "SELECT a FROM t LIMIT 2"),
        (
            "SELECT a, b AS c FROM t ORDER BY 2 DESC FETCH FIRST 2 ROWS WITH TIES",
            "SELECT a, b AS c FROM t QUALIFY CAST(\"rank\"() OVER (ORDER BY b DESC) AS BIGINT) <= 2 ORDER BY 2 DESC",
        ),
        (
            "SELECT ARRAY(SELECT b FROM t ORDER BY c DESC)",
            "SELECT \"coalesce\"((SELECT \"array_agg\"(b ORDER BY c DESC) FROM t), \"make_array\"()) AS \"array\"",
        ),
        (
            "SELECT row_to_json(t) FROM (SELECT 1 AS a) t",
            "SELECT row_to_json(\"named_struct\"('a', t.\"a\")) AS \"row_to_json\" FROM (SELECT 1 AS a) t",
        ),
        // What a table of the lake has is not known.
        (
            "SELECT json_agg(t) AS j FROM t, (SELECT 1 AS a) u",
            "SELECT \"pg_json_list\"(\"array_agg\"(t)) AS j FROM t, (SELECT 1 AS a) u",
        ),
        (
            "SELECT CAST(a AS integer), a::text, round(a, 2), 'x'::text FROM t",
            "SELECT \"pg_int4\"(a) AS \"a\", \"pg_text\"(a) AS \"a~1\", \"pg_round\"(a, 2) AS \"round\", 'x'::TEXT AS \"text\" FROM t",
        ),
        ("SELECT json '{}'", "SELECT \"pg_json\"('{}') AS \"json\""),
        (
            "SELECT regclass 'pg_class'",
            "SELECT \"pg_regclass_name\"(\"pg_regclass\"('pg_class')) AS \"regclass\"",
        ),
        (
            "SELECT INTERVAL '1-2' YEAR TO MONTH, '1 day 2:03'::interval day",
            "SELECT INTERVAL '14 months 0 days 0 microseconds' AS \"interval\", \
             '0 months 1 days 0 microseconds'::INTERVAL AS \"interval~1\"",
        ),
        (
            "SELECT -INTERVAL '1 day 2:03'",
            "SELECT -(INTERVAL '0 months 1 days 7380000000 microseconds') AS \"?column?\"",
        ),
        ("SELECT text \"Text\" FROM t", "SELECT text AS \"Text\" FROM t"),
        // Nothing says in which order its parts are.
        (
            "SELECT DATE '01/02/2024'",
            "SELECT CAST('01/02/2024' AS DATE) AS \"date\"",
        ),
        (
            "SELECT DATE 'Feb 29, 2024'::timestamp",
            "SELECT CAST('2024-02-29' AS DATE)::TIMESTAMP(6) AS \"timestamp\"",
        ),
    ] {
        assert_eq!(changed(before), after, "{before}");
    }
}

// Goal: names that a statement gives itself are its own. Method: a part of it that is called as a table of the catalog is.
#[test]
fn own_names_stay() {
    let sql = "WITH pg_class AS (SELECT 1 AS x) SELECT x FROM pg_class";
    assert_eq!(changed(sql), sql);
}

// Goal: a query's columns are not taken for those of the table that it asks for by the same name. Method: the same query of that table
// and of another, in which its column is known to be JSON.
#[test]
fn a_query_named_as_its_table() {
    let of = |table: &str| {
        let query = format!("SELECT id, to_json(j) AS j FROM {table}");
        changed(&format!("WITH t2 AS ({query}) SELECT json_build_array(j) FROM t2"))
    };
    assert!(of("t3").contains("pg_document"), "{}", of("t3"));
    assert!(!of("t2").contains("pg_document"), "{}", of("t2"));
}

// Goal: rows with ties are ranked only where no column makes rows of its own, and not by what is over a window. Method: a plain query
// beside those.
#[test]
fn rows_with_ties() {
    let of = |columns: &str| {
        changed(&format!(
            "SELECT {columns} FROM t ORDER BY k FETCH FIRST 2 ROWS WITH TIES"
        ))
    };
    assert!(of("k, l").contains("QUALIFY"), "{}", of("k, l"));
    for columns in [
        "k, unnest(l)",
        "k, json_array_elements(l)",
        "row_number() OVER (ORDER BY l) AS k",
    ] {
        assert!(!of(columns).contains("QUALIFY"), "{columns}");
    }
}
