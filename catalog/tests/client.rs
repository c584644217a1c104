//! The client against servers on loopback: what roles use, over the same HTTP as in production.

#[path = "client/nearby.rs"]
mod nearby;
#[path = "client/tables.rs"]
mod tables;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidewater_catalog::memory::MemoryConsensus;
use tidewater_catalog::raft::ConsensusError;
use tidewater_catalog::{CatalogOptions, CatalogServer, Warehouse};
use tidewater_catalog_client::dto::{
    ChangeKind, IngestCommit, IngestOutcome, JobPhase, JobPut, LeaseRequest, OffsetRange, TopicPartition,
};
use tidewater_catalog_client::{AppendFiles, CatalogClient, ClientError, ClientOptions, JobFilter, creation_updates};
use tidewater_core::{Coded, JobId, Namespace, Retry, SystemClock, SystemRng, TableName, Tasks};
use tidewater_table::iceberg::spec::{
    DataContentType, DataFileBuilder, DataFileFormat, Datum, Literal, NestedField, PrimitiveType, Schema, Struct,
    Transform, Type, UnboundPartitionSpec,
};
use tidewater_table::iceberg::{TableRequirement, TableUpdate};
use tidewater_table::{
    Added, Catalog, CatalogFault, CommitOutcome, FileStore, NewTable, Since, TableCommit, plan_scan,
};

struct Node {
    consensus: Arc<MemoryConsensus>,
    address: SocketAddr,
    tasks: Tasks,
}

impl Node {
    async fn start() -> Self {
        Self::start_on(FileStore::system()).await
    }

    async fn start_on(files: FileStore) -> Self {
        let (consensus, tasks) = (MemoryConsensus::shared(), Tasks::new("test"));
        let server = server(&consensus, files, &tasks);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        tasks.spawn("serve", async move {
            server.serve(listener).await.expect("the listener works")
        });
        Self {
            consensus,
            address,
            tasks,
        }
    }

    fn uri(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn server(consensus: &Arc<MemoryConsensus>, files: FileStore, tasks: &Tasks) -> CatalogServer {
    let warehouse = Warehouse::new("lake", "memory:///lake").expect("a good location");
    CatalogServer::new(CatalogOptions::new(
        consensus.clone(),
        Arc::new(files),
        warehouse,
        SystemClock::shared(),
        SystemRng::shared(),
        tasks.clone(),
    ))
}

fn client(endpoints: &[String]) -> CatalogClient {
    let mut options = ClientOptions::new(endpoints);
    options.deadline = Duration::from_secs(5);
    CatalogClient::new(options).expect("good options")
}

fn name(text: &str) -> TableName {
    text.parse().expect("a good name")
}

fn new_table(text: &str) -> NewTable {
    let field = NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long));
    let schema = Schema::builder()
        .with_fields([Arc::new(field)])
        .build()
        .expect("a good schema");
    NewTable::new(name(text), schema)
}

fn set(text: &str, key: &str) -> TableCommit {
    TableCommit {
        name: name(text),
        requirements: Vec::new(),
        updates: vec![TableUpdate::SetProperties {
            updates: [(key.to_owned(), "1".to_owned())].into(),
        }],
    }
}

async fn bronze(client: &CatalogClient) {
    let namespace: Namespace = "bronze".parse().expect("a good name");
    client.create_namespace(&namespace).await.expect("made");
    client.create_namespace(&namespace).await.expect("made once");
}

