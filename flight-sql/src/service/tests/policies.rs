//! Policies of rows between those who see all and those who see a part.

use std::collections::BTreeMap;

use async_trait::async_trait;
use datafusion::logical_expr::{col, lit};
use tidewater_engine::{RowPolicies, RowPolicy};
use tidewater_security::{PolicyChange, Role, SecurityError};
use tidewater_table::LoadedTable;

use super::*;
use crate::policy::PolicySource;

/// Rows of every table from this id on.
#[derive(Debug)]
struct Since(i64);

impl RowPolicies for Since {
    fn fingerprint(&self) -> [u8; 32] {
        *blake3::hash(&self.0.to_le_bytes()).as_bytes()
    }

    fn of(&self, _: &LoadedTable) -> Option<RowPolicy> {
        Some(RowPolicy {
            filter: Some(col("id").gt_eq(lit(self.0))),
            masks: BTreeMap::new(),
        })
    }
}

/// Everybody reads everything, and some see a part of each table.
#[derive(Debug)]
struct Parts(Authorizer);

#[async_trait]
impl PolicySource for Parts {
    fn authorizer(&self) -> Result<&Authorizer, SecurityError> {
        Ok(&self.0)
    }

    fn row_policies(&self, principal: &Principal) -> Option<Arc<dyn RowPolicies>> {
        match principal.name.as_str() {
            "ana" => Some(Arc::new(Since(4))),
            "ben" => Some(Arc::new(Since(8))),
            _ => None,
        }
    }

    async fn refresh(&self) -> Result<(), EngineError> {
        Ok(())
    }

    async fn change(&self, _: &PolicyChange) -> Result<(), EngineError> {
        Ok(())
    }
}

async fn service() -> (Lake, QueryService) {
    let lake = Lake::new().await;
    let users = ["ana", "ben", "eva", "root"].map(|name| UserSettings {
        name: name.into(),
        password_hash: String::new(),
        scram: None,
        role: Role::Writer,
    });
    let (service, authorizer) = lake.for_users(Vec::from(users));
    (lake, service.govern(Arc::new(Parts(authorizer))))
}

async fn asked(service: &QueryService, user: &str, sql: &str) -> Result<(Vec<String>, CacheUse), QueryError> {
    let (results, how) = service
        .run_and_tell(&Principal::named(user), &Statement::new(sql))
        .await?;
    let batches: Vec<RecordBatch> = results.batches.try_collect().await?;
    Ok((cells(&pretty_format_batches(&batches).expect("rows").to_string()), how))
}

// Goal: what is kept for somebody who sees all is never given to somebody who sees a part, nor the other way round, and what is kept for a
// part is given to who sees the same. Method: one statement of those who see all and of two who see two parts, in turns, twice.
#[tokio::test]
async fn kept_rows_stay_within_their_policy() {
    let (_lake, service) = service().await;
    for (sql, expected) in [
        ("SELECT count(*) FROM numbers", ["10", "6", "2"]),
        ("SELECT min(id) FROM numbers", ["0", "4", "8"]),
        ("SELECT count(*) FROM numbers WHERE id < 100", ["10", "6", "2"]),
    ] {
        let [all, ana, ben] = expected;
        for (user, wanted, kept) in [
            ("eva", all, "MISS"),
            ("ana", ana, "MISS"),
            ("ben", ben, "MISS"),
            ("ana", ana, "HIT"),
            ("root", all, "HIT"),
            ("ben", ben, "HIT"),
        ] {
            let (rows, how) = asked(&service, user, sql).await.expect(sql);
            assert_eq!((rows, how.word()), (vec![wanted.to_owned()], kept), "{user}: {sql}");
        }
    }
}

// Goal: nothing besides rows tells of the rest. Method: an explanation, a table of metadata, a change and the counts that tools of
// PostgreSQL read, of one who sees a part; the same of one who sees all.
#[tokio::test]
async fn nothing_else_tells() {
    let (_lake, service) = service().await;
    for sql in [
        "EXPLAIN SELECT count(*) FROM numbers",
        "EXPLAIN ANALYZE SELECT count(*) FROM numbers",
        "SELECT record_count FROM gold.\"numbers$files\"",
    ] {
        let refused = asked(&service, "ana", sql).await.expect_err(sql);
        assert_eq!(
            (refused.code(), refused.kind()),
            ("ENG-0032", ErrorKind::Denied),
            "{sql}"
        );
        asked(&service, "eva", sql).await.expect(sql);
    }
    for (user, counted) in [("ana", 0), ("eva", 10)] {
        let relations = service.relations(&Principal::named(user)).await.expect("relations");
        let numbers = relations.relations.iter().find(|of| of.name == "numbers");
        assert_eq!(numbers.expect("the table").rows, counted, "{user}");
    }
    let change = Statement::new("DELETE FROM numbers");
    let refused = service.change(&Principal::named("ana"), &change).await;
    assert_eq!(refused.expect_err("a change").code(), "ENG-0032");
    let (rows, _) = asked(&service, "eva", "SELECT count(*) FROM numbers")
        .await
        .expect("rows");
    assert_eq!(rows, ["10"]);
}
