//! iceberg-rust's own REST client, unmodified, against a catalog on loopback.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use iceberg::io::LocalFsStorageFactory;
use iceberg::spec::{
    DataContentType, DataFileBuilder, DataFileFormat, NestedField, PrimitiveType, Schema, Struct, Type,
};
use iceberg::table::Table;
use iceberg::transaction::{AddColumn, ApplyTransactionAction, Transaction};
use iceberg::{Catalog, CatalogBuilder, ErrorKind, NamespaceIdent, TableCreation, TableIdent};
use iceberg_catalog_rest::{RestCatalog, RestCatalogBuilder};
use tempfile::TempDir;

use tidewater_catalog::memory::MemoryConsensus;
use tidewater_catalog::{Access, CatalogOptions, CatalogServer, Warehouse};
use tidewater_core::{SystemClock, SystemRng, Tasks};
use tidewater_security::authenticator::hash_password;
use tidewater_security::{Authenticator, Role, TokenKey, UserSettings};
use tidewater_table::FileStore;

const END_DEADLINE: Duration = Duration::from_secs(10);

/// A catalog that knows one user, and the client logged in as that user.
async fn start(lake: &TempDir) -> (RestCatalog, String, Tasks) {
    let (clock, rng, tasks) = (SystemClock::shared(), SystemRng::shared(), Tasks::new("test"));
    let warehouse = Warehouse::new("lake", &lake.path().to_string_lossy()).expect("a good location");
    let mut options = CatalogOptions::new(
        MemoryConsensus::shared(),
        Arc::new(FileStore::system()),
        warehouse,
        Arc::clone(&clock),
        Arc::clone(&rng),
        tasks.clone(),
    );
    let user = UserSettings {
        name: "ana".to_owned(),
        password_hash: hash_password("horse", &rng).expect("a hash"),
        scram: None,
        role: Role::Admin,
    };
    let users = Authenticator::new(vec![user], TokenKey::derive(b"users"), clock).expect("good users");
    options.access = Access::Users {
        users: Arc::new(users),
        nodes: None,
    };
    let server = CatalogServer::new(options);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let uri = format!("http://{}", listener.local_addr().expect("bound"));
    tasks.spawn("serve", async move {
        server.serve(listener).await.expect("the listener works")
    });
    (client(&uri, "ana:horse").await, uri, tasks)
}

async fn client(uri: &str, credential: &str) -> RestCatalog {
    let properties = [("uri", uri), ("warehouse", "lake"), ("credential", credential)];
    let properties: HashMap<String, String> = properties.map(|(key, value)| (key.into(), value.into())).into();
    let builder = RestCatalogBuilder::default().with_storage_factory(Arc::new(LocalFsStorageFactory));
    builder.load("lake", properties).await.expect("a client")
}

fn schema() -> Schema {
    let fields = [
        NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)),
        NestedField::optional(2, "name", Type::Primitive(PrimitiveType::String)),
    ];
    let schema = Schema::builder().with_fields(fields.map(Arc::new)).build();
    schema.expect("a good schema")
}

fn set(table: &Table, key: &str) -> Transaction {
    let transaction = Transaction::new(table);
    let action = transaction.update_table_properties().set(key.into(), "1".into());
    action.apply(transaction).expect("a good change")
}

