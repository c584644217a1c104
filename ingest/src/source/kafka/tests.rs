use futures::FutureExt;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;
use crate::testing::ModelLog;
use crate::{Ingest, IngestOptions, SourceConfig};
use tidewater_core::{SeededRng, SystemClock, Tasks};
use tidewater_table::{FileStore, StoreOptions};

/// Longest any of these tests waits for what must come.
const DEADLINE: Duration = Duration::from_secs(30);

const BOUNDS: PollBounds = PollBounds {
    bytes: 1 << 20,
    records: 1_000,
    wait: Duration::from_millis(100),
};

fn produce(brokers: &str, topic: &str, partition: i32, count: usize) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()
        .expect("a producer");
    for at in 0..count {
        let key = format!("k{at}");
        let mut record = BaseRecord::to(topic)
            .key(&key)
            .partition(partition)
            .headers(OwnedHeaders::new().insert(Header {
                key: "h",
                value: Some("v"),
            }));
        // The last one is a tombstone.
        if at + 1 < count {
            record = record.payload("{}");
        }
        producer.send(record).expect("room in the queue");
    }
    producer.flush(DEADLINE).expect("a broker");
}

fn source(brokers: &str) -> KafkaSource {
    let options = KafkaOptions {
        brokers: brokers.into(),
        topics: vec![r"db\..*".into()],
        settings: BTreeMap::new(),
    };
    KafkaSource::new(&options, SystemClock::shared()).expect("sound settings")
}

