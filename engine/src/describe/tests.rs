use std::collections::HashMap;
use std::sync::Arc;

use tidewater_security::{Access, Grant, Grantee, Object, Policy, Privilege, Resource};
use tidewater_table::iceberg::spec::{
    ListType, MapType, NestedField, NullOrder, PrimitiveType, Schema, SortDirection, SortField, SortOrder, StructType,
    Transform, Type, UnboundPartitionSpec,
};
use tidewater_table::{Catalog, NewTable};

use crate::statement::tests::done;
use crate::testing::{Lake, table_name};
use crate::{Class, SessionOptions};

fn primitive(of: PrimitiveType) -> Type {
    Type::Primitive(of)
}

async fn lake() -> Lake {
    let lake = Lake::new();
    let address = StructType::new(vec![
        NestedField::required(20, "Street", primitive(PrimitiveType::String)).into(),
        NestedField::optional(21, "zip", primitive(PrimitiveType::Int)).into(),
    ]);
    let tags = MapType::new(
        NestedField::map_key_element(22, primitive(PrimitiveType::String)).into(),
        NestedField::map_value_element(
            23,
            Type::List(ListType::new(
                NestedField::list_element(24, primitive(PrimitiveType::Double), false).into(),
            )),
            false,
        )
        .into(),
    );
    let fields = [
        NestedField::required(1, "id", primitive(PrimitiveType::Long))
            .with_doc("the patient's number")
            .into(),
        NestedField::optional(2, "born at", primitive(PrimitiveType::Timestamptz)).into(),
        NestedField::optional(
            3,
            "bill",
            primitive(PrimitiveType::Decimal {
                precision: 12,
                scale: 2,
            }),
        )
        .into(),
        NestedField::optional(4, "address", Type::Struct(address)).into(),
        NestedField::optional(5, "tags", Type::Map(tags)).into(),
    ];
    let schema = Schema::builder().with_fields(fields).build().expect("a schema");
    let partition = UnboundPartitionSpec::builder()
        .add_partition_field(2, "born_day", Transform::Day)
        .and_then(|spec| spec.add_partition_field(1, "id_bucket", Transform::Bucket(16)))
        .expect("fields")
        .build();
    let name = table_name("gold.patients");
    lake.catalog
        .create_namespace(name.namespace())
        .await
        .expect("a namespace");
    let order = SortOrder::builder()
        .with_sort_field(
            SortField::builder()
                .source_id(1)
                .transform(Transform::Identity)
                .direction(SortDirection::Descending)
                .null_order(NullOrder::Last)
                .build(),
        )
        .build(&schema)
        .expect("an order");
    let table = NewTable {
        partition_spec: Some(partition),
        sort_order: Some(order),
        properties: HashMap::from([("owner".into(), "it's us".into())]),
        ..NewTable::new(name, schema)
    };
    lake.catalog.create_table(table).await.expect("a table");
    lake
}

// Goal: names can be listed by schema and pattern. Method: two schemas.
#[tokio::test]
async fn names_are_listed() {
    let lake = lake().await;
    let plain = Schema::builder()
        .with_fields([NestedField::required(1, "id", primitive(PrimitiveType::Long)).into()])
        .build();
    lake.create("silver.visits", plain.expect("a schema"), None).await;
    for (sql, wanted) in [
        ("SHOW TABLES IN gold", vec!["lake,gold,patients,BASE TABLE"]),
        (
            "SHOW TABLES FROM lake.silver LIKE 'v%'",
            vec!["lake,silver,visits,BASE TABLE"],
        ),
        ("SHOW TABLES IN silver LIKE 'x%'", vec![]),
        (
            "SHOW TABLES LIKE '%ts'",
            vec!["lake,gold,patients,BASE TABLE", "lake,silver,visits,BASE TABLE"],
        ),
        ("SHOW SCHEMAS LIKE '%l%e%'", vec!["silver"]),
        (
            "SHOW COLUMNS FROM patients LIKE 'b%l_'",
            vec!["lake,gold,patients,bill,decimal(12, 2),YES,"],
        ),
    ] {
        assert_eq!(lake.lines(sql).await, wanted, "{sql}");
    }
    let schemas = lake.lines("SHOW DATABASES").await;
    assert!(
        schemas.contains(&"gold".to_owned()) && schemas.contains(&"silver".to_owned()),
        "{schemas:?}"
    );
    let session = lake.session();
    assert!(lake.engine.plan(&session, "DESCRIBE nowhere.nothing").await.is_err());
}

// Goal: a table's columns, partitions and properties are told. Method: one of each kind.
#[tokio::test]
async fn a_table_is_described() {
    let lake = lake().await;
    let mut wanted = vec![
        "address,struct<\"Street\" varchar NOT NULL, zip int>,YES,,",
        "bill,decimal(12, 2),YES,,",
        "born at,timestamp with time zone,YES,,",
        "id,bigint,NO,the patient's number,",
        "tags,map<varchar, array<double>>,YES,,",
    ];
    assert_eq!(lake.lines("DESCRIBE gold.patients").await, wanted);
    let extended = lake.lines("DESCRIBE EXTENDED gold.patients").await;
    wanted.extend([
        "Part 0,day(\"born at\"),,,",
        "Part 1,bucket(16, id),,,",
        "Property owner,it's us,,,",
    ]);
    for line in wanted {
        assert!(extended.iter().any(|told| told == line), "{line} of {extended:?}");
    }
}

