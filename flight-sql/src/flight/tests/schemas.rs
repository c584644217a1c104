//! One schema for every call.

use std::sync::Arc;

use arrow_flight::SchemaResult;
use arrow_flight::sql::{ActionCreatePreparedStatementResult, CommandPreparedStatementQuery};
use datafusion::arrow::array::{Int64Array, StringArray};

use tidewater_core::{Rng, SeededRng};

use super::*;
use crate::flight::update_flag;
use crate::handle::{Statement, StatementHandle};
use crate::service::tests::row;

/// Random plans that are compared.
const PLANS: usize = 240;

/// Random statements over `numbers (id, name, at)`.
struct Plans(SeededRng);

impl Plans {
    fn one_of<'a>(&self, of: &[&'a str]) -> &'a str {
        let at = self.0.below(of.len() as u64);
        of[usize::try_from(at).expect("a small number")]
    }

    /// An expression of any type; with `parameters`, sometimes one.
    fn value(&self, parameters: bool) -> &'static str {
        if parameters && self.0.below(3) == 0 {
            return self.one_of(&[
                "CAST($1 AS BIGINT)",
                "CAST($2 AS VARCHAR)",
                "id + $1",
                "name || $2",
                "coalesce(name, $2)",
            ]);
        }
        self.one_of(&[
            "id",
            "name",
            "at",
            "1",
            "1.5",
            "'x'",
            "TRUE",
            "NULL",
            "DATE '2024-02-29'",
            "TIME '10:20:30'",
            "TIMESTAMP '2024-01-15 10:20:30.123'",
            "INTERVAL '1 day'",
            "X'00FF'",
            "CAST(id AS DECIMAL(20, 4))",
            "CAST(id AS SMALLINT)",
            "CAST(id AS DOUBLE) / 3",
            "CAST(id AS INT) + CAST(1 AS SMALLINT)",
            "arrow_cast(name, 'Utf8View')",
            "arrow_cast(name, 'LargeUtf8')",
            "arrow_cast(name, 'Dictionary(Int32, Utf8)')",
            "arrow_cast(at, 'Timestamp(Nanosecond, Some(\"+02:00\"))')",
            "make_array(id, id + 1)",
            "arrow_cast(make_array(name), 'LargeList(Utf8View)')",
            "named_struct('a', id, 'b', arrow_cast(name, 'Utf8View'))",
            "map(make_array(name), make_array(id))",
            "CASE WHEN id > 3 THEN name END",
            "id > 3",
            "upper(name)",
            "at + INTERVAL '1 hour'",
            "date_trunc('month', at)",
            "extract(year FROM at)",
            "now()",
        ])
    }

    fn aggregate(&self) -> &'static str {
        self.one_of(&[
            "count(*)",
            "sum(id)",
            "avg(id)",
            "min(name)",
            "max(at)",
            "sum(CAST(id AS DECIMAL(10, 2)))",
            "avg(CAST(id AS DECIMAL(10, 2)))",
            "array_agg(name)",
            "stddev(id)",
            "count(DISTINCT name)",
            "string_agg(name, ',')",
            "bool_or(id > 3)",
            "min(arrow_cast(name, 'Dictionary(Int32, Utf8)'))",
            "approx_distinct(name)",
            "sum(id) FILTER (WHERE id > 3)",
        ])
    }

    fn window(&self) -> &'static str {
        self.one_of(&[
            "row_number() OVER (ORDER BY id)",
            "rank() OVER (ORDER BY name)",
            "lag(name) OVER (ORDER BY id)",
            "sum(id) OVER (PARTITION BY name)",
            "avg(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
            "first_value(at) OVER (ORDER BY id)",
            "ntile(3) OVER (ORDER BY id)",
            "percent_rank() OVER (ORDER BY id)",
        ])
    }

    fn columns(&self, parameters: bool) -> String {
        let count = 1 + self.0.below(3);
        let columns: Vec<String> = (0..count)
            .map(|at| format!("{} AS c{at}", self.value(parameters)))
            .collect();
        columns.join(", ")
    }

    fn any(&self, parameters: bool) -> String {
        let columns = self.columns(parameters);
        match self.0.below(11) {
            0 => format!("SELECT {columns} FROM numbers WHERE id < 4"),
            1 => format!("SELECT {columns} FROM numbers UNION ALL SELECT {columns} FROM numbers WHERE id > 7"),
            2 => format!(
                "SELECT id, {} AS v FROM numbers UNION SELECT id, {} FROM numbers",
                self.number(),
                self.number()
            ),
            3 => format!(
                "SELECT name, {} AS a, {} AS b FROM numbers GROUP BY name",
                self.aggregate(),
                self.aggregate()
            ),
            4 => format!("SELECT {}, {} FROM numbers", self.aggregate(), self.aggregate()),
            5 => format!("SELECT {}, {} FROM numbers", self.window(), self.value(parameters)),
            6 => format!(
                "SELECT a.id, b.* FROM numbers a LEFT JOIN (SELECT id, {columns} FROM numbers) b ON a.id = b.id + 5"
            ),
            7 => format!("SELECT * FROM (SELECT {columns} FROM numbers ORDER BY id LIMIT 3) t"),
            8 => format!(
                "WITH t AS (SELECT {columns} FROM numbers) SELECT t.*, (SELECT max(name) FROM numbers) AS m FROM t"
            ),
            9 => format!("SELECT {columns} FROM numbers WHERE id < 0"),
            _ => format!("SELECT {columns}"),
        }
    }

    /// Unions find the type that holds both.
    fn number(&self) -> &'static str {
        self.one_of(&[
            "1",
            "1.5",
            "CAST(id AS SMALLINT)",
            "CAST(id AS DECIMAL(12, 3))",
            "NULL",
            "id",
            "CAST(1 AS REAL)",
        ])
    }
}

