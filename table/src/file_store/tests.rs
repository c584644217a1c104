use super::*;

fn store(roots: Vec<String>) -> FileStore {
    let options = StoreOptions {
        roots,
        ..StoreOptions::default()
    };
    FileStore::new(options, SystemClock::shared(), SystemRng::shared())
}

async fn round_trip(store: &FileStore, base: &str) {
    let location = format!("{base}/deep/er/a b%20c.bin");
    store.put_new(&location, Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!(store.get(&location).await.unwrap(), Bytes::from_static(b"hello"));
    assert_eq!(
        store.get_range(&location, 1..3).await.unwrap(),
        Bytes::from_static(b"el")
    );
    assert_eq!(store.size(&location).await.unwrap(), 5);
    assert!(store.exists(&location).await.unwrap());
    let again = store.put_new(&location, Bytes::from_static(b"other")).await;
    assert!(matches!(again, Err(TableError::FileExists { .. })), "{again:?}");
    assert_eq!(store.get(&location).await.unwrap(), Bytes::from_static(b"hello"));
    let listed = store.list(base).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        store.get(&listed.first().unwrap().location).await.unwrap(),
        Bytes::from_static(b"hello")
    );
    store.delete(&location).await.unwrap();
    store.delete(&location).await.unwrap();
    assert!(!store.exists(&location).await.unwrap());
    assert!(matches!(
        store.get(&location).await,
        Err(TableError::FileNotFound { .. })
    ));
    assert!(store.list(base).await.unwrap().is_empty());
}

// Goal: local files and files in memory behave alike and never overwrite. Method: one walk through all calls on each.
#[tokio::test]
async fn files_round_trip() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(Vec::new());
    round_trip(&store, &format!("file://{}/x", directory.path().display())).await;
    round_trip(&store, &format!("{}/y", directory.path().display())).await;
    round_trip(&store, "memory://z").await;
}

// Goal: nothing but the final file is left on disk. Method: list the directory with the file system itself.
#[tokio::test]
async fn no_temporary_file_stays() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(Vec::new());
    let location = format!("{}/only", directory.path().display());
    store.put_new(&location, Bytes::from_static(b"1")).await.unwrap();
    store.put_new(&location, Bytes::from_static(b"2")).await.unwrap_err();
    let names: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["only"]);
}

// Goal: of many writers of one name, one wins and its bytes are whole. Method: 16 concurrent puts.
#[tokio::test]
async fn one_writer_wins() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(Vec::new());
    let location = format!("{}/raced", directory.path().display());
    let puts = (0u8..16).map(|n| store.put_new(&location, Bytes::from(vec![n; 4096])));
    let won: Vec<usize> = futures::future::join_all(puts)
        .await
        .iter()
        .enumerate()
        .filter(|(_, r)| r.is_ok())
        .map(|(n, _)| n)
        .collect();
    assert_eq!(won.len(), 1);
    let bytes = store.get(&location).await.unwrap();
    assert!(bytes.len() == 4096 && bytes.iter().all(|b| usize::from(*b) == won[0]));
}

// Goal: no location leaves its root. Method: hostile locations, each must be refused.
#[tokio::test]
async fn hostile_locations_are_refused() {
    let store = store(vec!["file:///lake".into(), "s3://bucket/lake/".into()]);
    for location in [
        "",
        "relative",
        "file://host/lake/x",
        "ftp://lake/x",
        "file:///lake/../etc/passwd",
        "file:///lakeside/x",
        "/etc/passwd",
        "s3:///key",
        "s3://other/lake/x",
        "s3://bucket/lakeside/x",
        "s3://bucket/lake/a/./b",
        "memory://lake/x",
        "file:///lake/a\u{0}b",
    ] {
        let outcome = store.object_store(location);
        assert!(
            matches!(outcome, Err(TableError::Location { .. })),
            "{location}: {outcome:?}"
        );
        let placed = store.place(location);
        assert!(
            matches!(placed, Err(TableError::Location { .. })),
            "{location}: {placed:?}"
        );
    }
    assert!(store.object_store("/lake/x").is_ok());
}

