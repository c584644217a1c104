//! Files of the server and addresses of others, named by a statement: nothing reads or writes them.

use tidewater_engine::pg_catalog::Postgres;

use super::*;
use crate::metrics::Front;

/// Statements that name a file that there is, one that there must not be, and an address.
fn statements(there: &str, made: &str) -> Vec<String> {
    let address = "http://127.0.0.1:9/numbers.parquet";
    let mut statements = Vec::new();
    for place in [there, address, &format!("file://{there}")] {
        statements.extend([
            format!("SELECT * FROM '{place}'"),
            format!("SELECT * FROM \"{place}\""),
            format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{place}'"),
            format!("CREATE EXTERNAL TABLE t (word VARCHAR) STORED AS CSV LOCATION '{place}'"),
            format!("COPY numbers FROM '{place}'"),
            format!("SELECT pg_read_file('{place}')"),
            format!("SELECT lo_import('{place}')"),
        ]);
        for function in [
            "read_csv",
            "read_csv_auto",
            "read_json",
            "read_parquet",
            "parquet_scan",
            "glob",
            "url",
        ] {
            statements.push(format!("SELECT * FROM {function}('{place}')"));
        }
    }
    statements.extend([
        format!("COPY numbers TO '{made}'"),
        format!("COPY (SELECT 1 AS x) TO '{made}' STORED AS CSV"),
        format!("EXPLAIN ANALYZE COPY numbers TO '{made}'"),
        format!("COPY numbers TO 'file://{made}' STORED AS PARQUET"),
        format!("COPY numbers TO PROGRAM 'cat > {made}'"),
    ]);
    statements
}

/// Asks as clients that come this way do, to the last row.
async fn ask(lake: &Lake, front: Front, sql: &str) -> Result<(), QueryError> {
    let service = lake.service.through(front);
    let local = Principal::local();
    let statement = Statement::new(sql);
    let results = if front == Front::FlightSql {
        match service.change(&local, &statement).await? {
            Some(_) => return Ok(()),
            None => service.run(&local, &statement).await?,
        }
    } else {
        let client = SessionOptions {
            postgres: (front == Front::Postgres).then(|| Arc::new(Postgres::default())),
            ..SessionOptions::default()
        };
        let deadline = Duration::from_secs(60);
        let opened = service.open(&local, service.fresh_id(), sql, Vec::new(), &client, deadline);
        match Box::pin(opened).await? {
            Opened::Changed(_) => return Ok(()),
            Opened::Rows(results, _) => results,
        }
    };
    results.batches.try_collect::<Vec<RecordBatch>>().await?;
    Ok(())
}

// Goal: whoever may ask and change anything reads no file of the server and no address, and writes no file. Method: a file that there is and
// one that there is not, by each name that a query engine has for reading or writing them, from each front; none is carried out, none says
// what is in the file, and nothing is made.
#[tokio::test]
async fn files_and_addresses_are_out_of_reach() {
    let lake = Lake::new().await;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (there, made) = (dir.path().join("there.csv"), dir.path().join("made.csv"));
    std::fs::write(&there, "word\nconfidential\n").expect("a file");
    for sql in statements(&there.to_string_lossy(), &made.to_string_lossy()) {
        for front in [Front::FlightSql, Front::Postgres, Front::Http] {
            let Err(error) = Box::pin(ask(&lake, front, &sql)).await else {
                panic!("{front:?} carried it out: {sql}");
            };
            let refused = matches!(
                error.kind(),
                ErrorKind::Invalid | ErrorKind::Unsupported | ErrorKind::NotFound | ErrorKind::Denied
            );
            assert!(refused, "{front:?}, {sql}: {}", error.chain());
            assert!(!error.chain().contains("confidential"), "{front:?}, {sql}");
        }
    }
    assert!(!made.try_exists().expect("a look"));
    assert_eq!(lake.rows("SELECT count(*) FROM numbers").await, ["10"]);
}
