//! What goes on in the catalog, as those see it who follow it: jobs, changes, and where tables stand.

use std::sync::Arc;
use std::time::Duration;

use tidewater_catalog_client::JobFilter;
use tidewater_catalog_client::dto::{ChangeKind, JobPhase, JobPut};
use tidewater_core::{JobId, Namespace};
use tidewater_table::{Catalog, Since};

use super::{Node, bronze, client, name, new_table};

// Goal: job rows are kept, versioned and listed. Method: the life of a job, and a write that comes too late.
#[tokio::test]
async fn job_rows() {
    let node = Node::start().await;
    let client = client(&[node.uri()]);
    let job = JobId(uuid::Uuid::from_u128(1));
    assert!(client.job(job).await.expect("an answer").is_none());
    let row = |phase, expect_version| JobPut {
        kind: "model".into(),
        phase,
        body: serde_json::json!({"model": "silver.users"}),
        expect_version,
    };
    assert_eq!(
        client
            .put_job(job, &row(JobPhase::Running, Some(0)))
            .await
            .expect("written"),
        1
    );
    let open = JobFilter {
        open: true,
        kind: Some("model".into()),
        limit: Some(5),
    };
    assert_eq!(client.jobs(&open).await.expect("a list").len(), 1);
    assert_eq!(
        client
            .put_job(job, &row(JobPhase::Succeeded, Some(1)))
            .await
            .expect("written"),
        2
    );
    let late = client.put_job(job, &row(JobPhase::Running, None)).await;
    assert!(
        matches!(&late, Err(error) if error.is_refusal("JobVersionException")),
        "{late:?}"
    );
    assert!(client.jobs(&open).await.expect("a list").is_empty());
    let found = client.job(job).await.expect("an answer").expect("there");
    assert_eq!(
        (found.phase, found.version, found.body["model"].as_str()),
        (JobPhase::Succeeded, 2, Some("silver.users"))
    );
}

// Goal: the feed wakes who waits, and loses nothing. Method: wait, commit, read; then from the beginning.
#[tokio::test]
async fn changes_are_followed() {
    let node = Node::start().await;
    let client = client(&[node.uri()]);
    let begin = client.changes(None, 100, Duration::ZERO).await.expect("a page");
    assert!(begin.changes.is_empty());
    let waiting = client.changes(Some(begin.cursor), 100, Duration::from_secs(20));
    let (page, ()) = tokio::join!(waiting, bronze(&client));
    let page = page.expect("a page");
    assert!(matches!(&page.changes[0].kind, ChangeKind::NamespaceCreated { namespace } if namespace == &["bronze"]));
    client.create_table(new_table("bronze.users")).await.expect("made");
    let page = client
        .changes(Some(page.cursor), 100, Duration::from_secs(20))
        .await
        .expect("a page");
    let table = page.changes[0].kind.table().and_then(|table| table.table_name());
    assert_eq!(table, Some(name("bronze.users")));
    let all = client.changes(Some(0), 100, Duration::ZERO).await.expect("a page");
    assert_eq!((all.changes.len(), all.lost), (2, false));
    assert_eq!(client.cluster_status().await.expect("an answer").tables_count, 1);
}

// Goal: several tables are answered at once, each as it is, whether it was known, moved or is not there. Method: two tables and a
// missing one, before and after a commit to one of them.
#[tokio::test]
async fn tables_of_one_moment() {
    let node = Node::start().await;
    let client = client(&[node.uri()]);
    bronze(&client).await;
    let names = ["bronze.a", "bronze.b", "bronze.missing"].map(name);
    for made in &names[..2] {
        client.create_table(new_table(&made.to_string())).await.expect("made");
    }
    let fresh = self::client(&[node.uri()]);
    for client in [&client, &fresh, &fresh] {
        let found = client.load_tables(&names).await.expect("an answer");
        assert!(found[2].is_none());
        for (name, table) in names.iter().zip(&found).take(2) {
            let alone = client.load_table(name).await.expect("an answer").expect("a table");
            let table = table.as_ref().expect("a table");
            assert_eq!(
                (&table.name, &table.metadata_location),
                (name, &alone.metadata_location)
            );
            assert_eq!(table.metadata, alone.metadata);
        }
    }
    client.drop_table(&names[0], false).await.expect("dropped");
    let found = fresh.load_tables(&names).await.expect("an answer");
    assert_eq!(
        found.iter().map(Option::is_some).collect::<Vec<_>>(),
        [false, true, false]
    );
}

// Goal: where all tables stand is told as it is, and nothing is sent while it stays so. Method: tables that are made, renamed and dropped,
// and a change of something else.
#[tokio::test]
async fn pointers_of_all_tables() {
    let node = Node::start().await;
    let client = client(&[node.uri()]);
    bronze(&client).await;
    let ask = || async { client.pointers().await.expect("an answer") };
    assert!(ask().await.is_empty());
    let a = client.create_table(new_table("bronze.a")).await.expect("made");
    let first = ask().await;
    let pointer = &first[&name("bronze.a")];
    assert_eq!(
        (pointer.uuid, &pointer.metadata_location, pointer.snapshot_id),
        (a.metadata.uuid(), &a.metadata_location, None)
    );
    let other: Namespace = "silver".parse().expect("a name");
    client.create_namespace(&other).await.expect("made");
    assert!(Arc::ptr_eq(&first, &ask().await), "no table moved");
    client.create_table(new_table("bronze.b")).await.expect("made");
    assert_eq!(ask().await.len(), 2);
    let (b, c) = (name("bronze.b"), name("bronze.c"));
    client.rename_table(&b, &c).await.expect("renamed");
    let renamed = ask().await;
    assert!(renamed.contains_key(&c) && !renamed.contains_key(&b));
    client.drop_table(&a.name, false).await.expect("dropped");
    assert_eq!(ask().await.len(), 1);
    assert_eq!(first.len(), 1, "what was told stays");
}

// Goal: who looks at all tables is sent those that changed, however many there are. Method: more tables than one call may name;
// one that is committed to, one that is dropped and one that is new.
#[tokio::test]
async fn tables_that_changed() {
    let node = Node::start().await;
    let client = client(&[node.uri()]);
    bronze(&client).await;
    let mut seen = Vec::new();
    for at in 0..300 {
        let made = client
            .create_table(new_table(&format!("bronze.t{at}")))
            .await
            .expect("made");
        seen.push((made.name, Some(made.metadata_location)));
    }
    let since = client.load_changed(&seen).await.expect("an answer");
    assert!(since.iter().all(|since| matches!(since, Since::Same)));
    client.drop_table(&seen[7].0, false).await.expect("dropped");
    seen[270].1 = Some("an older file".into());
    seen[299].1 = None;
    let since = client.load_changed(&seen).await.expect("an answer");
    for (at, ((name, _), since)) in seen.iter().zip(&since).enumerate() {
        let right = match since {
            Since::Gone => at == 7,
            Since::Same => !matches!(at, 7 | 270 | 299),
            Since::Changed(table) => matches!(at, 270 | 299) && table.name == *name,
        };
        assert!(right, "{name}: {since:?}");
    }
}