// Goal: a file is said to be where it is read from. Method: locations of each store, against the store that they are read from.
#[tokio::test]
async fn places_are_those_that_are_read() {
    let store = store(Vec::new());
    for location in [
        "/lake/ä b/x.parquet",
        "file:///lake/x.parquet",
        "memory://lake/k=1/x.parquet",
    ] {
        let (root, _, path) = store.object_store(location).unwrap();
        let (base, placed) = store.place(location).unwrap();
        assert_eq!((&*base, placed), (root.as_str(), path), "{location}");
    }
    let (base, placed) = store.place("s3a://bucket/lake/x.parquet").unwrap();
    assert_eq!((&*base, placed.as_ref()), ("s3://bucket", "lake/x.parquet"));
}

// Goal: S3 behaves like the other stores. Method: the same walk against a server named by the environment.
#[tokio::test]
#[ignore = "needs an S3 server: TIDEWATER_TEST_S3_ENDPOINT, TIDEWATER_TEST_S3_BUCKET"]
async fn s3_round_trips() {
    let store = in_s3(None);
    let bucket = std::env::var("TIDEWATER_TEST_S3_BUCKET").unwrap();
    let base = format!("s3://{bucket}/{}", store.rng().uuid());
    // The same bytes again are the retry of an upload that had arrived; others are not.
    store
        .put_new(&format!("{base}/retried"), Bytes::from_static(b"x"))
        .await
        .unwrap();
    store
        .put_new(&format!("{base}/retried"), Bytes::from_static(b"x"))
        .await
        .unwrap();
    store.delete(&format!("{base}/retried")).await.unwrap();
    round_trip(&store, &base).await;
    let (root, _, path) = store.object_store(&format!("{base}/a/b")).unwrap();
    assert_eq!(root.as_str(), format!("s3://{bucket}"));
    assert!(path.as_ref().ends_with("a/b"));
}

fn in_s3(disk_cache: Option<DiskCacheOptions>) -> FileStore {
    let options = StoreOptions {
        s3: S3Options {
            endpoint: Some(std::env::var("TIDEWATER_TEST_S3_ENDPOINT").unwrap()),
            region: Some("us-east-1".into()),
            access_key_id: Some("test".into()),
            secret_access_key: Some("test".into()),
            allow_http: true,
            ..S3Options::default()
        },
        disk_cache,
        ..StoreOptions::default()
    };
    FileStore::new(options, SystemClock::shared(), SystemRng::shared())
}

// Goal: what S3 really tells of sizes, tags and ends of ranges is what the cache on the disk goes by. Method: parts of a file of some
// blocks through a cache, two times, against a server named by the environment; the figures tell who was asked.
#[tokio::test]
#[ignore = "needs an S3 server: TIDEWATER_TEST_S3_ENDPOINT, TIDEWATER_TEST_S3_BUCKET"]
async fn s3_is_read_through_the_disk_cache() {
    let directory = tempfile::tempdir().unwrap();
    let store = in_s3(Some(DiskCacheOptions {
        directory: directory.path().to_owned(),
        bytes_max: 64 << 20,
    }));
    let bucket = std::env::var("TIDEWATER_TEST_S3_BUCKET").unwrap();
    let location = format!("s3://{bucket}/{}.parquet", store.rng().uuid());
    let whole: Bytes = (0..(10 << 20) + 5_u32).map(|at| (at % 251) as u8).collect();
    let length = whole.len() as u64;
    store.put_new(&location, whole.clone()).await.unwrap();
    let ranges = [
        100..200,
        (1 << 20) - 7..(3 << 20) + 7,
        0..length,
        length - 1..length + 100,
    ];
    let figures = || store.disk_cache_figures().unwrap();
    for round in 1..=2 {
        for range in ranges.clone() {
            let found = store.get_range(&location, range.clone()).await.unwrap();
            let end = range.end.min(length) as usize;
            assert_eq!(found, whole[range.start as usize..end], "round {round}: {range:?}");
        }
        let written = async {
            while figures().held_blocks < 11 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), written).await.unwrap();
        assert_eq!((figures().misses, figures().errors, figures().unkept), (11, 0, 0));
    }
    assert!(figures().hits > 1 + 4 + 11, "{:?}", figures());
    store.delete(&location).await.unwrap();
    assert_eq!(figures().held_blocks, 0);
    let gone = store.get_range(&location, 0..10).await;
    assert!(matches!(gone, Err(TableError::FileNotFound { .. })), "{gone:?}");
}
