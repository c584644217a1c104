//! Deletion vectors and row ids in plans.

use std::sync::Arc;

use iceberg::io::{MemoryStorage, OutputFile, Storage};
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, FormatVersion, ManifestContentType, ManifestFile,
    ManifestListWriter, ManifestWriterBuilder, Operation, PartitionSpec, Snapshot, SnapshotReference,
    SnapshotRetention, Summary, TableMetadata,
};
use serde_json::{Value, json};

use super::table;
use crate::planning::{PlanRequest, Planned, Planner};
use crate::warehouse::Warehouse;
use tidewater_core::{SystemClock, SystemRng};
use tidewater_table::{FileStore, StoreOptions};

const DATA: [&str; 2] = ["memory://lake/t/data/1.parquet", "memory://lake/t/data/2.parquet"];
const VECTORS: &str = "memory://lake/t/data/vectors.puffin";
const OLD_DELETES: &str = "memory://lake/t/data/deletes.parquet";

/// A table of format 3 in memory whose snapshots are written by the library, as another engine would.
struct Lake {
    store: FileStore,
    scratch: Arc<dyn Storage>,
    table: TableMetadata,
    manifests: Vec<ManifestFile>,
}

impl Lake {
    fn new() -> Self {
        let mut metadata = serde_json::to_value(table()).expect("JSON");
        metadata["format-version"] = json!(3);
        metadata["next-row-id"] = json!(0);
        Self {
            store: FileStore::new(StoreOptions::default(), SystemClock::shared(), SystemRng::shared()),
            scratch: Arc::new(MemoryStorage::new()),
            table: serde_json::from_value(metadata).expect("good metadata"),
            manifests: Vec::new(),
        }
    }

    async fn publish(&self, path: &str) {
        let bytes = self.scratch.read(path).await.expect("written");
        self.store.put_new(path, bytes).await.expect("a new file");
    }

    /// A snapshot that adds one manifest.
    async fn add(&mut self, content: ManifestContentType, files: Vec<DataFile>) {
        let id = self.table.last_sequence_number() + 1;
        let path = format!("memory://lake/t/metadata/{id}.avro");
        let output = OutputFile::new(Arc::clone(&self.scratch), path.clone());
        let (schema, spec) = (self.table.current_schema().clone(), PartitionSpec::unpartition_spec());
        let builder = ManifestWriterBuilder::new(output, Some(id), schema, spec);
        let mut writer = match content {
            ManifestContentType::Data => builder.build_v3_data(),
            ManifestContentType::Deletes => builder.build_v3_deletes(),
        };
        for file in files {
            writer.add_file(file, -1).expect("a good file");
        }
        self.manifests
            .push(writer.write_manifest_file().await.expect("written"));
        self.publish(&path).await;

        let path = format!("memory://lake/t/metadata/snap-{id}.avro");
        let (output, first) = (
            self.scratch.writer(&path).await.expect("a writer"),
            self.table.next_row_id(),
        );
        let parent = self.table.current_snapshot_id();
        let mut writer = ManifestListWriter::v3(output, id, parent, id, Some(first));
        writer
            .add_manifests(self.manifests.clone().into_iter())
            .expect("good manifests");
        let next = writer.next_row_id().expect("row ids");
        writer.close().await.expect("written");
        self.publish(&path).await;
        let snapshot = Snapshot::builder()
            .with_snapshot_id(id)
            .with_parent_snapshot_id(parent)
            .with_sequence_number(id)
            .with_timestamp_ms(self.table.last_updated_ms())
            .with_manifest_list(path)
            .with_summary(Summary {
                operation: Operation::Append,
                additional_properties: [].into(),
            })
            .with_schema_id(0)
            .with_row_range(first, next - first)
            .build();
        let reference = SnapshotReference::new(id, SnapshotRetention::branch(None, None, None));
        let builder = self
            .table
            .clone()
            .into_builder(None)
            .add_snapshot(snapshot)
            .expect("a good snapshot");
        let built = builder.set_ref("main", reference).and_then(|builder| builder.build());
        self.table = built.expect("good metadata").metadata;
        // The list that was read back has what the next one must repeat.
        let snapshot = self.table.current_snapshot().expect("the snapshot");
        let listed = tidewater_table::reachable::manifests_of(&self.store, &self.table, snapshot).await;
        self.manifests = listed.expect("a good list");
    }

