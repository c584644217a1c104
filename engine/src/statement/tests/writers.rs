use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use tidewater_core::{Coded, ErrorKind, Rng, SeededRng};
use tokio::sync::Mutex;

use super::{done, lake, rows, tried};
use crate::testing::Lake;

const WRITERS: u64 = 6;
const STATEMENTS: u64 = 15;
const KEYS: u64 = 12;

/// What each writer was told that it did: added to a key, or brought one in.
#[derive(Debug, Default)]
struct Told {
    added: BTreeMap<u64, i64>,
    inserted: u64,
    conflicts: u64,
}

async fn write(lake: Arc<Lake>, writer: u64, mode: &str, told: Arc<Mutex<Told>>) {
    let rng = SeededRng::new(writer + 100 * mode.len() as u64);
    for step in 0..STATEMENTS {
        let key = rng.below(KEYS);
        let sql = match rng.below(6) {
            0 => "CALL system.rewrite_data_files(table => 's.t', options => map('min-input-files', '2'))".to_owned(),
            1 => format!("INSERT INTO s.t VALUES ({}, 0)", 1_000 + writer * 1_000 + step),
            2 => format!(
                "MERGE INTO s.t USING (SELECT {key} AS id) AS c ON t.id = c.id WHEN MATCHED THEN UPDATE SET n = t.n + 1 \
                 WHEN NOT MATCHED THEN INSERT (id, n) VALUES (c.id, 1)"
            ),
            _ => format!("UPDATE s.t SET n = n + 1 WHERE id = {key}"),
        };
        match tried(&lake, &sql).await {
            Ok(_) => {
                let mut told = told.lock().await;
                if sql.starts_with("INSERT") {
                    told.inserted += 1;
                } else if !sql.starts_with("CALL") {
                    *told.added.entry(key).or_default() += 1;
                }
            }
            // Nothing happened then, and the writer was told.
            Err(error) if error.kind() == ErrorKind::Conflict => told.lock().await.conflicts += 1,
            Err(error) => panic!("{sql}: {error:?}"),
        }
    }
}

// Goal: of writers that meet, none loses what it was told it did (R11). Method: six of them add to the same few rows, insert rows of
// their own and merge files, over snapshots that readers count meanwhile; at the end each row's number is the count of what was told.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(clippy::disallowed_methods, reason = "writers at work at the same time")]
async fn no_writer_loses_to_another() {
    for mode in ["copy-on-write", "merge-on-read"] {
        let lake = Arc::new(lake().await);
        let properties = format!(
            "'write.update.mode' = '{mode}', 'write.merge.mode' = '{mode}', 'write.update.isolation-level' = 'snapshot'"
        );
        done(
            &lake,
            &format!("CREATE TABLE s.t (id int NOT NULL, n int NOT NULL) TBLPROPERTIES ({properties})"),
        )
        .await;
        let keys: Vec<String> = (0..KEYS).map(|key| format!("({key}, 0)")).collect();
        rows(&lake, &format!("INSERT INTO s.t VALUES {}", keys.join(", "))).await;
        let told = Arc::new(Mutex::new(Told::default()));
        let writers = (0..WRITERS).map(|writer| {
            let (lake, told, mode) = (lake.clone(), told.clone(), mode.to_owned());
            tokio::spawn(async move { write(lake, writer, &mode, told).await })
        });
        let reader = {
            let lake = lake.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    let keys = format!("SELECT count(*), count(DISTINCT id) FROM s.t WHERE id < {KEYS}");
                    assert_eq!(
                        lake.lines(&keys).await,
                        [format!("{KEYS},{KEYS}")],
                        "a reader saw half a commit"
                    );
                }
            })
        };
        for ended in join_all(writers).await {
            ended.expect("a writer");
        }
        reader.await.expect("the reader");
        let told = told.lock().await;
        assert!(
            told.added.values().sum::<i64>() > 20,
            "the writers hardly met: {told:?}"
        );
        let mut wanted: Vec<String> = (0..KEYS)
            .map(|key| format!("{key},{}", told.added.get(&key).copied().unwrap_or_default()))
            .collect();
        wanted.sort();
        assert_eq!(
            lake.lines(&format!("SELECT id, n FROM s.t WHERE id < {KEYS}")).await,
            wanted,
            "{mode}"
        );
        assert_eq!(
            lake.lines("SELECT count(*) FROM s.t WHERE id >= 1000").await,
            [told.inserted.to_string()],
            "{mode}"
        );
        eprintln!(
            "{mode}: {} statements done, {} refused",
            told.added.values().sum::<i64>() + told.inserted as i64,
            told.conflicts
        );
    }
}
