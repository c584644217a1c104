use std::collections::BTreeMap;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StructArray};
use datafusion::arrow::datatypes::DataType;
use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, StructType};
use tidewater_table::{AtHand, FileStore, Scan};

use super::*;
use crate::statement::tests::done;
use crate::testing::{Lake, lines};
use crate::{Class, PlanRequest, PlanRunner};

const TABLE: &str = "gold.visits";
const FILES: i64 = 4;
const ROWS_PER_FILE: i64 = 50;

/// `id` (1), `note` (2) and `place` (3) of `city` (4) and `ward` (5), in some files on a disk.
async fn visits(directory: &tempfile::TempDir) -> Lake {
    let lake = Lake::at(&format!("file://{}", directory.path().display()));
    let of = |id, name: &str, kind| Arc::new(NestedField::optional(id, name, Type::Primitive(kind)));
    let place = StructType::new(vec![
        of(4, "city", PrimitiveType::String),
        of(5, "ward", PrimitiveType::Long),
    ]);
    let fields = [
        of(1, "id", PrimitiveType::Long),
        of(2, "note", PrimitiveType::String),
        Arc::new(NestedField::optional(3, "place", Type::Struct(place))),
    ];
    let schema = Schema::builder().with_fields(fields).build().expect("a schema");
    let arrow = Arc::new(tidewater_table::schema::to_arrow(&schema).expect("a schema"));
    lake.create(TABLE, schema, None).await;
    let DataType::Struct(within) = arrow.field(2).data_type() else {
        panic!("{arrow:?}")
    };
    for file in 0..FILES {
        let ids: Vec<i64> = (file * ROWS_PER_FILE..(file + 1) * ROWS_PER_FILE).collect();
        let notes = ids.iter().map(|id| Some(format!("a note of the visit {}", id * 7_919)));
        let cities = ids.iter().map(|id| Some(format!("city {}", id % 3)));
        let place: Vec<ArrayRef> = vec![
            Arc::new(cities.collect::<StringArray>()),
            Arc::new(Int64Array::from(ids.clone())),
        ];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(ids.clone())),
            Arc::new(notes.collect::<StringArray>()),
            Arc::new(StructArray::new(within.clone(), place, None)),
        ];
        let rows = RecordBatch::try_new(Arc::clone(&arrow), columns).expect("rows");
        lake.append(TABLE, rows).await;
    }
    lake
}

async fn estimated(lake: &Lake, sql: &str) -> ScanEstimate {
    let session = lake.session();
    let plan = lake.engine.plan(&session, sql).await.expect(sql);
    lake.engine.estimate(&session, &plan).await.expect(sql)
}

// Goal: a scan counts with the columns that it reads, those of its conditions among them, and with the files that its limit needs. Method:
// plans of several shapes against the sizes that manifests tell.
#[tokio::test]
async fn only_what_is_read_counts() {
    let directory = tempfile::tempdir().expect("a folder");
    let lake = visits(&directory).await;
    let metadata = lake.load(TABLE).await.metadata;
    let files = Scan::new(&FileStore::system(), &metadata).plan().await.expect("files");
    let (mut sizes, mut besides) = (BTreeMap::<i32, u64>::new(), 0_u64);
    for file in &files {
        besides += file.size_bytes;
        for (id, bytes) in file.data_file().column_sizes() {
            *sizes.entry(*id).or_default() += bytes;
            besides -= bytes;
        }
    }
    assert_eq!(sizes.keys().copied().collect::<Vec<i32>>(), [1, 2, 4, 5]);
    let all: u64 = files.iter().map(|file| file.size_bytes).sum();
    for (sql, columns) in [
        ("SELECT * FROM gold.visits", vec![1_i32, 2, 4, 5]),
        ("SELECT sum(id) FROM gold.visits", vec![1]),
        ("SELECT id FROM gold.visits WHERE note <> 'x'", vec![1, 2]),
        ("EXPLAIN SELECT place FROM gold.visits", vec![4, 5]),
        ("SELECT count(*) FROM gold.visits", vec![]),
    ] {
        let estimate = estimated(&lake, sql).await;
        let read: u64 = columns.iter().map(|id| sizes[id]).sum();
        assert_eq!(estimate.bytes(), besides + read, "{sql}");
        assert_eq!(estimate.scans[0].file_bytes, all, "{sql}");
        assert_eq!(estimate.files(), files.len() as u64, "{sql}");
    }
    let both = "SELECT id FROM gold.visits UNION ALL SELECT id FROM gold.visits WHERE note <> 'x'";
    assert_eq!(
        estimated(&lake, both).await.bytes(),
        2 * (besides + sizes[&1]) + sizes[&2],
        "each scan counts"
    );
    let limited = estimated(&lake, "SELECT id FROM gold.visits LIMIT 5").await;
    assert_eq!((limited.files(), limited.rows()), (1, ROWS_PER_FILE as u64));
    let limited = estimated(&lake, "SELECT id FROM gold.visits WHERE note <> 'x' LIMIT 5").await;
    assert_eq!(
        limited.files(),
        files.len() as u64,
        "nobody knows how many rows it looks at"
    );
}

/// How often a statement that is estimated twice and run went through the files of its tables, and its rows.
async fn passes(lake: &Lake, sql: &str) -> (u64, usize) {
    let session = lake.session();
    let at_hand = Arc::new(AtHand::default());
    let state = session.state_ref();
    state.write().config_mut().set_extension(Arc::clone(&at_hand));
    let plan = lake.engine.plan(&session, sql).await.expect(sql);
    let one = lake.engine.estimate(&session, &plan).await.expect(sql);
    let other = lake.engine.estimate(&session, &plan).await.expect(sql);
    assert_eq!(one, other, "{sql}");
    let request = PlanRequest {
        job: lake.job(),
        session,
        plan,
        class: Class::Interactive,
        deadline: None,
    };
    let output = lake.engine.local_runner().run(request).await.expect(sql);
    let rows = lines(&output.collect().await.expect(sql)).len();
    (at_hand.figures().listings, rows)
}

// Goal: a statement goes through the files of a snapshot once for each filter, whoever asks and however often it scans them, the next one of
// the same not at all, and none is given the files of another filter or of before a commit. Method: counts of passes and of rows.
#[tokio::test]
async fn files_are_listed_once() {
    let directory = tempfile::tempdir().expect("a folder");
    let lake = visits(&directory).await;
    let both = "SELECT id FROM gold.visits UNION ALL SELECT id + 1 FROM gold.visits";
    let late = "SELECT id FROM gold.visits WHERE id >= 150";
    assert_eq!(passes(&lake, both).await, (1, 400));
    assert_eq!(passes(&lake, both).await, (0, 400));
    assert_eq!(passes(&lake, late).await, (1, 50));
    done(&lake, "DELETE FROM gold.visits WHERE id < 50").await;
    assert_eq!(passes(&lake, both).await, (1, 300));
    assert_eq!(passes(&lake, late).await, (1, 50));
    done(&lake, "DELETE FROM gold.visits WHERE id >= 150").await;
    assert_eq!(passes(&lake, late).await, (1, 0));
}
