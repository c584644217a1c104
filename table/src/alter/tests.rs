use std::sync::Arc;

use iceberg::spec::{
    FormatVersion, Literal, NestedField, NullOrder, PrimitiveLiteral, PrimitiveType as P, SortDirection, StructType,
    Transform, Type,
};
use proptest::prelude::*;

use super::*;
use crate::sample::Lake;
use crate::testing::Fault;
use tidewater_core::Coded;

async fn alter(lake: &Lake, alterations: &[Alteration]) -> Result<LoadedTable> {
    alter_table(&lake.catalog, &lake.store, &lake.name, alterations).await
}

fn add(path: &str, of: P) -> Alteration {
    Alteration::AddColumn(NewColumn::new(path, Type::Primitive(of)))
}

fn by(path: &str, transform: Transform) -> PartitionBy {
    PartitionBy {
        path: path.into(),
        transform,
        name: None,
    }
}

fn names(table: &LoadedTable) -> Vec<String> {
    let fields = table.metadata.current_schema().as_struct().fields();
    fields.iter().map(|field| field.name.clone()).collect()
}

fn partitions(table: &LoadedTable) -> Vec<String> {
    let fields = table.metadata.default_partition_spec().fields();
    fields
        .iter()
        .map(|field| format!("{}={}", field.name, field.transform))
        .collect()
}

// Goal: columns are added, moved, renamed, widened, commented and dropped at any depth, and ids are never used twice. Method: one
// batch of each over the sample table, read back by name; faults in between.
#[tokio::test]
async fn columns_change() {
    let lake = Lake::new(&[], &[]).await;
    lake.append([1, 2]).await;
    let before = lake.table().await.metadata.last_column_id();
    lake.catalog.inject([Fault::Conflict, Fault::AnswerLost]);
    let inner = StructType::new(vec![Arc::new(NestedField::optional(1, "x", Type::Primitive(P::Int)))]);
    let mut nested = NewColumn::new("address.geo", Type::Struct(inner));
    nested.doc = Some("where".into());
    nested.position = Some(Position::Before("city".into()));
    let table = alter(
        &lake,
        &[
            add("extra", P::String),
            Alteration::AddColumn(nested),
            Alteration::MoveColumn("extra".into(), Position::First),
            Alteration::MoveColumn("flag".into(), Position::After("id".into())),
            Alteration::RenameColumn("name".into(), "title".into()),
            Alteration::WidenColumn("version".into(), P::Long),
            Alteration::WidenColumn("attrs.value".into(), P::Long),
            Alteration::SetComment("tags.element".into(), Some("free".into())),
            Alteration::SetRequired("id".into(), false),
            Alteration::DropColumn("score".into()),
            Alteration::DropColumn("address.zip".into()),
        ],
    )
    .await
    .unwrap();
    assert_eq!(names(&table)[..4], ["extra", "id", "flag", "title"]);
    let schema = table.metadata.current_schema().clone();
    assert!(schema.field_by_name("score").is_none() && schema.field_by_name("address.zip").is_none());
    let long = Type::Primitive(P::Long);
    assert_eq!(*schema.field_by_name("version").unwrap().field_type, long);
    assert_eq!(*schema.field_by_name("attrs.value").unwrap().field_type, long);
    assert_eq!(
        schema.field_by_name("tags.element").unwrap().doc.as_deref(),
        Some("free")
    );
    assert_eq!(schema.field_by_name("title").unwrap().id, 2);
    assert!(!schema.field_by_name("id").unwrap().required);
    for new in ["extra", "address.geo", "address.geo.x"] {
        assert!(schema.field_by_name(new).unwrap().id > before, "{new}");
    }
    assert_eq!(
        schema
            .field_by_name("address")
            .unwrap()
            .field_type
            .to_string()
            .matches("string")
            .count(),
        1
    );
    // Dropped and added again, it is another column.
    let table = alter(&lake, &[add("score", P::Double)]).await.unwrap();
    assert!(table.metadata.current_schema().field_by_name("score").unwrap().id > before + 3);
    let again = alter(
        &lake,
        &[Alteration::SetComment("tags.element".into(), Some("free".into()))],
    )
    .await
    .unwrap();
    assert_eq!(
        again.metadata_location, table.metadata_location,
        "nothing changed, nothing was committed"
    );
    assert_eq!(lake.rows().await, [1, 2]);
}

