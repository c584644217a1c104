//! Scans that tell positions, in the form in which they are sent.

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::physical_plan::{collect, displayable};
use datafusion_proto::physical_plan::{DefaultPhysicalExtensionCodec, DefaultPhysicalProtoConverter};
use tidewater_table::Scan;
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};

use super::*;
use crate::testing::{Lake, lines, table_name};
use crate::{Class, SessionOptions};

/// Files of the table: enough small ones for each of three partitions.
const FILES: i64 = 60;

// Goal: a scan in the form in which it is sent gives the rows that it gave before, each once and with its position, and a scan without a
// place for them is no such scan. Method: a table of so many files that its scan has several partitions, under both forms, and a plan of
// it that nobody sent.
#[tokio::test]
async fn scans_are_what_they_were() {
    let lake = Lake::new();
    let field = NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long));
    let schema = Schema::builder().with_fields([Arc::new(field)]).build();
    lake.create("silver.t", schema.expect("a schema"), None).await;
    let mut added = Vec::new();
    let mut expected = Vec::new();
    for first in (0..FILES).map(|file| file * 100) {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + 5));
        let rows = RecordBatch::try_from_iter([("id", ids)]).expect("rows");
        added.extend(lake.write("silver.t", rows).await);
        let wanted = (0_i64..4).filter(|position| first + position > 1);
        expected.extend(wanted.map(|position| format!("{position},{}", first + position)));
    }
    expected.sort();
    lake.commit("silver.t", added).await;
    let table = lake.load("silver.t").await;
    let files = Scan::new(&lake.store, &table.metadata).plan().await.expect("files");
    let rows = lake.engine.rows_provider(&table, files).expect("rows");
    let options = SessionOptions::default().overlay(table_name("silver.rows"), rows);
    let session = lake.engine.session(Class::Batch, &options);
    let sql = "SELECT _pos, id FROM silver.rows WHERE id > 1 AND _pos < 4";
    let plan = lake.engine.plan(&session, sql).await.expect("a plan");
    let plan = session.state().create_physical_plan(&plan).await.expect("a plan");
    let sent = SentPositions.optimize(Arc::clone(&plan), &ConfigOptions::new());
    let sent = sent.expect("a plan");
    let shown = displayable(sent.as_ref()).indent(false).to_string();
    assert_eq!(shown.matches("PositionsExec").count(), 1, "{shown}");
    assert_eq!(sent.schema(), plan.schema());
    assert!(shown.contains("file_groups={3 groups"), "{shown}");
    for plan in [Arc::clone(&plan), sent] {
        let found = collect(plan, session.task_ctx()).await.expect("rows");
        assert_eq!(lines(&found), expected);
    }

    let codec = lake.engine.physical_codec(Arc::new(DefaultPhysicalExtensionCodec {}));
    let mut scans = Vec::new();
    plan.apply(|node| {
        if node.children().is_empty() {
            scans.push(Arc::clone(node));
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .expect("its scans");
    let damaged = codec.try_decode(
        b"\0tidewater:positions:1\0",
        &scans,
        &session.task_ctx(),
        &DefaultPhysicalProtoConverter {},
    );
    assert!(damaged.is_err_and(|error| error.to_string().contains("positions")));
}
