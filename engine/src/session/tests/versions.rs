use tidewater_core::Coded;
use tidewater_table::iceberg::TableUpdate;
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, SnapshotReference, SnapshotRetention, Type};
use tidewater_table::schema::schema_commit;
use tidewater_table::{Catalog, CommitOutcome, TableCommit};

use super::{lake, rows};
use crate::EngineError;
use crate::testing::{Lake, table_name};

const TABLE: &str = "gold.people";

/// The ids of the table's snapshots, and when they came.
async fn history(lake: &Lake) -> Vec<(i64, i64)> {
    let table = lake.load(TABLE).await;
    let log = table.metadata.history();
    log.iter()
        .map(|entry| (entry.snapshot_id, entry.timestamp_ms()))
        .collect()
}

async fn name(lake: &Lake, name: &str, snapshot_id: i64, retention: SnapshotRetention) {
    let commit = TableCommit {
        name: table_name(TABLE),
        requirements: Vec::new(),
        updates: vec![TableUpdate::SetSnapshotRef {
            ref_name: name.into(),
            reference: SnapshotReference { snapshot_id, retention },
        }],
    };
    let outcome = lake.catalog.commit(vec![commit]).await.expect("a commit");
    assert!(matches!(outcome, CommitOutcome::Committed(_)), "{outcome:?}");
}

fn branch() -> SnapshotRetention {
    SnapshotRetention::Branch {
        min_snapshots_to_keep: None,
        max_snapshot_age_ms: None,
        max_ref_age_ms: None,
    }
}

/// Two snapshots of three and five rows with the columns `id` and `name`, a branch and a tag at the first, and then a third
/// snapshot after `name` was renamed to `full_name`.
async fn versions() -> (Lake, Vec<(i64, i64)>) {
    let lake = lake().await;
    let first = history(&lake).await[0].0;
    name(&lake, "audit", first, branch()).await;
    name(&lake, "2026/q1.$x", first, branch()).await;
    name(&lake, "v1", first, SnapshotRetention::Tag { max_ref_age_ms: None }).await;
    let fields = [
        NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
        NestedField::optional(2, "full_name", Type::Primitive(PrimitiveType::String)).into(),
    ];
    let renamed = Schema::builder().with_fields(fields).build().expect("a schema");
    let table = lake.load(TABLE).await;
    let commit = schema_commit(&table.name, &table.metadata, renamed);
    lake.catalog.commit(vec![commit]).await.expect("a schema change");
    let six = rows(&[6]);
    let columns = six.columns().to_vec();
    let six = datafusion::arrow::array::RecordBatch::try_from_iter([
        ("id", columns[0].clone()),
        ("full_name", columns[1].clone()),
    ]);
    lake.append(TABLE, six.expect("rows")).await;
    let history = history(&lake).await;
    assert_eq!(history.len(), 3);
    (lake, history)
}

async fn refused(lake: &Lake, sql: &str) -> EngineError {
    let session = lake.session();
    lake.engine.plan(&session, sql).await.expect_err(sql)
}

// Goal: a table is read as it was at a snapshot, a branch, a tag and a moment, however it is written. Method: every form against the
// rows that were there.
#[tokio::test]
async fn tables_are_read_at_versions() {
    let (lake, history) = versions().await;
    let (first, second) = (history[0].0, history[1].0);
    for (table, wanted) in [
        (format!("people FOR VERSION AS OF {first}"), "3"),
        (format!("gold.people FOR SYSTEM_VERSION AS OF {second}"), "5"),
        (format!("lake.gold.people VERSION AS OF {second}"), "5"),
        (format!("people VERSION AS OF '{first}'"), "3"),
        ("people FOR VERSION AS OF 'audit'".into(), "3"),
        ("people VERSION AS OF 'v1'".into(), "3"),
        ("people VERSION AS OF 'main'".into(), "6"),
        ("people VERSION AS OF '2026/q1.$x'".into(), "3"),
        (format!("\"people@{first}\""), "3"),
        ("\"people@audit\"".into(), "3"),
        ("people.branch_audit".into(), "3"),
        ("gold.people.tag_v1".into(), "3"),
        ("lake.gold.people.branch_main".into(), "6"),
        (format!("gold.people.snapshot_id_{second}"), "5"),
        (format!("gold.people.at_timestamp_{}", history[1].1), "5"),
        ("people".into(), "6"),
    ] {
        let sql = format!("select count(people.id) from {table} as people where people.id > 0");
        assert_eq!(lake.lines(&sql).await, [wanted], "{sql}");
    }
    let sql =
        "select people.id, p.id from people VERSION AS OF 'v1' join people VERSION AS OF 'audit' p on people.id = p.id
        where people.id = 2";
    assert_eq!(lake.lines(sql).await, ["2,2"]);
    let sql = format!("select count(*) from \"people$files\" FOR VERSION AS OF {first}");
    assert_eq!(lake.lines(&sql).await, ["1"]);
    assert_eq!(lake.lines("select count(*) from gold.people.snapshots").await, ["3"]);
    assert_eq!(
        lake.lines("select count(snapshots.snapshot_id) from people.snapshots")
            .await,
        ["3"]
    );
    assert_eq!(lake.lines("select count(*) from people$files").await, ["3"]);
}

