//! Views, creations, alterations and branches, as the table layer plans them, against the server.

use super::{Node, bronze, client, name, new_table};
use tidewater_core::Namespace;
use tidewater_table::iceberg::spec::{
    NullOrder, PrimitiveType, SnapshotRetention, SortDirection, Transform, Type, UnboundPartitionSpec,
};
use tidewater_table::{
    Alteration, Catalog, CatalogFault, Change, CommitOptions, FileStore, Meant, NewColumn, NewView, OnExisting,
    PartitionBy, PartitionField, Position, RefChange, SortBy, Staged, alter_table, change_refs, cherry_pick,
    commit_change, create_with, refs_of, rollback_to_snapshot, stage,
};

// Goal: views go through the client as they were given. Method: every call about them once, over the nested namespace of the rest.
#[tokio::test]
async fn views_and_properties() {
    let node = Node::start().await;
    let client = client(&[node.uri()]);
    let gold: Namespace = "gold.daily".parse().expect("a good name");
    let properties = [("owner".to_owned(), "ward".to_owned())].into();
    client.create_namespace_with(&gold, properties).await.expect("made");
    let again = client.create_namespace_with(&gold, Default::default()).await;
    assert!(matches!(again, Err(CatalogFault::AlreadyExists { .. })), "{again:?}");
    let updates = [("comment".to_owned(), "by day".to_owned())].into();
    let removals = vec!["owner".to_owned(), "never".to_owned()];
    let updated = client.update_namespace_properties(&gold, removals, updates).await;
    updated.expect("updated");
    let properties = client.namespace_properties(&gold).await.expect("an answer");
    assert_eq!(properties, [("comment".to_owned(), "by day".to_owned())].into());

    let beds = name("gold.daily.beds");
    assert!(client.load_view(&beds).await.expect("an answer").is_none());
    let mut new = NewView::new(beds.clone(), new_table("a.b").schema, "tidewater", "select 1 as id");
    new.queries.insert("spark".into(), "select 1L as id".into());
    new.properties.insert("comment".into(), "beds".into());
    let early = client.replace_view(new.clone()).await;
    assert!(matches!(early, Err(CatalogFault::NotFound { .. })), "{early:?}");
    let made = client.create_view(new.clone()).await.expect("made");
    let again = client.create_view(new.clone()).await;
    assert!(matches!(again, Err(CatalogFault::AlreadyExists { .. })), "{again:?}");
    assert_eq!((made.version_id, &made.queries), (1, &new.queries));
    assert_eq!(made.default_namespace.as_ref(), Some(&gold));
    new.queries.insert("tidewater".into(), "select 2 as id".into());
    new.properties = [("more".to_owned(), "too".to_owned())].into();
    let next = client.replace_view(new.clone()).await.expect("replaced");
    assert_eq!(
        (next.version_id, next.uuid, &next.queries),
        (2, made.uuid, &new.queries)
    );
    assert_eq!(next.properties.len(), 2);
    assert_eq!(next.schema.as_struct(), new.schema.as_struct());
    let bare = client.update_view_properties(&beds, vec!["more".into()], Default::default());
    assert_eq!(bare.await.expect("updated").properties.len(), 1);
    let taken = client.create_table(new_table("gold.daily.beds")).await;
    assert!(matches!(taken, Err(CatalogFault::AlreadyExists { .. })), "{taken:?}");

    let moved = name("gold.daily.rooms");
    client.rename_view(&beds, &moved).await.expect("renamed");
    assert_eq!(
        client.list_views(&gold).await.expect("a list"),
        std::slice::from_ref(&moved)
    );
    let held = Catalog::drop_namespace(&client, &gold).await;
    assert!(matches!(held, Err(CatalogFault::NotEmpty { .. })), "{held:?}");
    client.drop_view(&moved).await.expect("dropped");
    Catalog::drop_namespace(&client, &gold).await.expect("dropped");
    let gone = client.namespace_properties(&gold).await;
    assert!(matches!(gone, Err(CatalogFault::NotFound { .. })), "{gone:?}");
}

fn is_refused<T: std::fmt::Debug>(told: Result<T, CatalogFault>) {
    assert!(matches!(told, Err(CatalogFault::OtherBearer { .. })), "{told:?}");
}