// Goal: a metadata file gets a name in the catalog, none that is taken, and no second one, whose refusal is told in whole words. Method: a
// table's own file, under its name, another one, and one of a schema that is not there; under the other one again when the first was given up.
#[tokio::test]
async fn metadata_files_are_registered() {
    let node = Node::start().await;
    let client = client(&[node.uri()]);
    bronze(&client).await;
    let made = client.create_table(new_table("bronze.users")).await.expect("made");
    let file = made.metadata_location.as_str();
    let taken = client.register_table(&made.name, file).await;
    assert!(matches!(taken, Err(CatalogFault::AlreadyExists { .. })), "{taken:?}");
    let nowhere = client.register_table(&name("none.users"), file).await;
    assert!(matches!(nowhere, Err(CatalogFault::NotFound { .. })), "{nowhere:?}");
    let other = name("bronze.other");
    let second = client.register_table(&other, file).await.expect_err("one name a table");
    assert!(matches!(second, CatalogFault::AlreadyExists { .. }), "{second:?}");
    let uuid = made.metadata.uuid();
    assert_eq!(
        second.to_string(),
        format!("the table with uuid {uuid}, which is bronze.users, exists already")
    );
    assert!(client.load_table(&other).await.expect("an answer").is_none());
    client.drop_table(&made.name, false).await.expect("given up");
    client.register_table(&other, file).await.expect("registered");
    let registered = client.load_table(&other).await.expect("an answer").expect("a table");
    assert_eq!(registered.metadata.uuid(), uuid);
    assert_eq!(registered.metadata_location, made.metadata_location);
}

// Goal: the client is a Catalog. Method: every call of the trait, each outcome once.
#[tokio::test]
async fn tables_and_namespaces() {
    let node = Node::start().await;
    every_call(&client(&[node.uri()])).await;
}

async fn every_call(client: &CatalogClient) {
    bronze(client).await;
    let nested = "bronze.raw.deep".parse().expect("a good name");
    client.create_namespace(&nested).await.expect("made with its parents");
    assert_eq!(client.list_namespaces().await.expect("a list").len(), 3);

    let users = name("bronze.users");
    assert!(client.load_table(&users).await.expect("an answer").is_none());
    assert!(
        client
            .load_table(&name("none.users"))
            .await
            .expect("an answer")
            .is_none()
    );
    let made = client.create_table(new_table("bronze.users")).await.expect("made");
    let again = client.create_table(new_table("bronze.users")).await;
    assert!(matches!(again, Err(CatalogFault::AlreadyExists { .. })), "{again:?}");
    assert_eq!(
        client.list_tables(users.namespace()).await.expect("a list"),
        std::slice::from_ref(&users)
    );

    // Loaded twice without a change in between: the second is the same object, the catalog said 304.
    let one = client.load_table(&users).await.expect("an answer").expect("there");
    let two = client.load_table(&users).await.expect("an answer").expect("there");
    assert_eq!(one.metadata_location, made.metadata_location);
    assert!(Arc::ptr_eq(&one.metadata, &two.metadata));

    let committed = client.commit(vec![set("bronze.users", "x")]).await.expect("an answer");
    assert!(
        matches!(&committed, CommitOutcome::Committed(tables) if tables[0].metadata.properties()["x"] == "1"),
        "{committed:?}"
    );
    let mut wrong = set("bronze.users", "y");
    wrong.requirements = vec![TableRequirement::LastAssignedFieldIdMatch {
        last_assigned_field_id: 9,
    }];
    let conflict = client.commit(vec![wrong.clone()]).await.expect("an answer");
    assert!(matches!(conflict, CommitOutcome::Conflict { .. }), "{conflict:?}");
    client.create_table(new_table("bronze.orders")).await.expect("made");
    let conflict = client
        .commit(vec![set("bronze.orders", "z"), wrong])
        .await
        .expect("an answer");
    assert!(matches!(conflict, CommitOutcome::Conflict { .. }), "{conflict:?}");
    let both = client
        .commit(vec![set("bronze.orders", "z"), set("bronze.users", "z")])
        .await
        .expect("an answer");
    assert!(
        matches!(&both, CommitOutcome::Committed(tables) if tables.len() == 2),
        "{both:?}"
    );

    client
        .rename_table(&users, &name("bronze.people"))
        .await
        .expect("renamed");
    assert!(client.load_table(&users).await.expect("an answer").is_none());
    client.drop_table(&name("bronze.people"), true).await.expect("dropped");
    let gone = client.drop_table(&name("bronze.people"), false).await;
    assert!(matches!(gone, Err(CatalogFault::NotFound { .. })), "{gone:?}");
}

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