// Goal: a moment means the newest snapshot at or before it. Method: each snapshot's own millisecond, and the one before the first.
#[tokio::test]
async fn a_moment_means_what_was_current_then() {
    let (lake, history) = versions().await;
    let counts = ["3", "5", "6"];
    for (index, (_, at_ms)) in history.iter().enumerate() {
        // Snapshots of the same millisecond: the newest of them counts.
        let last = history.iter().rposition(|(_, other)| other == at_ms).unwrap_or(index);
        let at = chrono::DateTime::from_timestamp_millis(*at_ms).expect("a moment");
        let texts = [
            at.format("TIMESTAMP '%Y-%m-%d %H:%M:%S%.3f'").to_string(),
            at.format("'%Y-%m-%dT%H:%M:%S%.3f999Z'").to_string(),
            at.format("TIMESTAMP '%Y-%m-%d %H:%M:%S%.3f UTC'").to_string(),
        ];
        for text in texts {
            let sql = format!("select count(*) from people FOR TIMESTAMP AS OF {text}");
            assert_eq!(lake.lines(&sql).await, [counts[last]], "{sql}");
        }
    }
    assert_eq!(
        lake.lines("select count(*) from people TIMESTAMP AS OF '2999-01-01'")
            .await,
        ["6"]
    );
    let before = refused(
        &lake,
        "select * from people FOR SYSTEM_TIME AS OF '1999-01-01 00:00:00'",
    )
    .await;
    assert_eq!(before.code(), "ENG-0031");
    let oldest = chrono::DateTime::from_timestamp_millis(history[0].1).expect("a moment");
    let hint = before.hint().expect("a hint");
    assert!(hint.contains(&oldest.format("%Y-%m-%dT%H:%M:%S").to_string()), "{hint}");
}

// Goal: a snapshot and a tag have the columns they were written with, a branch those of the table (Iceberg's rule). Method: a renamed
// column.
#[tokio::test]
async fn versions_have_their_columns() {
    let (lake, history) = versions().await;
    for old in [
        format!("people VERSION AS OF {}", history[0].0),
        "people VERSION AS OF 'v1'".into(),
    ] {
        assert_eq!(
            lake.lines(&format!("select name from {old} where id = 2")).await,
            ["n2"]
        );
    }
    let sql = "select full_name from people VERSION AS OF 'audit' where id = 2";
    assert_eq!(lake.lines(sql).await, ["n2"]);
    refused(&lake, "select name from people VERSION AS OF 'audit'").await;
}

// Goal: what cannot be read is told with its code and where it stands. Method: unknown names, and a column behind a version.
#[tokio::test]
async fn unknown_versions_are_told() {
    let (lake, _) = versions().await;
    let unknown = refused(&lake, "select * from people VERSION AS OF 'nowhere'").await;
    assert_eq!(unknown.code(), "ENG-0030");
    assert!(unknown.hint().is_some_and(|hint| hint.contains("gold.\"people$refs\"")));
    assert_eq!(
        refused(&lake, "select * from people VERSION AS OF 4").await.code(),
        "TBL-0018"
    );
    assert_eq!(
        refused(&lake, "select * from gold.people.branch_x").await.code(),
        "ENG-0030"
    );
    let sql = "select * from people FOR VERSION AS OF 'v1' where id = = 3";
    let place = refused(&lake, sql).await;
    let column = sql.find("= 3").expect("there") + 1;
    let told = std::error::Error::source(&place)
        .map(ToString::to_string)
        .unwrap_or_default();
    assert!(told.contains(&format!("Column: {column}")), "{told}");
}