// Goal: records of the topics that match arrive as they were sent, from the offsets asked for. Method: a mock broker.
#[tokio::test]
async fn records_arrive() {
    let cluster = MockCluster::new(1).expect("a mock broker");
    cluster.create_topic("db.users", 2, 1).expect("a topic");
    cluster.create_topic("other", 1, 1).expect("a topic");
    produce(&cluster.bootstrap_servers(), "db.users", 0, 5);
    produce(&cluster.bootstrap_servers(), "db.users", 1, 3);
    produce(&cluster.bootstrap_servers(), "other", 0, 1);
    let mut source = source(&cluster.bootstrap_servers());
    assert!(source.topics().is_none() && source.reach().includes("db.x"));
    let found = source.partitions().await.expect("a broker");
    assert_eq!(source.topics(), Some(["db.users".to_owned()].into()));
    let bounds: Vec<_> = found
        .iter()
        .map(|found| (&*found.partition.topic, found.low, found.high))
        .collect();
    assert_eq!(bounds, [("db.users", 0, 5), ("db.users", 0, 3)]);
    let positions: Vec<_> = found
        .iter()
        .zip([2, 0])
        .map(|(found, at)| (found.partition.clone(), at))
        .collect();
    source.assign(&positions).await.expect("assigned");
    let clock = SystemClock::shared();
    let (mut records, mut standing) = (Vec::new(), Vec::new());
    while records.len() < 6 {
        assert!(clock.monotonic() < DEADLINE, "{records:?}");
        let poll = source.poll(BOUNDS).await.expect("a broker");
        records.extend(poll.records);
        standing = poll.positions;
    }
    let mut offsets: Vec<_> = records
        .iter()
        .map(|record| (record.partition.number, record.offset))
        .collect();
    offsets.sort_unstable();
    assert_eq!(offsets, [(0, 2), (0, 3), (0, 4), (1, 0), (1, 1), (1, 2)]);
    standing.sort();
    assert_eq!(
        standing.iter().map(|(_, position)| *position).collect::<Vec<_>>(),
        [5, 3]
    );
    let last = records.iter().find(|record| record.offset == 4).expect("the tombstone");
    assert_eq!((last.key.as_deref(), last.value.as_deref()), (Some(&b"k4"[..]), None));
    assert_eq!(last.headers.as_deref(), Some(r#"[["h","v"]]"#));
}

// Goal: an offset that the broker does not have is told, never jumped from. Method: assign behind the end.
#[tokio::test]
async fn a_lost_offset_is_told() {
    let cluster = MockCluster::new(1).expect("a mock broker");
    cluster.create_topic("db.users", 1, 1).expect("a topic");
    produce(&cluster.bootstrap_servers(), "db.users", 0, 3);
    let mut source = source(&cluster.bootstrap_servers());
    let found = source.partitions().await.expect("a broker");
    source
        .assign(&[(found[0].partition.clone(), 100)])
        .await
        .expect("assigned");
    let clock = SystemClock::shared();
    loop {
        assert!(clock.monotonic() < DEADLINE, "nothing was told");
        let poll = source.poll(BOUNDS).await.expect("a broker");
        assert!(poll.records.is_empty());
        if poll.stalled {
            break;
        }
    }
    let found = source.partitions().await.expect("a broker");
    assert!(found[0].high < 100);
}

// Goal: after an assignment that goes back no position is ahead of what was handed out since. Method: read to the end, assign the
// beginning and look at once, many times: the client lets its old positions go in its own time.
#[tokio::test]
async fn an_old_position_is_not_told() {
    let cluster = MockCluster::new(1).expect("a mock broker");
    cluster.create_topic("db.users", 1, 1).expect("a topic");
    produce(&cluster.bootstrap_servers(), "db.users", 0, 5);
    let mut source = source(&cluster.bootstrap_servers());
    let partition = source.partitions().await.expect("a broker")[0].partition.clone();
    let clock = SystemClock::shared();
    for _ in 0..50 {
        source.assign(&[(partition.clone(), 0)]).await.expect("assigned");
        let mut next = 0;
        while next < 5 {
            assert!(clock.monotonic() < DEADLINE, "only {next} records came");
            let bounds = PollBounds {
                records: 1,
                wait: Duration::ZERO,
                ..BOUNDS
            };
            let poll = source.poll(bounds).await.expect("a broker");
            for record in &poll.records {
                assert_eq!(record.offset, next);
                next += 1;
            }
            assert!(poll.positions.iter().all(|(_, position)| *position == next), "{poll:?}");
        }
    }
}

// Goal: once partitions are known, a broker that does not answer holds nobody up. Method: the only broker goes away; the answer is
// there without waiting.
#[tokio::test]
async fn bounds_are_not_waited_for() {
    let cluster = MockCluster::new(1).expect("a mock broker");
    cluster.create_topic("db.users", 1, 1).expect("a topic");
    produce(&cluster.bootstrap_servers(), "db.users", 0, 5);
    let mut source = source(&cluster.bootstrap_servers());
    let found = source.partitions().await.expect("a broker");
    cluster.broker_down(1).expect("a broker");
    for _ in 0..3 {
        source.ask_anew();
        let again = source.partitions().now_or_never().expect("no waiting");
        assert_eq!(again.expect("what is known"), found);
    }
    cluster.broker_up(1).expect("a broker");
    produce(&cluster.bootstrap_servers(), "db.users", 0, 2);
    let clock = SystemClock::shared();
    while source.partitions().await.expect("a broker")[0].high < 7 {
        assert!(clock.monotonic() < DEADLINE, "the end was not asked for anew");
        source.ask_anew();
        tokio::task::yield_now().await;
    }
}

// Goal: a partition that the client gave up is read on. Method: the broker says once that the offset is out of range, which it is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_partition_is_read_on() {
    let cluster = MockCluster::new(1).expect("a mock broker");
    cluster.create_topic("db.users", 1, 1).expect("a topic");
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, "db.users", 0, 5);
    let clock = SystemClock::shared();
    let store = FileStore::new(StoreOptions::default(), Arc::clone(&clock), Arc::new(SeededRng::new(1)));
    let log = Arc::new(ModelLog::new(store.clone()));
    let options = IngestOptions {
        sources: vec![SourceConfig::Kafka(KafkaOptions {
            brokers: brokers.clone(),
            topics: vec![r"db\..*".into()],
            settings: BTreeMap::new(),
        })],
        commit_interval_ms: 20,
        ..IngestOptions::default()
    };
    let tasks = Tasks::new("test");
    let rng = Arc::new(SeededRng::new(2));
    let ingest = Ingest::start(options, Arc::clone(&log) as _, store, Arc::clone(&clock), rng, &tasks);
    let ingest = ingest.expect("sound options");
    let reached = async |next| {
        while log.next_offset("db.users", 0) != Some(next) {
            assert!(clock.monotonic() < DEADLINE, "{:#?}", ingest.status());
            tokio::task::yield_now().await;
        }
    };
    reached(5).await;
    let out_of_range = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
    cluster.request_errors(RDKafkaApiKey::Fetch, &[out_of_range]);
    produce(&brokers, "db.users", 0, 5);
    reached(10).await;
    assert!(
        ingest
            .status()
            .partitions
            .iter()
            .all(|partition| partition.state == "running")
    );
    assert!(tasks.shutdown(DEADLINE).await);
}

// Goal: what exactly-once rests on cannot be configured away. Method: try it.
#[test]
fn fixed_settings_are_refused() {
    let options = KafkaOptions {
        brokers: "localhost:1".into(),
        topics: vec!["a".into()],
        settings: BTreeMap::from([("enable.auto.commit".into(), "true".into())]),
    };
    assert!(matches!(
        KafkaSource::new(&options, SystemClock::shared()),
        Err(IngestError::Setting { .. })
    ));
}
