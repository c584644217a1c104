//! The client against servers on loopback: what roles use, over the same HTTP as in production.

#[path = "client/followed.rs"]
mod followed;
#[path = "client/ingested.rs"]
mod ingested;
#[path = "client/nearby.rs"]
mod nearby;
#[path = "client/reached.rs"]
mod reached;
#[path = "client/tables.rs"]
mod tables;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tidewater_catalog::memory::MemoryConsensus;
use tidewater_catalog::{CatalogOptions, CatalogServer, Warehouse};
use tidewater_catalog_client::{CatalogClient, ClientOptions};
use tidewater_core::{Namespace, SystemClock, SystemRng, TableName, Tasks};
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
use tidewater_table::iceberg::{TableRequirement, TableUpdate};
use tidewater_table::{Catalog, CatalogFault, CommitOutcome, FileStore, NewTable, TableCommit};

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
