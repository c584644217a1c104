use std::sync::Arc;

use datafusion::arrow::array::Int64Array;
use datafusion::arrow::record_batch::RecordBatch;
use tidewater_core::Coded;
use tidewater_security::{Access, Grant, Grantee, Object, Policy, Privilege, Resource};
use tidewater_table::Catalog;

use crate::error::Result;
use crate::statement::tests::{done, lake};
use crate::testing::{Lake, lines, table_name};
use crate::{Class, PlanRequest, PlanRunner, SessionOptions};

/// A file of rows that is written where `of` lies and that `to` names.
async fn lend(lake: &Lake, of: &str, to: &str, id: i64) {
    let ids = Arc::new(Int64Array::from(vec![id]));
    let rows = RecordBatch::try_from_iter_with_nullable([("id", ids as _, true)]).expect("rows");
    let added = lake.write(of, rows).await;
    lake.commit(to, added).await;
}

async fn answer(lake: &Lake, options: &SessionOptions, sql: &str) -> Result<Vec<String>> {
    let session = lake.engine.session(Class::Interactive, options);
    let plan = lake.engine.plan(&session, sql).await?;
    let request = PlanRequest {
        job: lake.job(),
        session,
        plan,
        class: Class::Interactive,
        deadline: None,
    };
    let output = lake.engine.local_runner().run(request).await?;
    Ok(lines(&output.collect().await?))
}

// Goal: whom grants bind reads no other table's rows by the means of a table of their own, and files that are nobody's all the same.
// Method: a table that names a file in another's location and one that names a file in no table's, read by a user who may read both and
// neither of the others, and by somebody whom no grant binds.
#[tokio::test]
async fn files_of_another_table_are_refused_to_who_is_bound() {
    let lake = lake().await;
    for table in ["secret", "gone", "thief", "honest"] {
        done(&lake, &format!("CREATE TABLE s.{table} (id bigint)")).await;
    }
    for (of, to) in [("secret", "thief"), ("gone", "honest")] {
        lend(&lake, &format!("s.{to}"), &format!("s.{to}"), 1).await;
        lend(&lake, &format!("s.{of}"), &format!("s.{to}"), 2).await;
    }
    let gone = lake.catalog.drop_table(&table_name("s.gone"), false).await;
    gone.expect("dropped");
    let mut policy = Policy {
        in_force: true,
        ..Policy::default()
    };
    for table in ["thief", "honest"] {
        let uuid = lake.load(&format!("s.{table}")).await.metadata.uuid();
        policy.objects.push(Object {
            id: uuid,
            uuid,
            namespace: vec!["s".into()],
            name: table.into(),
        });
        policy.grants.push(Grant {
            to: Grantee::User("ana".into()),
            on: Resource::Object(uuid),
            privileges: Privilege::Select.into(),
        });
    }
    let bound = SessionOptions {
        access: Some(Arc::new(Access::compile(&policy, "ana"))),
        ..SessionOptions::default()
    };
    for sql in [
        "SELECT id FROM s.thief",
        "SELECT id FROM s.thief WHERE id = 2",
        "SELECT count(*) FROM s.thief",
        "SELECT max(id) FROM s.thief",
        "SELECT id FROM s.\"thief$changes\"",
        "SELECT file_path FROM s.\"thief$files\"",
    ] {
        let error = answer(&lake, &bound, sql).await.expect_err(sql);
        assert_eq!(error.code(), "TBL-0039", "{sql}: {error:?}");
    }
    let honest = answer(&lake, &bound, "SELECT id FROM s.honest").await;
    assert_eq!(honest.expect("rows of no other table"), ["1", "2"]);
    let all = answer(&lake, &SessionOptions::default(), "SELECT id FROM s.thief").await;
    assert_eq!(all.expect("rows"), ["1", "2"]);
}