// Goal: what cannot be altered is refused with a code and a hint, and nothing changes. Method: one case for each rule.
#[tokio::test]
async fn refusals_tell_what_to_do() {
    let lake = Lake::new(&[(5, "ts_day", Transform::Day), (2, "name", Transform::Identity)], &[]).await;
    lake.append([1, 5, 16]).await;
    let sort = |path: &str, transform| {
        Alteration::SetSortOrder(vec![SortBy {
            path: path.into(),
            transform,
            direction: SortDirection::Descending,
            nulls: NullOrder::Last,
        }])
    };
    alter(
        &lake,
        &[
            sort("version", Transform::Identity),
            Alteration::SetIdentifierFields(vec!["id".into()]),
        ],
    )
    .await
    .unwrap();
    let before = lake.table().await.metadata_location;
    let column = |path: &str| NewColumn::new(path, Type::Primitive(P::Int));
    let one = Some(Literal::Primitive(PrimitiveLiteral::Int(1)));
    let cases = [
        (add("name", P::Int), "TBL-0022"),
        (add("ts_day", P::Int), "TBL-0022"),
        (add("none.x", P::Int), "TBL-0021"),
        (add("id.x", P::Int), "TBL-0020"),
        (add("", P::Int), "TBL-0020"),
        (add("attrs.key.x", P::Int), "TBL-0020"),
        (
            Alteration::AddColumn(NewColumn {
                required: true,
                ..column("must")
            }),
            "TBL-0020",
        ),
        (
            Alteration::AddColumn(NewColumn {
                default: one.clone(),
                ..column("later")
            }),
            "TBL-0020",
        ),
        (
            Alteration::AddColumn(NewColumn {
                position: Some(Position::After("none".into())),
                ..column("y")
            }),
            "TBL-0020",
        ),
        (Alteration::DropColumn("ts".into()), "TBL-0020"),
        (Alteration::DropColumn("version".into()), "TBL-0020"),
        (Alteration::DropColumn("id".into()), "TBL-0020"),
        (Alteration::DropColumn("none".into()), "TBL-0021"),
        (Alteration::DropColumn("tags.element".into()), "TBL-0020"),
        (Alteration::RenameColumn("id".into(), "ts".into()), "TBL-0022"),
        (Alteration::RenameColumn("id".into(), "ts_day".into()), "TBL-0022"),
        (Alteration::RenameColumn("tags.element".into(), "x".into()), "TBL-0020"),
        (Alteration::WidenColumn("id".into(), P::Int), "TBL-0011"),
        (Alteration::WidenColumn("name".into(), P::Binary), "TBL-0011"),
        (
            Alteration::WidenColumn(
                "amount".into(),
                P::Decimal {
                    precision: 14,
                    scale: 3,
                },
            ),
            "TBL-0011",
        ),
        (Alteration::WidenColumn("address".into(), P::Int), "TBL-0011"),
        (Alteration::WidenColumn("attrs.key".into(), P::String), "TBL-0020"),
        (Alteration::SetRequired("name".into(), true), "TBL-0020"),
        (Alteration::SetRequired("address.city".into(), true), "TBL-0020"),
        (Alteration::SetRequired("id".into(), false), "TBL-0020"),
        (Alteration::SetDefault("version".into(), one), "TBL-0020"),
        (
            Alteration::MoveColumn("id".into(), Position::After("id".into())),
            "TBL-0020",
        ),
        (
            Alteration::MoveColumn("id".into(), Position::Before("city".into())),
            "TBL-0020",
        ),
        (Alteration::SetIdentifierFields(vec!["name".into()]), "TBL-0011"),
        (Alteration::AddPartitionField(by("ts", Transform::Day)), "TBL-0022"),
        (
            Alteration::AddPartitionField(by("tags", Transform::Identity)),
            "TBL-0020",
        ),
        (Alteration::AddPartitionField(by("flag", Transform::Year)), "TBL-0020"),
        (
            Alteration::AddPartitionField(by("uid", Transform::Identity)),
            "TBL-0020",
        ),
        (
            Alteration::AddPartitionField(PartitionBy {
                name: Some("uid".into()),
                ..by("id", Transform::Bucket(2))
            }),
            "TBL-0022",
        ),
        (
            Alteration::DropPartitionField(PartitionField::Named("none".into())),
            "TBL-0020",
        ),
        (sort("address", Transform::Identity), "TBL-0020"),
        (sort("none", Transform::Identity), "TBL-0021"),
        (
            Alteration::SetProperties([("current-schema".to_owned(), "1".to_owned())].into()),
            "TBL-0020",
        ),
        (
            Alteration::SetProperties([("format-version".to_owned(), "1".to_owned())].into()),
            "TBL-0020",
        ),
        (
            Alteration::SetProperties([("format-version".to_owned(), "9".to_owned())].into()),
            "TBL-0013",
        ),
        (Alteration::UnsetProperties(vec!["uuid".into()]), "TBL-0020"),
        (Alteration::UpgradeFormat(FormatVersion::V1), "TBL-0020"),
        (Alteration::SetLocation("memory://elsewhere".into()), "TBL-0020"),
    ];
    for (alteration, code) in cases {
        // Something good before it is not kept either.
        let refused = alter(&lake, &[add("good", P::Int), alteration.clone()]).await;
        let error = refused.expect_err(&format!("{alteration:?}"));
        assert_eq!(error.code(), code, "{alteration:?}: {error}");
        assert!(error.hint().is_some() || code == "TBL-0013", "{error}");
    }
    assert_eq!(lake.table().await.metadata_location, before);
}

