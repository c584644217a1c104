mod leftovers;
mod memory;
mod order;
mod properties;

use std::sync::Arc;

use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, collect};
use datafusion_proto::bytes::{
    physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
};
use datafusion_proto::physical_plan::DefaultPhysicalExtensionCodec;
use tidewater_core::Coded;
use tidewater_table::WriteRun;
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Transform, Type, UnboundPartitionSpec};

use crate::testing::Lake;
use crate::write::{Distribution, Order, WriteRequest, files_of};
use crate::{Class, SessionOptions, ZONE, restore_scans};

fn events() -> Schema {
    Schema::builder()
        .with_fields(vec![
            NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).into(),
            NestedField::optional(2, "at", Type::Primitive(PrimitiveType::Timestamptz)).into(),
            NestedField::optional(3, "note", Type::Primitive(PrimitiveType::String)).into(),
        ])
        .build()
        .expect("a schema")
}

fn by_day() -> UnboundPartitionSpec {
    UnboundPartitionSpec::builder()
        .add_partition_field(2, "at_day", Transform::Day)
        .expect("a field")
        .build()
}

/// 40 rows over 4 days, ten a day.
const ROWS: &str = "select v as id, to_timestamp_micros((v % 4) * 86400000000 + v) as at, concat('n', v) as note \
                    from generate_series(1, 40) g(v)";

async fn write(lake: &Lake, sql: &str, distribution: Distribution) -> crate::Result<Vec<tidewater_table::Added>> {
    let session = lake.engine.session(Class::Batch, &SessionOptions::default());
    let request = WriteRequest {
        job: lake.job(),
        input: lake.engine.plan(&session, sql).await?,
        target: lake.load("silver.events").await,
        distribution,
        order: Order::OfTable,
        target_file_size_bytes: None,
        deadline: None,
    };
    lake.engine
        .write_with(&lake.engine.local_runner(), &session, request)
        .await
}

// Goal: what is written is read back, whatever the distribution. Method: the same rows written in each way.
#[tokio::test]
async fn written_rows_are_read_back() {
    let lake = Lake::new();
    lake.create("silver.events", events(), Some(by_day())).await;
    for (round, distribution) in [
        Distribution::AsPlanned,
        Distribution::Single,
        Distribution::ByPartition,
        Distribution::Hash(vec!["id".into()]),
    ]
    .into_iter()
    .enumerate()
    {
        let added = write(&lake, ROWS, distribution.clone()).await.expect("files");
        let rows: u64 = added.iter().map(|added| added.file.record_count()).sum();
        assert_eq!(rows, 40);
        if matches!(distribution, Distribution::Single | Distribution::ByPartition) {
            assert_eq!(added.len(), 4, "one file a day: {distribution:?}");
        }
        lake.commit("silver.events", added).await;
        let times = round + 1;
        let expected = format!("{},40,{}", 40 * times, 820 * times);
        let sql = "select count(*), count(distinct note), sum(id) from silver.events";
        assert_eq!(lake.lines(sql).await, [expected]);
        // One day of four.
        let sql = "select count(*) from silver.events where at < timestamp '1970-01-02T00:00:00Z'";
        assert_eq!(lake.lines(sql).await, [(10 * times).to_string()]);
        let session = lake.session();
        let plan = lake.engine.plan(&session, sql).await.expect("a plan");
        let estimate = lake.engine.estimate(&session, &plan).await.expect("an estimate");
        assert_eq!(estimate.rows(), 10 * times as u64, "other days are pruned");
    }
}

// Goal: columns are matched by name and cast; what does not fit is refused. Method: good and bad queries.
#[tokio::test]
async fn columns_are_matched_by_name() {
    let lake = Lake::new();
    lake.create("silver.events", events(), None).await;
    let added = write(&lake, "select 'x' as note, 7::int as id", Distribution::AsPlanned)
        .await
        .expect("files");
    lake.commit("silver.events", added).await;
    assert_eq!(lake.lines("select * from silver.events").await, ["7,,x"]);
    for bad in ["select 1 as id, 2 as other", "select 'x' as note"] {
        let refused = write(&lake, bad, Distribution::AsPlanned)
            .await
            .expect_err("columns that do not fit");
        assert_eq!(refused.code(), "ENG-0011", "{bad}");
    }
    let empty = write(&lake, "select 1 as id where false", Distribution::AsPlanned)
        .await
        .expect("nothing");
    assert!(empty.is_empty());
}

// Goal: a write that fails leaves no file behind. Method: a division by zero after some rows; look at the store.
#[tokio::test]
async fn a_failed_write_removes_its_files() {
    let lake = Lake::new();
    lake.create("silver.events", events(), None).await;
    let sql = "select v as id from generate_series(1, 100000) g(v) where 1 / (50000 - v) < 2";
    write(&lake, sql, Distribution::AsPlanned)
        .await
        .expect_err("division by zero");
    let location = lake.load("silver.events").await.metadata.location().to_owned();
    let left = lake.store.list(&format!("{location}/data")).await.expect("a listing");
    assert!(left.is_empty(), "{left:?}");
}

// Goal: a write travels to another process and lists the same rows. Method: encode, decode, run, commit, read.
#[tokio::test]
async fn a_write_travels() {
    let lake = Lake::new();
    lake.create("silver.events", events(), Some(by_day())).await;
    let added = write(&lake, ROWS, Distribution::Single).await.expect("files");
    lake.commit("silver.events", added).await;
    let session = lake.engine.session(Class::Batch, &SessionOptions::default());
    let request = WriteRequest {
        job: lake.job(),
        input: lake
            .engine
            .plan(&session, "select * from silver.events where id > 20")
            .await
            .expect("a plan"),
        target: lake.load("silver.events").await,
        distribution: Distribution::AsPlanned,
        order: Order::OfTable,
        target_file_size_bytes: None,
        deadline: None,
    };
    let plan = lake
        .engine
        .write_plan(&request, WriteRun::new(lake.store.rng()), ZONE)
        .expect("a plan");
    let plan = session
        .state()
        .create_physical_plan(&plan)
        .await
        .expect("a physical plan");
    let codec = lake.engine.physical_codec(Arc::new(DefaultPhysicalExtensionCodec {}));
    let bytes = physical_plan_to_bytes_with_extension_codec(plan.clone(), codec.as_ref()).expect("bytes");
    let context: Arc<TaskContext> = session.task_ctx();
    let decoded = physical_plan_from_bytes_with_extension_codec(&bytes, &context, codec.as_ref()).expect("a plan");
    let decoded: Arc<dyn ExecutionPlan> = restore_scans(decoded, &lake.engine.runtime_env()).expect("scans");
    assert_eq!(
        decoded.output_partitioning().partition_count(),
        plan.output_partitioning().partition_count()
    );
    let mut added = Vec::new();
    for batch in collect(decoded, context).await.expect("rows") {
        files_of(&batch, &request.target, &mut added).expect("files");
    }
    lake.commit("silver.events", added).await;
    assert_eq!(
        lake.lines("select count(*), count(distinct id) from silver.events")
            .await,
        ["60,40"]
    );
    let damaged = codec.try_decode(
        b"\0tidewater:write:2\0{}",
        &[plan],
        &session.task_ctx(),
        &datafusion_proto::physical_plan::DefaultPhysicalProtoConverter {},
    );
    assert!(damaged.is_err());
}
