//! `append-files`: many appends, one snapshot, nothing twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use serde_json::{Value, json};

use super::kit::{Kit, Reply, TABLE, TABLES};
use crate::raft::ConsensusError;
use crate::store::MetadataStore;
use tidewater_table::FileStore;

/// A catalog whose store can hold manifests.
pub(super) struct Lake {
    pub(super) kit: Kit,
    pub(super) files: FileStore,
    pub(super) location: String,
}

impl Lake {
    /// With table `a.t` of this format, partitioned by `day` where that is asked for.
    pub(super) async fn new(format: u8, partitioned: bool) -> Self {
        let files = FileStore::system();
        let store = Arc::new(files.clone()) as Arc<dyn MetadataStore>;
        let kit = Kit::at("memory:///lake", |options| options.store = store);
        let made = kit.post("/v1/namespaces", json!({"namespace": ["a"]})).await;
        assert_eq!(made.status, 200, "{}", made.body);
        let schema = json!({"type": "struct", "schema-id": 0, "fields": [
            {"id": 1, "name": "id", "type": "long", "required": true},
            {"id": 2, "name": "day", "type": "date", "required": false}]});
        let mut table = json!({"name": "t", "schema": schema, "properties": {"format-version": format.to_string()}});
        if partitioned {
            let field = json!({"source-id": 2, "field-id": 1000, "name": "day", "transform": "identity"});
            table["partition-spec"] = json!({"spec-id": 0, "fields": [field]});
        }
        let made = kit.post(TABLES, table).await;
        assert_eq!(made.status, 200, "{}", made.body);
        let metadata = &made.body["metadata"];
        assert_eq!(metadata["format-version"], format);
        let location = metadata["location"].as_str().expect("a location").to_owned();
        Self { kit, files, location }
    }

    /// Writes what stands for a data file and describes it.
    pub(super) async fn file(&self, name: &str) -> Value {
        let path = format!("{}/data/{name}.parquet", self.location);
        let bytes = Bytes::from_static(b"not read by the catalog");
        let size = bytes.len();
        self.files.put_new(&path, bytes).await.expect("written");
        json!({"content": "data", "file-path": path, "file-format": "parquet", "spec-id": 0, "partition": [],
            "file-size-in-bytes": size, "record-count": 10,
            "value-counts": {"keys": [1, 2], "values": [10, 10]},
            "null-value-counts": {"keys": [1, 2], "values": [0, 3]},
            "lower-bounds": {"keys": [1], "values": ["0100000000000000"]},
            "upper-bounds": {"keys": [1], "values": ["0a00000000000000"]}})
    }

    pub(super) async fn append(&self, producer: &str, (from, to): (u64, u64), files: &[Value]) -> Reply {
        let body = json!({"producer-id": producer, "range": {"from": from, "to": to}, "data-files": files});
        self.kit.post(&format!("{TABLE}/append-files"), body).await
    }

    pub(super) async fn metadata(&self) -> Value {
        self.kit.get(TABLE).await.body["metadata"].clone()
    }

    /// The files of the head as a scan tells them, by path, and how often each is told.
    pub(super) async fn scanned(&self) -> BTreeMap<String, Vec<Value>> {
        let planned = self
            .kit
            .post(&format!("{TABLE}/plan"), json!({"stats-fields": ["id"]}))
            .await;
        assert_eq!(planned.status, 200, "{}", planned.body);
        let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for task in planned.body["file-scan-tasks"].as_array().expect("tasks") {
            let file = &task["data-file"];
            let path = file["file-path"].as_str().expect("a path").to_owned();
            found.entry(path).or_default().push(file.clone());
        }
        found
    }
}

