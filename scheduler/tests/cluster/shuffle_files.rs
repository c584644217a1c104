//! Shuffle files, and what is asked for under their names.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::client::BallistaClient;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::serde::protobuf::executor_grpc_client::ExecutorGrpcClient;
use ballista_core::serde::protobuf::{
    LaunchMultiTaskParams, LaunchTaskParams, MultiTaskDefinition, RemoveJobDataParams, TaskDefinition,
};
use ballista_core::serde::scheduler::{PartitionId, ShuffleLayout};
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::arrow::ipc::writer::StreamWriter;
use futures::TryStreamExt;
use tonic::Code;
use tonic::transport::Channel;

use crate::lake::{Lake, executor_options};
use crate::loss::PATIENCE;
use tidewater_core::{Coded, ErrorKind, RemoteError};
pub(crate) use tidewater_engine::cluster::Secure;
use tidewater_engine::{Class, PlanRunner};
use tidewater_executor::digest;
use tidewater_scheduler::SchedulerOptions;
use tidewater_scheduler::executors::ExecutorInfo;

const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Three rows, as partition 0 of stage 1 of the job whose folder this is.
pub(crate) fn write_rows(job: &Path) {
    let folder = job.join("1").join("0");
    fs::create_dir_all(&folder).expect("a folder");
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let rows = RecordBatch::try_from_iter([("id", column)]).expect("rows");
    let path = folder.join("data.arrow");
    let file = File::create(&path).expect("a file");
    let mut writer = StreamWriter::try_new(file, &rows.schema()).expect("a writer");
    writer.write(&rows).expect("written");
    writer.finish().expect("written");
    digest(&path).expect("digests");
}

/// How many rows the executor gives of that partition, by Flight's own call or by Ballista's.
pub(crate) async fn rows_of(
    executor: &ExecutorInfo,
    job: &str,
    secure: Option<Secure>,
    flight: bool,
) -> Result<usize, String> {
    let is_secure = secure.is_some();
    let secure = secure.map(|secure| Arc::new(BallistaConfigGrpcEndpoint::new(secure)));
    let (host, port) = (&executor.host, executor.flight_port);
    let client = BallistaClient::try_new(host, port, MESSAGE_BYTES_MAX, is_secure, secure, 1, 0, 0, 0).await;
    let mut client = client.map_err(|error| format!("{error:?}"))?;
    let partition = PartitionId::new(&job.into(), 1, 0);
    let rows = client.fetch_partition(&executor.id, &partition, None, ShuffleLayout::Passthrough, flight);
    let rows = rows.await.map_err(|error| format!("{error:?}"))?;
    let rows: Vec<RecordBatch> = rows.try_collect().await.map_err(|error| format!("{error:?}"))?;
    Ok(rows.iter().map(RecordBatch::num_rows).sum())
}

async fn tasks_port(executor: &ExecutorInfo) -> ExecutorGrpcClient<Channel> {
    let url = format!("http://{}:{}", executor.host, executor.grpc_port);
    ExecutorGrpcClient::connect(url).await.expect("a connection")
}

// Goal: names of jobs lead nowhere but to folders of the working directory, whoever chooses them. Method: rows outside of it, asked
// for, removed and written to by a path that climbs, an absolute one and links; the same calls with the name of a job.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn names_of_jobs_do_not_escape() {
    let lake = Lake::new().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let _executor = lake.executor(&scheduler).await;
    let executor = scheduler.executors().await.expect("a list").remove(0);
    let shuffle = lake.home.path().join("work").join("shuffle");
    let secret = lake.home.path().join("secret");
    for job in [&secret, &shuffle.join("job"), &shuffle.join("half")] {
        write_rows(job);
    }
    symlink(&secret, shuffle.join("link")).expect("a link");
    fs::write(secret.join("index"), [0; 64]).expect("a file");
    let indexed = shuffle.join("indexed");
    write_rows(&indexed);
    symlink(secret.join("index"), indexed.join("1/0/data.arrow.index")).expect("a link");
    symlink(secret.join("1"), shuffle.join("half").join("2")).expect("a link");
    let absolute = secret.to_str().expect("text").to_owned();
    let names = ["../../secret", absolute.as_str(), "job/../../../secret", "link"];

    for name in names {
        let file = shuffle.join(name).join("1/0/data.arrow");
        assert!(file.is_file(), "{name} leads to the rows");
        for flight in [true, false] {
            let refused = rows_of(&executor, name, None, flight).await.expect_err(name);
            let said = refused.contains("not the name of a job") || refused.contains("not within");
            assert!(said, "{name}: {refused}");
        }
    }
    for flight in [true, false] {
        let refused = rows_of(&executor, "indexed", None, flight).await.expect_err("a link");
        assert!(refused.contains("not within"), "{refused}");
        assert_eq!(rows_of(&executor, "job", None, flight).await, Ok(3));
    }

    let mut port = tasks_port(&executor).await;
    let remove = |job: &str, stages: &[u32]| RemoveJobDataParams {
        job_id: job.to_owned(),
        remove_stage_ids: stages.to_vec(),
    };
    for name in names.into_iter().chain(["", ".", "..", "job/.."]) {
        for stages in [&[][..], &[1][..]] {
            let refused = port.remove_job_data(remove(name, stages)).await.expect_err(name);
            assert_eq!(refused.code(), Code::InvalidArgument, "{name}: {refused}");
        }
    }
    let refused = port.remove_job_data(remove("half", &[2])).await.expect_err("a link");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    for job in ["job", "half"] {
        port.remove_job_data(remove(job, &[])).await.expect(job);
        assert!(!shuffle.join(job).is_dir(), "{job}");
    }
    assert!(secret.join("1/0/data.arrow").is_file() && shuffle.is_dir());

    for name in ["../../written", "/tmp/written", ".."] {
        let task = TaskDefinition {
            job_id: name.to_owned(),
            ..TaskDefinition::default()
        };
        let launch = LaunchTaskParams {
            tasks: vec![task],
            ..LaunchTaskParams::default()
        };
        let refused = port.launch_task(launch).await.expect_err(name);
        assert!(refused.message().contains("not the name of a job"), "{refused}");
        let refused = port.launch_multi_task(launch_of(name)).await.expect_err(name);
        assert!(refused.message().contains("not the name of a job"), "{refused}");
    }
    let told = port
        .launch_multi_task(launch_of("job"))
        .await
        .expect("its name is good");
    assert_eq!(told.into_inner().failed_jobs, ["job"], "its plan is not");
}