fn told(info: &FlightInfo) -> Schema {
    info.clone().try_decode_schema().expect("a schema")
}

// Goal: what is told of a statement's columns by any call is what comes with its rows. Method: random plans of types, unions, aggregates,
// windows, joins and parameters; Prepare, GetFlightInfo, GetSchema of both kinds of statement and DoGet compared; most of them must be
// plans that run.
#[tokio::test(flavor = "multi_thread")]
async fn every_call_tells_one_schema() {
    let client = Client::new().await;
    let plans = Plans(SeededRng::new(6));
    let values = row(vec![
        Arc::new(Int64Array::from(vec![7])),
        Arc::new(StringArray::from(vec!["z"])),
    ]);
    let (mut compared, mut tried) = (0, 0);
    while compared < PLANS {
        tried += 1;
        assert!(tried < 2 * PLANS, "only {compared} of {tried} plans ran");
        let parameters = tried % 3 == 0;
        let sql = plans.any(parameters);
        let Ok((handle, prepared)) = client.prepare(&sql).await else {
            continue;
        };
        let key = client.lake.service.key();
        let given = StatementHandle::open(&handle, key).expect("our own");
        let bound = StatementHandle {
            statement: Statement {
                parameters: values.clone(),
                ..given.statement
            },
            ..given
        };
        let bound = command_of(&CommandPreparedStatementQuery {
            prepared_statement_handle: bound.seal(key),
        });
        let mut descriptors = vec![bound];
        if !sql.contains('$') {
            descriptors.push(query(&sql));
        }
        for descriptor in descriptors {
            let info = client.calls.get_flight_info(client.request(descriptor.clone())).await;
            let info = info.unwrap_or_else(|error| panic!("{sql}: {error}")).into_inner();
            assert_eq!(told(&info), prepared, "GetFlightInfo: {sql}");
            let alone: SchemaResult = client
                .calls
                .get_schema(client.request(descriptor))
                .await
                .expect("a schema")
                .into_inner();
            let alone = try_schema_from_ipc_buffer(&alone.schema).expect("a schema");
            assert_eq!(alone, prepared, "GetSchema: {sql}");
            let (schema, batches) = client
                .fetch(&info)
                .await
                .unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert_eq!(*schema, prepared, "DoGet: {sql}");
            for batch in batches {
                assert_eq!(batch.schema(), schema, "a batch: {sql}");
            }
        }
        compared += 1;
    }
}

// Goal: whether a prepared statement is a change is told in the field that newer drivers read, and older ones read the rest as before.
// Method: the answers for queries, changes and definitions, read with and without the field.
#[tokio::test]
async fn changes_are_told_from_queries() {
    let mut client = Client::new().await;
    for (sql, is_update) in [
        ("SELECT id FROM numbers WHERE id > ?", false),
        ("SHOW TABLES", false),
        ("EXPLAIN SELECT 1", false),
        ("INSERT INTO numbers VALUES (?)", true),
        ("DELETE FROM numbers", true),
        ("CREATE TABLE gold.t (id bigint)", true),
        ("ALTER TABLE numbers ADD COLUMN x int", true),
    ] {
        let request = ActionCreatePreparedStatementRequest {
            query: sql.into(),
            transaction_id: None,
        };
        let body = request.as_any().encode_to_vec();
        let answer = client.act("CreatePreparedStatement", body).await.expect(sql);
        assert_eq!(update_flag::flag_of(&answer), Some(is_update), "{sql}");
        let known: ActionCreatePreparedStatementResult = Any::decode(&*answer)
            .expect("an answer")
            .unpack()
            .expect("a message")
            .expect("a result");
        assert!(!known.prepared_statement_handle.is_empty(), "{sql}");
    }
}
