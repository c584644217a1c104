//! Commits that only append and lost their race.

use futures::future::join_all;
use iceberg::spec::{Manifest, TableMetadata};
use serde_json::{Value, json};

use super::append::Lake;
use super::kit::{TABLE, request, set};
use crate::append::DataFileJson;
use tidewater_table::reachable::manifests_of;
use tidewater_table::schema::LostDefaults;
use tidewater_table::{Added, Change, CommitOptions, LoadedTable, PlannedCommit, Tail, plan_commit};

impl Lake {
    async fn loaded(&self) -> LoadedTable {
        let answer = self.kit.get(TABLE).await.body;
        let metadata: TableMetadata = serde_json::from_value(answer["metadata"].clone()).expect("metadata");
        LoadedTable {
            name: "a.t".parse().expect("a name"),
            metadata: metadata.into(),
            metadata_location: answer["metadata-location"].as_str().expect("a location").into(),
            lost_defaults: LostDefaults::default(),
        }
    }

    async fn added(&self, table: &LoadedTable, name: &str) -> Added {
        let file: DataFileJson = serde_json::from_value(self.file(name).await).expect("a file");
        file.into_added(&table.metadata).expect("it fits").0
    }

    /// Plans an append as a client does that looks at the table once.
    async fn planned(&self, table: &LoadedTable, name: &str, tail: Tail) -> PlannedCommit {
        let change = Change::append(vec![self.added(table, name).await]);
        let options = CommitOptions {
            tail,
            ..CommitOptions::default()
        };
        plan_commit(&self.files, table, &change, &options)
            .await
            .expect("planned")
    }

    /// Every file of the head has the sequence number of the snapshot that brought it, wherever its entry stands by now.
    async fn check_numbers(&self) {
        let table = self.loaded().await.metadata;
        let head = table.current_snapshot().expect("a head");
        let mut entries = 0;
        for manifest in manifests_of(&self.files, &table, head).await.expect("a list") {
            let bytes = self.files.get(&manifest.manifest_path).await.expect("a manifest");
            for entry in Manifest::parse_avro(&bytes).expect("a manifest").entries() {
                let id = entry.snapshot_id().unwrap_or(manifest.added_snapshot_id);
                let brought = table.snapshot_by_id(id).expect("kept").sequence_number();
                assert_eq!(entry.sequence_number().unwrap_or(manifest.sequence_number), brought);
                entries += 1;
            }
        }
        assert!(entries > 0);
    }

    async fn gone(&self, location: &str) -> bool {
        self.files.size(location).await.is_err()
    }
}

fn body(plan: &PlannedCommit) -> Value {
    json!({"requirements": plan.commit.requirements, "updates": plan.commit.updates})
}

fn list_of(plan: &PlannedCommit) -> &str {
    let mut lists = plan.written.iter().filter(|file| file.contains("/snap-"));
    lists.next().expect("a list")
}

fn snapshot(metadata: &Value, id: i64) -> &Value {
    let snapshots = metadata["snapshots"].as_array().expect("snapshots");
    snapshots
        .iter()
        .find(|one| one["snapshot-id"] == id)
        .expect("the snapshot")
}