// Goal: iceberg-rust logs in, and creates, lists, loads, commits, renames, registers and drops; what is wrong is refused with
// the error it looks for. Method: every call of its catalog that its REST client has, each effect read back.
#[tokio::test(flavor = "multi_thread")]
async fn the_rust_client() {
    let lake = TempDir::new().expect("a folder");
    let (catalog, uri, tasks) = start(&lake).await;
    assert!(client(&uri, "ana:wrong").await.list_namespaces(None).await.is_err());

    let space = NamespaceIdent::new("raw".into());
    let deep = NamespaceIdent::from_strs(["raw", "a.b"]).expect("a name");
    let properties = HashMap::from([("team".to_owned(), "probe".to_owned())]);
    catalog.create_namespace(&space, properties).await.expect("made");
    catalog.create_namespace(&deep, HashMap::new()).await.expect("made");
    let again = catalog.create_namespace(&space, HashMap::new()).await;
    assert_eq!(again.expect_err("taken").kind(), ErrorKind::NamespaceAlreadyExists);
    assert_eq!(
        catalog.list_namespaces(None).await.expect("a list"),
        std::slice::from_ref(&space)
    );
    assert_eq!(
        catalog.list_namespaces(Some(&space)).await.expect("a list"),
        std::slice::from_ref(&deep)
    );
    let known = catalog.get_namespace(&space).await.expect("it is there");
    assert_eq!(known.properties()["team"], "probe");
    catalog.drop_namespace(&deep).await.expect("dropped");
    assert!(!catalog.namespace_exists(&deep).await.expect("an answer"));

    let name = TableIdent::new(space.clone(), "users".into());
    let creation = || TableCreation::builder().name("users".into()).schema(schema()).build();
    let missing = catalog.load_table(&name).await.expect_err("not there yet");
    assert_eq!(missing.kind(), ErrorKind::TableNotFound);
    let made = catalog.create_table(&space, creation()).await.expect("made");
    let again = catalog.create_table(&space, creation()).await.expect_err("taken");
    assert_eq!(again.kind(), ErrorKind::TableAlreadyExists);
    let nowhere = catalog.create_table(&deep, creation()).await.expect_err("no namespace");
    assert_eq!(nowhere.kind(), ErrorKind::NamespaceNotFound);
    assert_eq!(
        catalog.list_tables(&space).await.expect("a list"),
        std::slice::from_ref(&name)
    );
    assert!(catalog.table_exists(&name).await.expect("an answer"));
    let loaded = catalog.load_table(&name).await.expect("it is there");
    assert_eq!(loaded.metadata(), made.metadata());

    // The second commit is made from what the first has changed since: the client loads and tries again by itself.
    let (one, two) = (set(&loaded, "one"), set(&loaded, "two"));
    one.commit(&catalog).await.expect("committed");
    two.commit(&catalog).await.expect("committed");
    let table = catalog.load_table(&name).await.expect("it is there");
    let transaction = Transaction::new(&table);
    let column = AddColumn::optional("age", Type::Primitive(PrimitiveType::Int));
    let action = transaction.update_schema().add_column(column);
    let transaction = action.apply(transaction).expect("a good change");
    transaction.commit(&catalog).await.expect("committed");
    let table = catalog.load_table(&name).await.expect("it is there");
    assert!(
        ["one", "two"]
            .iter()
            .all(|key| table.metadata().properties()[*key] == "1")
    );
    assert_eq!(table.metadata().current_schema().highest_field_id(), 3);

    let file = DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(format!("{}/data/1.parquet", table.metadata().location()))
        .file_format(DataFileFormat::Parquet)
        .file_size_in_bytes(100)
        .record_count(7)
        .partition(Struct::empty())
        .partition_spec_id(table.metadata().default_partition_spec_id())
        .build()
        .expect("a data file");
    let transaction = Transaction::new(&table);
    let action = transaction.fast_append().add_data_files([file]);
    let transaction = action.apply(transaction).expect("a good change");
    transaction.commit(&catalog).await.expect("committed");
    let table = catalog.load_table(&name).await.expect("it is there");
    let snapshot = table.metadata().current_snapshot().expect("a snapshot");
    assert_eq!(snapshot.summary().additional_properties["total-records"], "7");
    let manifests = snapshot.manifest_list().trim_start_matches("file://");
    assert!(manifests.starts_with(&*lake.path().to_string_lossy()), "{manifests}");
    assert!(
        std::path::Path::new(manifests).try_exists().expect("readable"),
        "{manifests}"
    );

    let moved = TableIdent::new(space.clone(), "people".into());
    catalog.rename_table(&name, &moved).await.expect("renamed");
    assert!(!catalog.table_exists(&name).await.expect("an answer"));
    let metadata = table.metadata_location().expect("it has one").to_owned();
    catalog.drop_table(&moved).await.expect("dropped");
    let registered = catalog.register_table(&name, metadata).await.expect("registered");
    assert_eq!(registered.metadata().uuid(), made.metadata().uuid());
    let full = catalog.drop_namespace(&space).await;
    assert!(full.is_err(), "it holds a table");
    catalog.purge_table(&name).await.expect("dropped with its files");
    catalog.drop_namespace(&space).await.expect("dropped");
    assert!(tasks.shutdown(END_DEADLINE).await, "the server ends in time");
}