// Goal: the catalog itself does what goes by a name to what is meant alone. Method: each such call about a table and a view of another uuid, and
// about a name that was to be nothing's; then of the right uuid, which says nothing of other names.
#[tokio::test]
async fn names_are_those_of_what_is_meant() {
    let node = Node::start().await;
    let client = client(&[node.uri()]);
    bronze(&client).await;
    let (t, moved) = (name("bronze.t"), name("bronze.moved"));
    let meaning = |uuid| {
        let meant = Meant { name: t.clone(), uuid };
        client.bound(&meant).expect("it can tell")
    };
    let other = client.create_table(new_table("bronze.other")).await.expect("made");
    let other = other.metadata.uuid();
    let table = client.create_table(new_table("bronze.t")).await.expect("made");
    for uuid in [Some(other), None] {
        is_refused(meaning(uuid).drop_table(&t, true).await);
        is_refused(meaning(uuid).rename_table(&t, &moved).await);
    }
    let meant = meaning(Some(table.metadata.uuid()));
    meant.rename_table(&t, &moved).await.expect("renamed");
    let gone = meant.drop_table(&t, false).await;
    assert!(matches!(gone, Err(CatalogFault::NotFound { .. })), "{gone:?}");
    meant.rename_table(&moved, &t).await.expect("renamed");
    meant.drop_table(&t, false).await.expect("dropped");

    let new = NewView::new(t.clone(), new_table("a.b").schema, "tidewater", "select 1 as id");
    let view = client.create_view(new.clone()).await.expect("made");
    let updates = || [("a".to_owned(), "1".to_owned())].into();
    for uuid in [Some(other), None] {
        is_refused(meaning(uuid).drop_view(&t).await);
        is_refused(meaning(uuid).rename_view(&t, &moved).await);
        let told = [
            meaning(uuid).replace_view(new.clone()).await,
            meaning(uuid).update_view_properties(&t, Vec::new(), updates()).await,
        ];
        for told in told {
            assert!(matches!(told, Err(CatalogFault::Conflict { .. })), "{told:?}");
        }
    }
    let meant = meaning(Some(view.uuid));
    meant.replace_view(new).await.expect("replaced");
    let set = meant.update_view_properties(&t, Vec::new(), updates()).await;
    assert_eq!(set.expect("updated").properties.len(), 1);
    meant.rename_view(&t, &moved).await.expect("renamed");
    meant.rename_view(&moved, &t).await.expect("renamed");
    meant.drop_view(&t).await.expect("dropped");
}

// Goal: the real catalog makes and replaces tables in one commit as the one in memory does. Method: a table made, then replaced by
// one of other columns and partitions, of each format version.
#[tokio::test]
async fn tables_are_made_and_replaced_in_one_commit() {
    let files = FileStore::system();
    let node = Node::start_on(files.clone()).await;
    let client = client(&[node.uri()]);
    bronze(&client).await;
    for version in ["1", "2", "3"] {
        let mut table = new_table(&format!("bronze.t{version}"));
        table.properties.insert("format-version".into(), version.into());
        let made = create_with(&client, &files, table.clone(), OnExisting::Fail)
            .await
            .expect("made");
        let spec = UnboundPartitionSpec::builder().add_partition_field(1, "part", Transform::Bucket(4));
        table.partition_spec = (version != "1").then(|| spec.expect("a good spec").build());
        table.properties.clear();
        let Staged::New(staged) = stage(&client, table, OnExisting::Replace).await.expect("staged") else {
            panic!("it is there and to be replaced");
        };
        let empty = Change::append(Vec::new());
        let options = CommitOptions::default();
        let next = staged
            .commit(&client, &files, Some(&empty), &options)
            .await
            .expect("replaced");
        let (before, after) = (&made.table.metadata, &next.table.metadata);
        assert_eq!(after.uuid(), before.uuid());
        assert_eq!(
            after.current_schema().as_struct(),
            staged.table().metadata.current_schema().as_struct()
        );
        assert_eq!(
            after.default_partition_spec(),
            staged.table().metadata.default_partition_spec()
        );
        assert_eq!(after.current_snapshot_id(), next.snapshot_id);
    }
}