// Goal: an append is a snapshot with the file, its metrics and its totals, in every format. Method: two appends for each format, a load
// and a scan; format 3 gives row ids one after the other.
#[tokio::test]
async fn appends_in_every_format() {
    for format in 1..=3u8 {
        let lake = Lake::new(format, false).await;
        for number in 0..2u64 {
            let file = lake.file(&format!("f{number}")).await;
            let reply = lake.append("p", (number, number + 1), &[file]).await;
            assert_eq!(reply.status, 200, "format {format}: {}", reply.body);
            let sequence = if format == 1 { 0 } else { number + 1 };
            assert_eq!(reply.body["sequence-number"], sequence);
            let metadata = lake.metadata().await;
            assert_eq!(reply.body["snapshot-id"], metadata["current-snapshot-id"]);
            let head = metadata["snapshots"]
                .as_array()
                .and_then(|all| all.iter().find(|one| one["snapshot-id"] == reply.body["snapshot-id"]))
                .expect("the snapshot")
                .clone();
            let summary = &head["summary"];
            assert_eq!(
                (
                    &summary["operation"],
                    &summary["total-records"],
                    &summary["added-records"]
                ),
                (&json!("append"), &json!(format!("{}", 10 * (number + 1))), &json!("10"))
            );
            let ranges = format!(r#"{{"p":[[{number},{}]]}}"#, number + 1);
            assert_eq!(summary["tidewater.append-ranges"], ranges);
        }
        let scanned = lake.scanned().await;
        assert_eq!(scanned.len(), 2);
        for files in scanned.values() {
            assert_eq!(files.len(), 1);
            let bound = json!({"keys": [1], "values": ["0a00000000000000"]});
            assert_eq!(files[0]["upper-bounds"], bound, "format {format}: {}", files[0]);
        }
        if format == 3 {
            let mut ids: Vec<_> = scanned
                .values()
                .filter_map(|files| files[0]["first-row-id"].as_u64())
                .collect();
            ids.sort_unstable();
            assert_eq!(ids.len(), 2);
            assert_ne!(ids[0], ids[1]);
            assert_eq!(
                lake.metadata().await["next-row-id"].as_u64().map(|next| next >= 20),
                Some(true)
            );
        }
    }
}

// Goal: a repetition gets the first answer, an overlap is told where to go on. Method: ranges that were appended, that overlap, that lie
// beyond a gap and in it; the file of the repetition is gone by then.
#[tokio::test]
async fn ranges_are_appended_once() {
    let lake = Lake::new(2, false).await;
    let file = lake.file("a").await;
    let first = lake.append("p", (0, 10), std::slice::from_ref(&file)).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let path = file["file-path"].as_str().expect("a path");
    lake.files.delete(path).await.expect("deleted");
    let again = lake.append("p", (0, 10), &[file]).await;
    assert_eq!((again.status, again.body), (200, first.body.clone()));
    let next = lake.file("b").await;
    for range in [(0, 9), (5, 15), (9, 10), (0, 20)] {
        let refused = lake.append("p", range, std::slice::from_ref(&next)).await;
        assert_eq!(
            (refused.status, refused.kind()),
            (409, "AppendOverlapException"),
            "{range:?}"
        );
        let error = &refused.body["error"];
        assert_eq!(error["error-code"], "CAT-0060");
        assert_eq!(error["last-range"], json!({"from": 0, "to": 10}));
    }
    let beyond = lake.append("p", (20, 30), &[next]).await;
    assert_eq!(beyond.status, 200, "{}", beyond.body);
    let within = lake.append("p", (10, 20), &[lake.file("c").await]).await;
    assert_eq!(within.status, 200, "{}", within.body);
    let other = lake.append("q", (0, 10), &[lake.file("d").await]).await;
    assert_eq!(other.status, 200, "{}", other.body);
    assert_eq!(lake.scanned().await.len(), 4);
}

// Goal: what comes while a snapshot is made goes into the next one; nothing is lost, nothing doubled, and who asks twice at the same
// time hears the same. Method: sixty producers at once, each of them twice.
#[tokio::test]
async fn many_appends_make_few_snapshots() {
    let lake = Lake::new(2, false).await;
    let mut files = Vec::new();
    for number in 0..60u64 {
        files.push(lake.file(&format!("f{number}")).await);
    }
    let calls = files.iter().enumerate().flat_map(|(number, file)| {
        let producer = format!("p{}", number % 7);
        let from = number as u64;
        let lake = &lake;
        (0..2).map(move |_| {
            let (producer, file) = (producer.clone(), file.clone());
            async move { lake.append(&producer, (from, from + 1), &[file]).await }
        })
    });
    let replies = join_all(calls).await;
    for pair in replies.chunks(2) {
        assert_eq!(pair[0].status, 200, "{}", pair[0].body);
        assert_eq!(pair[0].body, pair[1].body);
    }
    let scanned = lake.scanned().await;
    assert_eq!(scanned.len(), 60);
    assert!(scanned.values().all(|files| files.len() == 1));
    let snapshots = lake.metadata().await["snapshots"].as_array().map_or(0, Vec::len);
    assert!((1..20).contains(&snapshots), "{snapshots} snapshots");
}

// Goal: a file that cannot join the table is refused by name and alone. Method: a table of what can be wrong, each sent together with a
// good append, which lands.
#[tokio::test]
async fn wrong_files_are_refused_alone() {
    let lake = Lake::new(2, true).await;
    let mut good = lake.file("model").await;
    good["partition"] = json!(["2026-01-01"]);
    let with = |name: &str, value: Value| {
        let mut file = good.clone();
        file[name] = value;
        file
    };
    let bounds = |value: &str| json!({"keys": [1], "values": [value]});
    let cases = [
        (
            with("file-path", json!("memory:///lake/elsewhere/x.parquet")),
            "location",
        ),
        (
            with("file-path", json!(format!("{}/data/gone.parquet", lake.location))),
            "not there",
        ),
        (with("file-size-in-bytes", json!(5)), "bytes and not 5"),
        (with("record-count", json!(0)), "no rows"),
        (with("file-format", json!("csv")), "parquet"),
        (with("content", json!("equality-deletes")), "data files"),
        (with("spec-id", json!(7)), "partition spec 7"),
        (with("partition", json!([])), "0 values"),
        (with("partition", json!([{"a": 1}])), "partition value"),
        (with("partition", json!(["no day"])), "partition value"),
        (with("value-counts", Value::Null), "value-counts"),
        (
            with("value-counts", json!({"keys": [1], "values": []})),
            "1 keys and 0 values",
        ),
        (with("value-counts", json!({"keys": [9], "values": [1]})), "column 9"),
        (with("lower-bounds", bounds("01")), "lower-bounds"),
        (with("lower-bounds", bounds("xx")), "hexadecimal"),
        (with("key-metadata", json!("00")), "encrypted"),
        (with("first-row-id", json!(3)), "row ids"),
        (with("sort-order-id", json!(3)), "sort order 3"),
    ];
    let count = cases.len();
    for (number, (bad, words)) in cases.into_iter().enumerate() {
        let mut other = lake.file(&format!("good{number}")).await;
        other["partition"] = json!([null]);
        let range = (number as u64, number as u64 + 1);
        let (bad, other) = ([bad], [other]);
        let (refused, landed) = tokio::join!(lake.append("bad", range, &bad), lake.append("good", range, &other));
        assert_eq!(
            (refused.status, refused.body["error"]["error-code"].as_str()),
            (400, Some("CAT-0061")),
            "{words}: {}",
            refused.body
        );
        assert!(refused.message().contains(words), "{words}: {}", refused.message());
        assert_eq!(landed.status, 200, "{words}: {}", landed.body);
    }
    let twice = lake.append("bad", (0, 1), &[good.clone(), good.clone()]).await;
    assert_eq!(twice.status, 400, "{}", twice.body);
    assert_eq!(lake.scanned().await.len(), count);
    // What was refused has not used up its range.
    assert_eq!(lake.append("bad", (0, 1), &[good]).await.status, 200);
}

// Goal: requests that make no sense are refused and say why. Method: a table of bodies.
#[tokio::test]
async fn wrong_requests_are_refused() {
    let lake = Lake::new(2, false).await;
    let file = lake.file("a").await;
    let body = json!({"producer-id": "p", "range": {"from": 0, "to": 1}, "data-files": [file]});
    let with = |name: &str, value: Value| {
        let mut body = body.clone();
        body[name] = value;
        body
    };
    for (bad, status) in [
        (with("producer-id", json!("")), 400),
        (with("producer-id", json!("x".repeat(300))), 400),
        (with("range", json!({"from": 1, "to": 1})), 400),
        (with("range", json!({"from": -1, "to": 1})), 400),
        (with("data-files", json!([])), 400),
        (with("summary", json!({"total-records": "7"})), 400),
        (with("summary", json!({"job-id": "7"})), 400),
        (with("summary", json!({"x": "y".repeat(2_000)})), 413),
    ] {
        let refused = lake.kit.post(&format!("{TABLE}/append-files"), bad.clone()).await;
        assert_eq!(refused.status, status, "{bad}: {}", refused.body);
    }
    let nowhere = lake
        .kit
        .post("/v1/namespaces/a/tables/no/append-files", body.clone())
        .await;
    assert_eq!((nowhere.status, nowhere.kind()), (404, "NoSuchTableException"));
    let said = lake
        .kit
        .post(
            &format!("{TABLE}/append-files"),
            with("summary", json!({"source": "ward"})),
        )
        .await;
    assert_eq!(said.status, 200, "{}", said.body);
    assert_eq!(lake.metadata().await["snapshots"][0]["summary"]["source"], "ward");
}

// Goal: what contradicts is not said in one snapshot. Method: two appends at once that give one summary entry two values.
#[tokio::test]
async fn summaries_do_not_mix() {
    let lake = Lake::new(2, false).await;
    let send = async |number: u64| {
        let file = lake.file(&format!("f{number}")).await;
        let body = json!({"producer-id": "p", "range": {"from": number, "to": number + 1}, "data-files": [file],
            "summary": {"batch": number.to_string()}});
        lake.kit.post(&format!("{TABLE}/append-files"), body).await
    };
    for reply in join_all((0..6).map(send)).await {
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    let metadata = lake.metadata().await;
    let snapshots = metadata["snapshots"].as_array().expect("snapshots");
    assert_eq!(snapshots.len(), 6);
}

// Goal: an append whose answer is lost is found again by its range, and not done twice; one that was not taken leaves no files.
// Method: the log loses an answer and refuses a write; the producer repeats.
#[tokio::test]
async fn a_lost_answer_is_no_second_append() {
    let lake = Lake::new(2, false).await;
    let count = async || {
        let files = lake.files.list("memory:///lake").await.expect("a list");
        files.len()
    };
    let file = lake.file("a").await;
    let before = count().await;
    lake.kit.consensus.fail_next_write(ConsensusError::Stopped);
    let refused = lake.append("p", (0, 1), std::slice::from_ref(&file)).await;
    assert_ne!(refused.status, 200);
    assert_eq!(count().await, before, "files of the attempt are gone");
    lake.kit.consensus.fail_next_write(ConsensusError::OutcomeUnknown {
        reason: "a test".into(),
    });
    let lost = lake.append("p", (0, 1), std::slice::from_ref(&file)).await;
    assert_eq!((lost.status, lost.kind()), (500, "CommitStateUnknownException"));
    let found = lake.append("p", (0, 1), &[file]).await;
    assert_eq!(found.status, 200, "{}", found.body);
    assert_eq!(found.body["snapshot-id"], lake.metadata().await["current-snapshot-id"]);
    assert_eq!(lake.metadata().await["snapshots"].as_array().map(Vec::len), Some(1));
}

// Goal: snapshots made of appends do not pile up, those of others stay. Method: a property that keeps two, an ordinary snapshot first.
#[tokio::test]
async fn old_snapshots_of_appends_go() {
    let lake = Lake::new(2, false).await;
    let keep = super::kit::set("tidewater.append.keep-snapshots", "2");
    assert_eq!(lake.kit.update(keep).await.status, 200);
    let first = lake.append("p", (0, 1), &[lake.file("first").await]).await;
    assert_eq!(first.status, 200);
    for number in 1..12u64 {
        let file = lake.file(&format!("f{number}")).await;
        assert_eq!(lake.append("p", (number, number + 1), &[file]).await.status, 200);
    }
    let metadata = lake.metadata().await;
    let left = metadata["snapshots"].as_array().map_or(0, Vec::len);
    assert!((2..=4).contains(&left), "{left} snapshots");
    assert_eq!(lake.scanned().await.len(), 12);
}