// Goal: nulls can be forbidden where the files prove that there are none. Method: a column without and one with nulls, then a
// file that does not know the column.
#[tokio::test]
async fn nulls_are_forbidden_where_there_are_none() {
    let lake = Lake::new(&[], &[]).await;
    lake.append([1, 2]).await;
    let table = alter(&lake, &[Alteration::SetRequired("version".into(), true)])
        .await
        .unwrap();
    assert!(
        table
            .metadata
            .current_schema()
            .field_by_name("version")
            .unwrap()
            .required
    );
    alter(&lake, &[add("fresh", P::Int)]).await.unwrap();
    assert!(
        alter(&lake, &[Alteration::SetRequired("fresh".into(), true)])
            .await
            .is_err()
    );
}

// Goal: partitions evolve, old files stay readable and fields get their old ids back. Method: rows before and after each step, for
// format 2; format 1 keeps dropped fields as void.
#[tokio::test]
async fn partitions_evolve() {
    let lake = Lake::new(&[(5, "ts_day", Transform::Day)], &[]).await;
    lake.append(0..30).await;
    let bucket = by("id", Transform::Bucket(4));
    let table = alter(&lake, &[Alteration::AddPartitionField(bucket.clone())])
        .await
        .unwrap();
    assert_eq!(partitions(&table), ["ts_day=day", "id_bucket_4=bucket[4]"]);
    let id = table.metadata.default_partition_spec().fields()[1].field_id;
    lake.append(30..60).await;
    let day = PartitionField::Of("ts".into(), Transform::Day);
    let hour = Alteration::ReplacePartitionField(day, by("ts", Transform::Hour));
    let table = alter(
        &lake,
        &[
            hour,
            Alteration::DropPartitionField(PartitionField::Named("id_bucket_4".into())),
        ],
    )
    .await;
    assert_eq!(partitions(&table.unwrap()), ["ts_hour=hour"]);
    lake.append(60..70).await;
    let table = alter(&lake, &[Alteration::AddPartitionField(bucket)]).await.unwrap();
    assert_eq!(table.metadata.default_partition_spec().fields()[1].field_id, id);
    // A column that only older specs know may go, and older files are still read.
    let all = [
        Alteration::DropPartitionField(PartitionField::Named("ts_hour".into())),
        Alteration::DropPartitionField(PartitionField::Named("id_bucket_4".into())),
        Alteration::DropColumn("flag".into()),
    ];
    assert!(partitions(&alter(&lake, &all).await.unwrap()).is_empty());
    lake.append(70..80).await;
    assert_eq!(lake.rows().await, (0..80).collect::<Vec<i64>>());

    let old = Lake::new(&[(5, "ts_day", Transform::Day)], &[("format-version", "1")]).await;
    let gone = Alteration::DropPartitionField(PartitionField::Named("ts_day".into()));
    let table = alter(
        &old,
        &[gone, Alteration::AddPartitionField(by("id", Transform::Bucket(2)))],
    )
    .await
    .unwrap();
    assert_eq!(partitions(&table), ["ts_day=void", "id_bucket_2=bucket[2]"]);
    let table = alter(&old, &[Alteration::AddPartitionField(by("ts", Transform::Day))])
        .await
        .unwrap();
    assert_eq!(partitions(&table)[2], "ts_day=day");
    let table = alter(&old, &[Alteration::UpgradeFormat(FormatVersion::V3)])
        .await
        .unwrap();
    assert_eq!(table.metadata.format_version(), FormatVersion::V3);

    // What is called as its column makes way, or no other engine would take the spec; and may come back.
    let old = Lake::new(&[(2, "name", Transform::Identity)], &[("format-version", "1")]).await;
    old.append(0..10).await;
    let gone = Alteration::DropPartitionField(PartitionField::Named("name".into()));
    let table = alter(&old, &[gone]).await.unwrap();
    assert_eq!(partitions(&table), ["name_1000=void"]);
    old.append(10..20).await;
    let table = alter(&old, &[Alteration::AddPartitionField(by("name", Transform::Identity))])
        .await
        .unwrap();
    assert_eq!(partitions(&table), ["name_1000=void", "name=identity"]);
    old.append(20..30).await;
    assert_eq!(old.rows().await, (0..30).collect::<Vec<i64>>());
}