    async fn plan(&self, files_max: usize) -> Planned {
        let request: PlanRequest = serde_json::from_value(json!({})).expect("a request");
        let pinned = request.pin(&self.table).expect("a plan");
        let warehouse = Warehouse::new("lake", "memory://lake").expect("a location");
        let planner = Planner {
            store: &self.store,
            warehouse: &warehouse,
            files: None,
            table: &self.table,
            null_partitions: true,
            files_max,
        };
        planner.plan(&pinned).await.expect("planned")
    }
}

fn file(content: DataContentType, path: &str, rows: u64, set: impl FnOnce(&mut DataFileBuilder)) -> DataFile {
    let mut builder = DataFileBuilder::default();
    builder
        .content(content)
        .file_format(DataFileFormat::Parquet)
        .file_path(path.to_owned())
        .partition_spec_id(0)
        .record_count(rows)
        .file_size_in_bytes(100);
    set(&mut builder);
    builder.build().expect("a file")
}

fn vector(of: &str, offset: i64) -> DataFile {
    file(DataContentType::PositionDeletes, VECTORS, 2, |builder| {
        builder
            .file_format(DataFileFormat::Puffin)
            .referenced_data_file(Some(of.to_owned()))
            .content_offset(Some(offset))
            .content_size_in_bytes(Some(40));
    })
}

// Goal: a plan tells of each file where its row ids begin and which blob of which file holds its deletion vector, and no deletes
// that the vector replaced. Method: two data files in two snapshots, a position delete file of before, two vectors in one file.
#[tokio::test]
async fn vectors_are_told_with_their_place() {
    let mut lake = Lake::new();
    let data = |at: usize, rows| file(DataContentType::Data, DATA[at], rows, |_| {});
    lake.add(ManifestContentType::Data, vec![data(0, 10)]).await;
    lake.add(ManifestContentType::Data, vec![data(1, 5)]).await;
    assert_eq!(lake.table.next_row_id(), 15);
    let old = file(DataContentType::PositionDeletes, OLD_DELETES, 1, |_| {});
    lake.add(ManifestContentType::Deletes, vec![old]).await;
    let before = lake.plan(10).await;
    let paths = |plan: &Planned| -> Vec<String> {
        let deletes = plan["delete-files"].as_array().expect("delete files");
        deletes
            .iter()
            .map(|file| file["file-path"].as_str().expect("a path").to_owned())
            .collect()
    };
    assert_eq!(paths(&before), [OLD_DELETES]);

    lake.add(
        ManifestContentType::Deletes,
        vec![vector(DATA[0], 4), vector(DATA[1], 44)],
    )
    .await;
    assert_eq!(lake.table.next_row_id(), 15, "deletes take no row ids");
    let plan = lake.plan(10).await;
    let tasks = plan["file-scan-tasks"].as_array().expect("tasks");
    let deletes = plan["delete-files"].as_array().expect("delete files");
    assert_eq!(paths(&plan), [VECTORS, VECTORS]);
    assert_eq!(tasks.len(), 2);
    for (path, first_row, offset) in [(DATA[0], 0, 4), (DATA[1], 10, 44)] {
        let task = tasks
            .iter()
            .find(|task| task["data-file"]["file-path"] == path)
            .expect("the file");
        assert_eq!(task["data-file"]["first-row-id"], first_row);
        let [Value::Number(place)] = task["delete-file-references"].as_array().expect("deletes").as_slice() else {
            panic!("{task}")
        };
        let delete = &deletes[place.as_u64().expect("a place") as usize];
        let expected = json!({"spec-id": 0, "content": "position-deletes", "file-path": VECTORS, "file-format": "puffin",
            "file-size-in-bytes": 100, "record-count": 2, "partition": [], "referenced-data-file": path,
            "content-offset": offset, "content-size-in-bytes": 40});
        assert_eq!(*delete, expected);
    }
    assert_eq!(lake.table.format_version(), FormatVersion::V3);
}
