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
            "SELECT \"pg_regclass\"('pg_class') AS \"regclass\"",
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
        ("SELECT 12.50::numeric", "SELECT '12.50'::NUMERIC(4,2) AS \"numeric\""),
        (
            "SELECT $1, $2",
            "SELECT CAST($1 AS INTEGER) AS \"?column?\", $2 AS \"?column?~1\"",
        ),
        (
            "SELECT i FROM generate_series(1, 3) i",
            "SELECT i FROM generate_series(1, 3) i (i)",
        ),
        ("SELECT count(*) FROM t", "SELECT count(*) AS \"count\" FROM t"),
        ("SELECT a, a FROM t", "SELECT a, a AS \"a~1\" FROM t"),
        (
            "SELECT (SELECT adbin FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.x) FROM t a",
            "SELECT CAST(NULL AS TEXT) AS \"adbin\" FROM t a",
        ),
        (
            "SELECT a FROM t WHERE a = ANY ('{r,v}')",
            "SELECT a FROM t WHERE a = ANY(ARRAY['r', 'v'])",
        ),
        ("SELECT a FROM t FOR UPDATE", "SELECT a FROM t"),
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