// Goal: format 3 has defaults, and an upgraded table goes on. Method: upgrade, add a required column with a default, append.
#[tokio::test]
async fn defaults_come_with_format_3() {
    let lake = Lake::new(&[], &[]).await;
    lake.append([1]).await;
    let upgrade = Alteration::SetProperties([("format-version".to_owned(), "3".to_owned())].into());
    let number = Literal::Primitive(PrimitiveLiteral::Int(7));
    let column = NewColumn {
        required: true,
        default: Some(number.clone()),
        ..NewColumn::new("rank", Type::Primitive(P::Int))
    };
    let table = alter(&lake, &[upgrade, Alteration::AddColumn(column)]).await.unwrap();
    let field = table.metadata.current_schema().field_by_name("rank").unwrap().clone();
    assert_eq!(
        (&field.initial_default, &field.write_default),
        (&Some(number.clone()), &Some(number))
    );
    let wrong = Literal::Primitive(PrimitiveLiteral::String("x".into()));
    let refused = alter(&lake, &[Alteration::SetDefault("rank".into(), Some(wrong))]).await;
    assert!(matches!(refused, Err(TableError::Alteration { .. })), "{refused:?}");
    let other = Some(Literal::Primitive(PrimitiveLiteral::Int(8)));
    let table = alter(&lake, &[Alteration::SetDefault("rank".into(), other.clone())])
        .await
        .unwrap();
    assert_eq!(
        table
            .metadata
            .current_schema()
            .field_by_name("rank")
            .unwrap()
            .write_default,
        other
    );
}

fn any_alteration() -> impl Strategy<Value = Alteration> {
    let path = || {
        prop::sample::select(vec![
            "id",
            "name",
            "a",
            "b",
            "address",
            "address.city",
            "address.a",
            "tags",
            "attrs.value",
        ])
    };
    let word = || prop::sample::select(vec!["a", "b", "id", "city"]);
    let position = prop_oneof![
        Just(Position::First),
        word().prop_map(|w| Position::After(w.into())),
        word().prop_map(|w| Position::Before(w.into())),
    ];
    prop_oneof![
        path().prop_map(|p| add(p, P::Int)),
        path().prop_map(|p| Alteration::DropColumn(p.into())),
        (path(), word()).prop_map(|(p, w)| Alteration::RenameColumn(p.into(), w.into())),
        path().prop_map(|p| Alteration::WidenColumn(p.into(), P::Long)),
        (path(), position).prop_map(|(p, at)| Alteration::MoveColumn(p.into(), at)),
        (path(), any::<bool>()).prop_map(|(p, r)| Alteration::SetRequired(p.into(), r)),
        path().prop_map(|p| Alteration::AddPartitionField(by(p, Transform::Bucket(2)))),
        path().prop_map(|p| Alteration::DropPartitionField(PartitionField::Of(p.into(), Transform::Bucket(2)))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    // Goal: no sequence of alterations panics, gives one id to two columns, or changes what an id means. Method: random sequences on
    // a small set of names against the ids and types seen so far; what is refused must leave the table as it was.
    #[test]
    fn ids_keep_their_meaning(alterations in prop::collection::vec(any_alteration(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let lake = Lake::new(&[], &[]).await;
            let mut highest = lake.table().await.metadata.last_column_id();
            for alteration in alterations {
                let before = lake.table().await;
                match alter(&lake, std::slice::from_ref(&alteration)).await {
                    Err(_) => assert_eq!(lake.table().await.metadata_location, before.metadata_location),
                    Ok(after) => {
                        let old = before.metadata.current_schema();
                        for (id, field) in after.metadata.current_schema().field_id_to_fields() {
                            match old.field_by_id(*id) {
                                Some(was) => assert_eq!(was.field_type.is_primitive(), field.field_type.is_primitive()),
                                None => assert!(*id > highest, "{alteration:?} gave {id} again"),
                            }
                        }
                        highest = after.metadata.last_column_id();
                    }
                }
            }
        });
    }
}