// Goal: an append that was planned on an older head lands on the new one as if its writer had planned again: under its own id, behind
// the new head, with right totals, numbers and row ids; nothing is left of its list. Method: three appends that were planned on one
// head, for each format and for a table with and without snapshots, alone and in a transaction.
#[tokio::test]
async fn lost_appends_land_on_the_new_head() {
    for (format, begun) in [(1, true), (2, false), (2, true), (3, false), (3, true)] {
        let lake = Lake::new(format, false).await;
        if begun {
            let first = lake.append("p", (0, 1), &[lake.file("first").await]).await;
            assert_eq!(first.status, 200, "{}", first.body);
        }
        let table = lake.loaded().await;
        let mut plans = Vec::new();
        for name in ["a", "b", "c"] {
            plans.push(lake.planned(&table, name, Tail::Keep).await);
        }
        let mut before = table.metadata.current_snapshot_id();
        for (number, plan) in plans.iter().enumerate() {
            let alone = number < 2;
            let reply = match alone {
                true => lake.kit.post(TABLE, body(plan)).await,
                false => {
                    let mut change = body(plan);
                    change["identifier"] = json!({"namespace": ["a"], "name": "t"});
                    let all = json!({"table-changes": [change]});
                    lake.kit.post("/v1/transactions/commit", all).await
                }
            };
            let case = format!("format {format}, begun {begun}, append {number}");
            assert_eq!(reply.status, if alone { 200 } else { 204 }, "{case}: {}", reply.body);
            let metadata = lake.metadata().await;
            assert_eq!(metadata["current-snapshot-id"], plan.snapshot_id, "{case}");
            let made = snapshot(&metadata, plan.snapshot_id);
            assert_eq!(made["parent-snapshot-id"].as_i64(), before, "{case}");
            before = Some(plan.snapshot_id);
            let count = number + 1 + usize::from(begun);
            let (files, records) = (count.to_string(), (10 * count).to_string());
            assert_eq!(made["summary"]["total-data-files"], files, "{case}");
            assert_eq!(made["summary"]["total-records"], records, "{case}");
            let list = made["manifest-list"].as_str().expect("a list");
            assert_eq!(list == list_of(plan), number == 0, "{case}");
        }
        let scanned = lake.scanned().await;
        assert_eq!(scanned.len(), 3 + usize::from(begun), "format {format}");
        assert!(scanned.values().all(|files| files.len() == 1));
        if format == 3 {
            let mut ids: Vec<_> = scanned
                .values()
                .map(|files| files[0]["first-row-id"].as_u64())
                .collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!((ids.len(), ids[0]), (scanned.len(), Some(0)), "{ids:?}");
        }
        // Deleted beside the answer.
        for plan in &plans[1..] {
            while !lake.gone(list_of(plan)).await {
                tokio::task::yield_now().await;
            }
        }
        // What goes on from there is right as well: a fold that takes the rebased manifests in.
        let next = lake.append("p", (1, 2), &[lake.file("next").await]).await;
        assert_eq!(next.status, 200, "{}", next.body);
        assert_eq!(lake.scanned().await.len(), 4 + usize::from(begun));
        lake.check_numbers().await;
    }
}

// Goal: whatever is no mere append, or must not be rebased, is refused as before, and leaves nothing of an attempt. Method: a table of
// lost commits.
#[tokio::test]
async fn other_lost_commits_are_refused() {
    let lake = Lake::new(2, false).await;
    let first = lake.append("p", (0, 1), &[lake.file("first").await]).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let table = lake.loaded().await;
    let rewrites = lake.planned(&table, "a", Tail::Roll(100)).await;
    let plain = lake.planned(&table, "b", Tail::Keep).await;
    let overwrite = Change::overwrite([], vec![lake.added(&table, "c").await]);
    let options = CommitOptions {
        tail: Tail::Keep,
        ..CommitOptions::default()
    };
    let overwrite = plan_commit(&lake.files, &table, &overwrite, &options)
        .await
        .expect("planned");
    assert_eq!(lake.append("p", (1, 2), &[lake.file("second").await]).await.status, 200);
    let with = |name: &str, more: Value| {
        let mut body = body(&plain);
        body[name].as_array_mut().expect("a list").push(more);
        body
    };
    let mut elsewhere = body(&plain);
    elsewhere["updates"][0]["snapshot"]["manifest-list"] = json!("memory:///secret/snap-1.avro");
    let mut gone = body(&plain);
    gone["updates"][0]["snapshot"]["manifest-list"] = json!(format!("{}/metadata/snap-gone.avro", lake.location));
    // What was picked or published, and what a log is read to, is looked for by its writer before it is sent again.
    let there = table.metadata.current_snapshot_id().expect("a head").to_string();
    let saying = |key: &str| {
        let mut body = body(&plain);
        body["updates"][0]["snapshot"]["summary"][key] = json!(there);
        body
    };
    let mut orphan = body(&plain);
    orphan["updates"][0]["snapshot"]["parent-snapshot-id"] = json!(77);
    let files = lake.files.list("memory:///lake").await.expect("a list").len();
    for (name, body) in [
        ("manifests rewritten", body(&rewrites)),
        ("an overwrite", body(&overwrite)),
        (
            "another requirement",
            with(
                "requirements",
                json!({"type": "assert-current-schema-id", "current-schema-id": 9}),
            ),
        ),
        (
            "a tag as well",
            with("updates", json!({"action": "remove-snapshot-ref", "ref-name": "x"})),
        ),
        ("a list elsewhere", elsewhere),
        ("a list that is gone", gone),
        ("another parent", orphan),
        ("rows of another snapshot", saying("source-snapshot-id")),
        ("rows of a staged one", saying("published-wap-id")),
        ("rows of a log", saying("kafka.connect.offsets.control.sink")),
    ] {
        let refused = lake.kit.post(TABLE, body).await;
        assert_eq!(
            (refused.status, refused.kind()),
            (409, "CommitFailedException"),
            "{name}"
        );
    }
    let mut asked = request("POST", TABLE, Some(body(&plain)), None);
    let no = "false".parse().expect("a header");
    asked.headers_mut().insert("x-tidewater-rebase-appends", no);
    assert_eq!(lake.kit.send(asked).await.status, 409);
    let off = lake.kit.update(set("tidewater.commit.rebase-appends", "false")).await;
    assert_eq!(off.status, 200);
    assert_eq!(lake.kit.post(TABLE, body(&plain)).await.status, 409);
    let on = lake.kit.update(set("tidewater.commit.rebase-appends", "true")).await;
    assert_eq!(on.status, 200);
    // Each commit of properties wrote one metadata file.
    assert_eq!(
        lake.files.list("memory:///lake").await.expect("a list").len(),
        files + 2
    );
    // A branch that was set back is not what the writer saw.
    let third = lake.planned(&lake.loaded().await, "d", Tail::Keep).await;
    let base = table.metadata.current_snapshot_id();
    let back = json!([{"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": base}]);
    assert_eq!(lake.kit.update(back).await.status, 200);
    assert_eq!(lake.kit.post(TABLE, body(&third)).await.status, 409);
    // And the one that all this was done with lands in the end.
    assert_eq!(lake.append("p", (2, 3), &[lake.file("third").await]).await.status, 200);
    assert_eq!(lake.kit.post(TABLE, body(&plain)).await.status, 200);
}