// Goal: the client finds the leader, waits out a time without one, and says what is known when it gives up. Method: a follower that
// points to the leader; a leader that answers 503 and comes back; nobody at all; answers that are lost for good.
#[tokio::test]
async fn the_leader_is_found() {
    let (leader, follower) = (Node::start().await, Node::start().await);
    follower.consensus.follow(Some(&leader.uri()));
    bronze(&client(&[follower.uri()])).await;
    assert_eq!(
        client(&[leader.uri()]).list_namespaces().await.expect("a list").len(),
        1
    );

    leader.consensus.follow(None);
    let asking = client(&[leader.uri()]);
    let back = async {
        tokio::task::yield_now().await;
        leader.consensus.follow_self();
    };
    let (found, ()) = tokio::join!(asking.list_namespaces(), back);
    assert_eq!(found.expect("a list").len(), 1);

    leader.tasks.shutdown(Duration::from_secs(5)).await;
    let mut options = ClientOptions::new([leader.uri()]);
    options.deadline = Duration::from_millis(200);
    let alone = CatalogClient::new(options).expect("good options");
    let gone = alone.cluster_status().await;
    assert!(matches!(gone, Err(ClientError::Unavailable { .. })), "{gone:?}");
    assert_eq!(gone.map_err(|error| error.retry()), Err(Retry::Safe));
}

// Goal: a command does not wait for a catalog that nobody started, and what goes on for longer does. Method: a port that nobody listens on
// any more; the command's deadline is far away, the other's near, and only the latter is reached.
#[tokio::test]
async fn a_command_does_not_wait_for_a_start() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let place = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let ask = |await_start: bool, deadline: Duration| {
        let mut options = ClientOptions::new([place.clone(), place.clone()]);
        options.await_start = await_start;
        options.deadline = deadline;
        let client = CatalogClient::new(options).expect("good options");
        async move { tokio::time::timeout(Duration::from_secs(20), client.cluster_status()).await }
    };
    let gone = ask(false, Duration::from_secs(600)).await.expect("at once");
    assert!(matches!(gone, Err(ClientError::Unavailable { .. })), "{gone:?}");
    let clock = SystemClock::shared();
    let begun = clock.monotonic();
    let waited = ask(true, Duration::from_secs(1)).await.expect("at its deadline");
    assert!(waited.is_err() && clock.monotonic() - begun >= Duration::from_millis(300));
}

// Goal: a command gives up where every connection breaks, as on the port of something else; what goes on for longer waits as long as it may.
// Method: a listener that closes what it takes; the command's deadline is far away, the other's longer than the command tries.
#[tokio::test]
async fn a_command_gives_up_where_connections_break() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let place = format!("http://{}", listener.local_addr().expect("an address"));
    Tasks::new("test").spawn("close", async move {
        while let Ok((connection, _)) = listener.accept().await {
            drop(connection);
        }
    });
    let ask = |await_start: bool, deadline: Duration| {
        let mut options = ClientOptions::new([place.clone()]);
        options.await_start = await_start;
        options.deadline = deadline;
        let client = CatalogClient::new(options).expect("good options");
        async move { tokio::time::timeout(Duration::from_secs(30), client.cluster_status()).await }
    };
    let gone = ask(false, Duration::from_secs(600))
        .await
        .expect("long before its deadline");
    assert!(matches!(gone, Err(ClientError::Unavailable { .. })), "{gone:?}");
    let clock = SystemClock::shared();
    let begun = clock.monotonic();
    let waited = ask(true, Duration::from_secs(6)).await.expect("at its deadline");
    assert!(waited.is_err() && clock.monotonic() - begun >= Duration::from_secs(4));
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