// Goal: the real catalog takes every alteration and every change of names that the table layer plans. Method: one of each on tables of
// each format version, read back from what the catalog answers.
#[tokio::test]
async fn tables_are_altered() {
    let files = FileStore::system();
    let node = Node::start_on(files.clone()).await;
    let client = client(&[node.uri()]);
    bronze(&client).await;
    for version in ["1", "2", "3"] {
        let mut table = new_table(&format!("bronze.t{version}"));
        table.properties.insert("format-version".into(), version.into());
        let name = table.name.clone();
        client.create_table(table).await.expect("made");
        let by = |path: &str, transform| PartitionBy {
            path: path.into(),
            transform,
            name: None,
        };
        let long = || Type::Primitive(PrimitiveType::Long);
        let mut first = NewColumn::new("first", Type::Primitive(PrimitiveType::Timestamptz));
        first.position = Some(Position::First);
        let sort = SortBy {
            path: "first".into(),
            transform: Transform::Day,
            direction: SortDirection::Ascending,
            nulls: NullOrder::First,
        };
        let all = [
            Alteration::AddColumn(first),
            Alteration::AddColumn(NewColumn::new("gone", long())),
            Alteration::RenameColumn("id".into(), "key".into()),
            Alteration::SetIdentifierFields(vec!["key".into()]),
            Alteration::AddPartitionField(by("first", Transform::Day)),
            Alteration::AddPartitionField(by("key", Transform::Bucket(4))),
            Alteration::SetSortOrder(vec![sort]),
            Alteration::SetProperties([("a".to_owned(), "b".to_owned())].into()),
        ];
        alter_table(&client, &files, &name, &all).await.expect("altered");
        let more = [
            Alteration::DropColumn("gone".into()),
            Alteration::DropPartitionField(PartitionField::Named("first_day".into())),
            Alteration::UnsetProperties(vec!["a".into()]),
        ];
        let table = alter_table(&client, &files, &name, &more).await.expect("altered");
        let back = [Alteration::AddPartitionField(by("first", Transform::Day))];
        let back = alter_table(&client, &files, &name, &back).await.expect("altered");
        assert_eq!(table.metadata.default_sort_order().fields.len(), 1);
        assert!(!table.metadata.properties().contains_key("a"));
        let fields = back.metadata.default_partition_spec().fields();
        assert_eq!(fields.len(), if version == "1" { 3 } else { 2 });
        if version == "1" {
            continue;
        }
        let empty = Change::append(Vec::new());
        let options = CommitOptions::default();
        commit_change(&client, &files, &name, &empty, &options)
            .await
            .expect("committed");
        let on_branch = empty.clone().on_branch("audit");
        let on_branch = commit_change(&client, &files, &name, &on_branch, &options)
            .await
            .expect("committed");
        let on_branch = on_branch.snapshot_id;
        commit_change(&client, &files, &name, &empty, &options)
            .await
            .expect("committed");
        let picked = cherry_pick(&client, &files, &name, on_branch).await.expect("picked");
        let rolled = rollback_to_snapshot(&client, &files, &name, picked.snapshot_id)
            .await
            .expect("there");
        let begin = picked
            .table
            .metadata
            .snapshot_by_id(picked.snapshot_id)
            .and_then(|s| s.parent_snapshot_id());
        let rolled_back = rollback_to_snapshot(&client, &files, &name, begin.expect("a parent")).await;
        assert_eq!(rolled.to, picked.snapshot_id);
        assert_eq!(
            rolled_back.expect("rolled back").table.metadata.current_snapshot_id(),
            begin
        );
        let tag = RefChange::Create {
            name: "v1".into(),
            snapshot_id: None,
            retention: SnapshotRetention::Tag {
                max_ref_age_ms: Some(1_000_000),
            },
            on_existing: OnExisting::Fail,
        };
        let drop = RefChange::Drop {
            name: "audit".into(),
            is_branch: true,
            if_exists: false,
        };
        let named = change_refs(&client, &files, &name, &[tag, drop]).await.expect("named");
        let names: Vec<String> = refs_of(&named.metadata).expect("names").into_keys().collect();
        assert_eq!(names, ["main", "v1"]);
    }
}
