//! Comments.

use super::{ANSWER_DEADLINE, Server};

// Goal: every comment is made under PostgreSQL's tag, and those of tables, views and columns are told until they are taken away; a view that
// gets another text keeps its own. Method: one of each kind, asked for in each way there is.
#[tokio::test]
async fn comments_are_told() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for (sql, told) in [
        ("CREATE VIEW gold.v AS SELECT id FROM gold.numbers", "C CREATE VIEW"),
        ("COMMENT ON VIEW gold.v IS 'some'", "C COMMENT"),
        ("COMMENT ON TABLE gold.numbers IS 'all'", "C COMMENT"),
        ("COMMENT ON COLUMN gold.numbers.id IS 'the key'", "C COMMENT"),
        ("COMMENT ON SCHEMA gold IS 'both'", "C COMMENT"),
        ("SELECT obj_description('gold.v'::regclass, 'pg_class')", "D some"),
        ("SELECT obj_description('gold.numbers'::regclass, 'pg_class')", "D all"),
        ("SELECT col_description('gold.numbers'::regclass, 1)", "D the key"),
        (
            "CREATE OR REPLACE VIEW gold.v AS SELECT id + 1 AS id FROM gold.numbers",
            "C CREATE VIEW",
        ),
        ("SELECT count(*) FROM pg_description WHERE description = 'some'", "D 1"),
        ("COMMENT ON VIEW gold.v IS NULL", "C COMMENT"),
        ("SELECT obj_description('gold.v'::regclass, 'pg_class') IS NULL", "D t"),
    ] {
        let answer = client.query(sql).await;
        assert!(answer.contains(&told.to_owned()), "{sql}: {answer:?}");
    }
    server.tasks.shutdown(ANSWER_DEADLINE).await;
}