// Goal: rows of a file that is not as it was written are given to nobody. Method: one of its bits in another state, all over it, its end cut
// off and its digests gone, asked for by both calls; and as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn damaged_files_are_not_given_out() {
    let lake = Lake::new().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let _executor = lake.executor(&scheduler).await;
    let executor = scheduler.executors().await.expect("a list").remove(0);
    let job = lake.home.path().join("work").join("shuffle").join("job");
    write_rows(&job);
    let file = job.join("1/0/data.arrow");
    let whole = fs::read(&file).expect("a file");
    let flipped = (0..whole.len()).step_by(16).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        bytes
    });
    let shorter = whole[..whole.len() - 8].to_vec();
    for bytes in flipped.chain([shorter]) {
        fs::write(&file, bytes).expect("a file");
        for flight in [true, false] {
            let refused = rows_of(&executor, "job", None, flight).await.expect_err("damaged");
            assert!(refused.contains("not as it was written"), "{refused}");
        }
    }
    fs::write(&file, whole).expect("a file");
    for flight in [true, false] {
        assert_eq!(rows_of(&executor, "job", None, flight).await, Ok(3));
    }
    fs::remove_file(job.join("1/0/data.arrow.crc")).expect("digests");
    for flight in [true, false] {
        rows_of(&executor, "job", None, flight)
            .await
            .expect_err("nothing tells what it was");
    }
}

fn launch_of(job: &str) -> LaunchMultiTaskParams {
    let task = MultiTaskDefinition {
        job_id: job.to_owned(),
        ..MultiTaskDefinition::default()
    };
    LaunchMultiTaskParams {
        multi_tasks: vec![task],
        ..LaunchMultiTaskParams::default()
    }
}

/// Disk that shuffle files may take in the test of that: less than the rows of its large statement, more than those of its small one.
const DISK_BYTES: u64 = 1 << 20;

// Goal: a statement whose shuffle files take more of the disk than they may fails with the code that says so; the executor goes on under its
// name, and the disk is free again. Method: groups of texts that cannot be packed, and a second stage that takes its time; a small
// statement afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_between_stages_have_a_limit() {
    let lake = Lake::new().await;
    let scheduler = lake.scheduler(SchedulerOptions::loopback()).await;
    let work = lake.home.path().join("work");
    let mut options = executor_options(scheduler.address(), work.clone());
    options.shuffle_bytes_max = DISK_BYTES;
    let executor = lake.executor_with(options).await;
    let name = executor.id();
    let large = "SELECT count(*), sum(slow(n, 500))
                 FROM (SELECT text, count(*) AS n
                       FROM (SELECT md5('a' || id) || md5('b' || id) || md5('c' || id) || md5('d' || id) AS text FROM orders)
                       GROUP BY text)";
    let request = lake.request(Class::Batch, large).await;
    let error = scheduler.runner().run(request).await.expect_err("no room");
    assert_eq!(error.kind(), ErrorKind::Exhausted, "{error:?}");
    let told = RemoteError::of(&error).message;
    assert!(told.contains("[EXE-0011]"), "{told}");

    let shuffle = work.join("shuffle");
    let began = lake.clock.monotonic();
    while bytes_below(&shuffle) > DISK_BYTES {
        assert!(lake.clock.monotonic() - began < PATIENCE, "the disk stays full");
        lake.clock.sleep(Duration::from_millis(20)).await;
    }
    let small = "SELECT note, count(*) FROM orders GROUP BY note";
    let expected = lake.rows(&lake.engine.local_runner(), small).await;
    assert_eq!(lake.rows(&scheduler.runner(), small).await, expected);
    assert_eq!(executor.id(), name, "it registered again");
}

fn bytes_below(folder: &Path) -> u64 {
    // Files come and go meanwhile.
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
