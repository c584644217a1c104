//! What is written with its place in a source: rows of topics, and files of producers.

use tidewater_catalog::raft::ConsensusError;
use tidewater_catalog_client::dto::{IngestCommit, IngestOutcome, LeaseRequest, OffsetRange, TopicPartition};
use tidewater_catalog_client::{AppendFiles, CatalogClient, creation_updates};
use tidewater_table::iceberg::TableRequirement;
use tidewater_table::iceberg::spec::{
    DataContentType, DataFileBuilder, DataFileFormat, Datum, Literal, Struct, Transform, UnboundPartitionSpec,
};
use tidewater_table::{Added, Catalog, FileStore, TableCommit, plan_scan};

use super::{Node, bronze, client, name, new_table, set};

fn partition() -> TopicPartition {
    TopicPartition {
        topic: "users".into(),
        partition: 0,
    }
}

async fn lease(client: &CatalogClient, owner: &str) -> (bool, u64) {
    let request = LeaseRequest {
        owner: owner.into(),
        ttl_ms: 60_000,
        acquire: vec![partition()],
        release: Vec::new(),
    };
    let leases = client.acquire_leases(&request).await.expect("an answer").leases;
    (leases[0].granted, leases[0].epoch)
}

fn ingest(epoch: u64, from: i64, to: i64, commits: Vec<TableCommit>) -> IngestCommit {
    let range = OffsetRange {
        topic: "users".into(),
        partition: 0,
        epoch,
        from,
        to,
    };
    IngestCommit {
        owner: "one".into(),
        ranges: vec![range],
        commits,
    }
}

// Goal: an ingest commit moves offsets and tables together, makes tables in the same entry, and tells apart why it was not applied.
// Method: each outcome once, and a lost answer.
#[tokio::test]
async fn ingest_commits() {
    let node = Node::start().await;
    let client = client(&[node.uri()]);
    bronze(&client).await;
    assert_eq!(lease(&client, "one").await, (true, 1));
    assert_eq!(lease(&client, "two").await, (false, 1));

    let staged = client.stage_table(&new_table("bronze.users")).await.expect("staged");
    let create = TableCommit {
        name: name("bronze.users"),
        requirements: vec![TableRequirement::NotExist],
        updates: creation_updates(&staged),
    };
    let outcome = client
        .ingest_commit(&ingest(1, 5, 10, vec![create.clone()]))
        .await
        .expect("an answer");
    let IngestOutcome::Applied { tables } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (tables[0].name.to_string().as_str(), tables[0].version),
        ("bronze.users", 1)
    );
    let made = client
        .load_table(&name("bronze.users"))
        .await
        .expect("an answer")
        .expect("there");
    assert_eq!(
        (made.metadata.uuid(), made.metadata.location()),
        (staged.uuid(), staged.location())
    );

    let mut outcomes = Vec::new();
    for commit in [
        ingest(1, 5, 10, vec![set("bronze.users", "late")]),
        ingest(1, 11, 12, vec![]),
        ingest(2, 10, 12, vec![]),
        ingest(1, 10, 12, vec![create]),
        ingest(1, 10, 12, vec![set("bronze.none", "x")]),
    ] {
        outcomes.push(client.ingest_commit(&commit).await.expect("an answer"));
    }
    let [already, gap, fenced, conflict, missing] = outcomes.as_slice() else {
        panic!("five")
    };
    assert_eq!(already, &IngestOutcome::AlreadyApplied);
    let partition = partition();
    assert_eq!(
        gap,
        &IngestOutcome::Gap {
            partition: partition.clone(),
            expected: 10
        }
    );
    assert_eq!(fenced, &IngestOutcome::Fenced { partition, epoch: 1 });
    assert!(matches!(conflict, IngestOutcome::TableConflict { .. }), "{conflict:?}");
    assert!(matches!(missing, IngestOutcome::TableMissing { .. }), "{missing:?}");

    // The answer is lost, the client asks again under the same key.
    node.consensus.fail_next_write(ConsensusError::OutcomeUnknown {
        reason: "cut off".into(),
    });
    let outcome = client
        .ingest_commit(&ingest(1, 10, 12, vec![set("bronze.users", "x")]))
        .await
        .expect("an answer");
    assert!(matches!(outcome, IngestOutcome::Applied { .. }), "{outcome:?}");
    let offsets = client.offsets("us").await.expect("an answer").partitions;
    assert_eq!(
        (offsets.len(), offsets[0].next_offset, offsets[0].epoch),
        (1, Some(12), 1)
    );
    assert!(client.offsets("other").await.expect("an answer").partitions.is_empty());
}

// Goal: what a producer hands over through the client is in the table as it was described, once, also when the answer was lost.
// Method: a file with a partition and bounds; the log loses the first answer; the scan of the table.
#[tokio::test]
async fn files_are_appended() {
    let files = FileStore::system();
    let node = Node::start_on(files.clone()).await;
    let client = client(&[node.uri()]);
    bronze(&client).await;
    let mut table = new_table("bronze.users");
    let spec = UnboundPartitionSpec::builder().add_partition_field(1, "bucket", Transform::Bucket(4));
    table.partition_spec = Some(spec.expect("a good field").build());
    let table = client.create_table(table).await.expect("made");
    let path = format!("{}/data/a.parquet", table.metadata.location());
    files.put_new(&path, "not read".into()).await.expect("written");
    let file = DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(path)
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter([Some(Literal::int(3))]))
        .record_count(7)
        .file_size_in_bytes(8)
        .value_counts([(1, 7)].into())
        .null_value_counts([(1, 0)].into())
        .lower_bounds([(1, Datum::long(-4))].into())
        .upper_bounds([(1, Datum::long(900))].into())
        .build()
        .expect("a file");
    let added = [Added::new(file.clone(), 0)];
    let append = AppendFiles {
        producer: "ward-7",
        range: 10..20,
        files: &added,
        summary: [("source".to_owned(), "ward".to_owned())].into(),
    };
    node.consensus.fail_next_write(ConsensusError::OutcomeUnknown {
        reason: "a test".into(),
    });
    let first = client.append_files(&table.name, &table.metadata, &append).await;
    let again = client
        .append_files(&table.name, &table.metadata, &append)
        .await
        .expect("appended");
    if let Ok(first) = first {
        assert_eq!(first, again);
    }
    let other = AppendFiles {
        range: 15..25,
        ..append
    };
    let refused = client.append_files(&table.name, &table.metadata, &other).await;
    assert!(refused.is_err_and(|error| error.is_refusal("AppendOverlapException")));
    let now = client.load_table(&table.name).await.expect("an answer").expect("there");
    let head = now.metadata.current_snapshot().expect("a head");
    assert_eq!(
        (
            head.snapshot_id(),
            head.summary().additional_properties["source"].as_str()
        ),
        (again.snapshot_id, "ward")
    );
    let scanned = plan_scan(&files, &now.metadata, None, None).await.expect("planned");
    assert_eq!(scanned.len(), 1);
    assert_eq!(scanned[0].data_file(), &file);
}
