use iceberg::TableUpdate;
use iceberg::spec::{NestedField, PrimitiveType, Schema, Type};

use super::*;
use crate::file_store::FileStore;
use crate::testing::{Fault, MemoryCatalog};

fn name(text: &str) -> TableName {
    text.parse().expect("a good name")
}

fn schema() -> Schema {
    let field = NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long));
    let schema = Schema::builder().with_fields([Arc::new(field)]).build();
    schema.expect("a good schema")
}

fn view(text: &str) -> NewView {
    NewView::new(name(text), schema(), "tidewater", "select 1 as id")
}

async fn made(catalog: &Arc<dyn Catalog>, text: &str) -> Uuid {
    let table = catalog.create_table(NewTable::new(name(text), schema())).await;
    table.expect("made").metadata.uuid()
}

async fn catalog() -> Arc<dyn Catalog> {
    catalog_that([]).await
}

/// One whose commits meet these faults.
async fn catalog_that<const N: usize>(faults: [Fault; N]) -> Arc<dyn Catalog> {
    let catalog = MemoryCatalog::new(FileStore::system(), "memory://lake");
    catalog.inject(faults);
    let catalog: Arc<dyn Catalog> = Arc::new(catalog);
    let namespace = "a".parse().expect("a good name");
    catalog.create_namespace(&namespace).await.expect("made");
    catalog
}

fn bound(catalog: &Arc<dyn Catalog>, uuid: Option<Uuid>) -> Bound {
    let name = name("a.t");
    Bound::new(catalog, Meant { name, uuid })
}

fn is_refused<T: std::fmt::Debug>(told: Result<T, CatalogFault>) {
    assert!(matches!(told, Err(CatalogFault::OtherBearer { .. })), "{told:?}");
}

/// A commit that demands nothing of the table.
fn commit() -> Vec<TableCommit> {
    vec![TableCommit {
        name: name("a.t"),
        requirements: Vec::new(),
        updates: vec![TableUpdate::SetProperties {
            updates: [("a".to_owned(), "1".to_owned())].into(),
        }],
    }]
}

// Goal: what goes by a bound name is done to the table that is meant, and refused once another has the name; other names are free. Method: each
// call that goes by a table's name, before and after the name is another table's; a name that was nothing's, and becomes a table's.
#[tokio::test]
async fn a_bound_name_is_of_one_table() {
    let (catalog, t) = (catalog().await, name("a.t"));
    let meant = bound(&catalog, Some(made(&catalog, "a.t").await));
    made(&catalog, "a.u").await;
    assert!(meant.load_table(&t).await.expect("an answer").is_some());
    let done = meant.commit(commit()).await.expect("an answer");
    assert!(matches!(done, CommitOutcome::Committed(_)), "{done:?}");

    catalog.rename_table(&t, &name("a.x")).await.expect("renamed");
    assert!(meant.load_table(&t).await.expect("an answer").is_none());
    let free = bound(&catalog, None);
    assert!(free.load_table(&t).await.expect("an answer").is_none());
    catalog.rename_table(&name("a.u"), &t).await.expect("renamed");
    for bound in [meant, free] {
        is_refused(bound.load_table(&t).await);
        is_refused(bound.load_tables(&[name("a.x"), t.clone()]).await);
        is_refused(bound.drop_table(&t, true).await);
        is_refused(bound.rename_table(&t, &name("a.y")).await);
        let lost = bound.commit(commit()).await.expect("an answer");
        assert!(matches!(lost, CommitOutcome::Conflict { .. }), "{lost:?}");
        assert!(bound.load_table(&name("a.x")).await.expect("an answer").is_some());
    }
    let there = catalog.load_table(&t).await.expect("an answer").expect("a table");
    assert!(!there.metadata.properties().contains_key("a"), "nothing was done to it");
}

// Goal: nobody is told that nothing happened where a commit may have been applied. Method: the answer to a commit is lost, once with the commit
// and once without, and then another table gets the name.
#[tokio::test]
async fn a_commit_without_an_answer_stays_in_doubt() {
    let t = name("a.t");
    for fault in [Fault::AnswerLost, Fault::RequestLost] {
        let catalog = catalog_that([fault]).await;
        let meant = bound(&catalog, Some(made(&catalog, "a.t").await));
        made(&catalog, "a.u").await;
        let lost = meant.commit(commit()).await.expect("an answer");
        assert!(matches!(lost, CommitOutcome::Unknown { .. }), "{lost:?}");
        assert!(meant.load_table(&t).await.expect("an answer").is_some());
        catalog.rename_table(&t, &name("a.x")).await.expect("renamed");
        catalog.rename_table(&name("a.u"), &t).await.expect("renamed");
        let told = meant.load_table(&t).await;
        assert!(matches!(told, Err(CatalogFault::Timeout { .. })), "{told:?}");
    }
}

// Goal: the same of views. Method: each call that goes by a view's name, before and after the name is another view's.
#[tokio::test]
async fn a_bound_name_is_of_one_view() {
    let (catalog, t) = (catalog().await, name("a.t"));
    let meant = bound(
        &catalog,
        Some(catalog.create_view(view("a.t")).await.expect("made").uuid),
    );
    meant.replace_view(view("a.t")).await.expect("replaced");
    let updates = || [("a".to_owned(), "1".to_owned())].into();
    let set = meant.update_view_properties(&t, Vec::new(), updates()).await;
    set.expect("updated");
    meant.rename_view(&t, &name("a.x")).await.expect("renamed");
    assert!(meant.load_view(&t).await.expect("an answer").is_none());

    let other = catalog.create_view(view("a.t")).await.expect("made");
    is_refused(meant.load_view(&t).await);
    is_refused(meant.replace_view(view("a.t")).await);
    is_refused(meant.update_view_properties(&t, Vec::new(), updates()).await);
    is_refused(meant.rename_view(&t, &name("a.y")).await);
    is_refused(meant.drop_view(&t).await);
    let there = catalog.load_view(&t).await.expect("an answer").expect("a view");
    assert_eq!((there.uuid, there.version_id), (other.uuid, other.version_id));
    assert!(there.properties.is_empty(), "nothing was done to it");
}