// Goal: a compaction goes through as every commit does, and is not rebased. Method: a replacement on the head, and one on the head before.
#[tokio::test]
async fn compactions_are_not_rebased() {
    let lake = Lake::new(2, false).await;
    let old = lake.file("old").await;
    assert_eq!(lake.append("p", (0, 1), std::slice::from_ref(&old)).await.status, 200);
    let table = lake.loaded().await;
    let options = CommitOptions::default();
    let mut plans = Vec::new();
    for name in ["new", "newer"] {
        let path = old["file-path"].as_str().expect("a path").to_owned();
        let change = Change::replace([path], vec![lake.added(&table, name).await]);
        let change = change.read_at(table.metadata.current_snapshot_id());
        plans.push(
            plan_commit(&lake.files, &table, &change, &options)
                .await
                .expect("planned"),
        );
    }
    assert_eq!(lake.kit.post(TABLE, body(&plans[0])).await.status, 200);
    assert_eq!(lake.kit.post(TABLE, body(&plans[1])).await.status, 409);
    let scanned = lake.scanned().await;
    assert!(
        scanned.len() == 1 && scanned.keys().all(|path| path.ends_with("/new.parquet")),
        "{scanned:?}"
    );
}

// Goal: writers that know nothing of each other lose and double nothing, and plan once. Method: eight that append to one table at the
// same time, each on whatever head it sees.
#[tokio::test]
async fn eight_appenders_plan_once() {
    let lake = Lake::new(2, false).await;
    let append = async |writer: usize| {
        let (mut refused, mut rebased) = (0, 0);
        for number in 0..6 {
            let name = format!("w{writer}-{number}");
            let mut plan = lake.planned(&lake.loaded().await, &name, Tail::Keep).await;
            let made = loop {
                let reply = lake.kit.post(TABLE, body(&plan)).await;
                if reply.status == 200 {
                    break reply.body["metadata"].clone();
                }
                refused += 1;
                plan = lake
                    .planned(&lake.loaded().await, &format!("{name}-{refused}"), Tail::Keep)
                    .await;
            };
            rebased += usize::from(snapshot(&made, plan.snapshot_id)["manifest-list"] != list_of(&plan));
        }
        (refused, rebased)
    };
    let (refused, rebased): (Vec<usize>, Vec<usize>) = join_all((0..8).map(append)).await.into_iter().unzip();
    assert_eq!(refused.iter().sum::<usize>(), 0);
    assert!(rebased.iter().sum::<usize>() > 0, "nobody lost a race");
    let scanned = lake.scanned().await;
    assert_eq!(scanned.len(), 48);
    assert!(scanned.values().all(|files| files.len() == 1));
    let head = lake.loaded().await;
    let summary = head.metadata.current_snapshot().expect("a head").summary().clone();
    assert_eq!(summary.additional_properties["total-records"], "480");
}