// Goal: the statement that makes such a table. Method: against its text.
#[tokio::test]
async fn a_table_tells_how_it_is_made() {
    let lake = lake().await;
    let answer = lake.query("SHOW CREATE TABLE gold.patients").await;
    let text = datafusion::arrow::util::display::array_value_to_string(answer[0].column(3), 0).expect("a text");
    let location = lake.load("gold.patients").await.metadata.location().to_owned();
    let wanted = format!(
        "CREATE TABLE gold.patients (
  id bigint NOT NULL COMMENT 'the patient''s number',
  \"born at\" timestamp with time zone,
  bill decimal(12, 2),
  address struct<\"Street\" varchar NOT NULL, zip int>,
  tags map<varchar, array<double>>
)
PARTITIONED BY (day(\"born at\") AS born_day, bucket(16, id) AS id_bucket)
WRITE ORDERED BY id DESC NULLS LAST
LOCATION '{location}'
TBLPROPERTIES (
  'format-version' = '2',
  'owner' = 'it''s us'
)"
    );
    assert_eq!(text, wanted);
}

// Goal: what is told makes the same table again. Method: a table with a default of each kind, a key, partitions, an order and comments, whose
// statement is carried out for another name, and told again.
#[tokio::test]
async fn what_is_told_makes_the_table_again() {
    let lake = lake().await;
    let create = "CREATE TABLE gold.one (id bigint COMMENT 'it''s a number', n int DEFAULT -5, x double DEFAULT 1.5, d decimal(8, 2) DEFAULT 3.25, \
         b boolean DEFAULT true, s string DEFAULT 'o''clock', day date DEFAULT '2024-02-29', at timestamp DEFAULT '2024-02-29T10:20:30', \
         seen timestamptz DEFAULT '2024-02-29T10:20:30Z', \"Two Words\" struct<a: int, \"B\": array<string>>, PRIMARY KEY (id)) \
         PARTITIONED BY (month(seen), truncate(3, s), bucket(4, id) AS shard) WRITE ORDERED BY day DESC, bucket(8, n) \
         TBLPROPERTIES ('format-version' = '3', 'write.parquet.compression-codec' = 'zstd')";
    done(&lake, create).await;
    let told = async |name: &str| {
        let answer = lake.query(&format!("SHOW CREATE TABLE gold.{name}")).await;
        datafusion::arrow::util::display::array_value_to_string(answer[0].column(3), 0).expect("a text")
    };
    let one = told("one").await;
    for part in [
        "DEFAULT 'o''clock'",
        "PRIMARY KEY (id)",
        "WRITE ORDERED BY day DESC NULLS LAST",
        "AS shard",
        "DEFAULT 3.25",
    ] {
        assert!(one.contains(part), "{part} of {one}");
    }
    let described = lake.lines("DESCRIBE gold.one").await;
    for line in ["s,varchar,YES,,'o''clock'", "n,int,YES,,-5"] {
        assert!(described.iter().any(|told| told == line), "{line} of {described:?}");
    }
    let place = |text: &str| {
        text.lines()
            .find(|line| line.starts_with("LOCATION"))
            .map(str::to_owned)
            .expect("a place")
    };
    done(&lake, &one.replace("gold.one", "gold.two").replace(&place(&one), "")).await;
    let two = told("two").await;
    assert_eq!(
        two.replace("gold.two", "gold.one").replace(&place(&two), &place(&one)),
        one
    );
}

// Goal: a view tells the statement that makes it, and its columns. Method: one that is dropped and made again by what it tells.
#[tokio::test]
async fn a_view_tells_how_it_is_made() {
    let lake = lake().await;
    done(
        &lake,
        "CREATE VIEW gold.\"Old\" AS SELECT id, bill FROM gold.patients WHERE id > 1",
    )
    .await;
    let told = async || {
        let answer = lake.query("SHOW CREATE TABLE gold.\"Old\"").await;
        datafusion::arrow::util::display::array_value_to_string(answer[0].column(3), 0).expect("a text")
    };
    let text = told().await;
    assert!(text.starts_with("CREATE VIEW gold.\"Old\" AS\nSELECT "), "{text}");
    done(&lake, "DROP VIEW gold.\"Old\"").await;
    done(&lake, &text).await;
    assert_eq!(told().await, text);
    assert_eq!(lake.lines("DESCRIBE gold.\"Old\"").await.len(), 2);
}

// Goal: what a view says, and all of its columns, are told to nobody who may know one column of it. Method: somebody who was granted the
// view and what it reads, and somebody who was granted a column of it.
#[tokio::test]
async fn a_view_is_told_to_who_may_know_all_of_it() {
    let lake = lake().await;
    done(&lake, "CREATE VIEW gold.v AS SELECT id, bill FROM gold.patients").await;
    let view = lake.catalog.load_view(&table_name("gold.v")).await.expect("an answer");
    let view = view.expect("a view").uuid;
    let patients = lake.load("gold.patients").await.metadata.uuid();
    let object = |name: &str, uuid| Object {
        id: uuid,
        uuid,
        namespace: vec!["gold".into()],
        name: name.into(),
    };
    let column = Resource::Column { object: view, field: 1 };
    for (on, is_told) in [(Resource::Object(view), true), (column, false)] {
        let grants = [on, Resource::Object(patients)].map(|on| Grant {
            to: Grantee::User("ana".into()),
            on,
            privileges: Privilege::Select.into(),
        });
        let policy = Policy {
            in_force: true,
            objects: vec![object("v", view), object("patients", patients)],
            grants: grants.to_vec(),
            ..Policy::default()
        };
        let options = SessionOptions {
            access: Some(Arc::new(Access::compile(&policy, "ana"))),
            ..SessionOptions::default()
        };
        for sql in [
            "SHOW CREATE TABLE gold.v",
            "DESCRIBE gold.v",
            "SHOW COLUMNS FROM gold.v",
        ] {
            let session = lake.engine.session(Class::Interactive, &options);
            assert_eq!(lake.engine.plan(&session, sql).await.is_ok(), is_told, "{sql}");
        }
    }
}
