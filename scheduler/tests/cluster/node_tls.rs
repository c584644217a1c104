//! TLS between nodes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::serde::protobuf::RemoveJobDataParams;
use ballista_core::serde::protobuf::executor_grpc_client::ExecutorGrpcClient;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{GetJobStatusParams, HeartBeatParams};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::child::ExecutorChild;
use crate::lake::{Lake, START_DEADLINE, executor_options};
use crate::queries::STATEMENTS;
use crate::shuffle_files::{Secure, rows_of, write_rows};
use tidewater_core::{Coded, Tasks};
use tidewater_engine::cluster::{call, secure_by};
use tidewater_executor::{Executor, ExecutorError};
use tidewater_scheduler::SchedulerOptions;
use tidewater_security::{Authority, NODE_NAME, NodeTls, NodeTlsSettings};

/// How long a stranger is watched that must not come in.
const STRANGERS_WAIT: Duration = Duration::from_secs(3);

/// A node's certificate by a CA of this name.
fn certificate(lake: &Lake, ca: &str) -> NodeTlsSettings {
    let folder = lake.home.path().join(ca);
    let clock = lake.clock.as_ref();
    let authority = Authority::create(&folder.join("ca"), 30, clock).expect("a CA");
    authority
        .issue(&[], 30, &folder.join("node"), clock)
        .expect("a certificate")
}

fn node(lake: &Lake, settings: &NodeTlsSettings) -> NodeTls {
    NodeTls::load(settings.clone(), lake.clock.clone()).expect("a node")
}

fn scheduler_options(tls: Option<&NodeTls>) -> SchedulerOptions {
    SchedulerOptions {
        node_tls: tls.cloned(),
        ..SchedulerOptions::loopback()
    }
}

/// An executor in this process that lives as long as the tasks.
async fn executor(lake: &Lake, options: tidewater_executor::ExecutorOptions, tasks: &Tasks) -> Executor {
    let (clock, rng) = (lake.clock.clone(), lake.rng.clone());
    Executor::start(options, lake.engine.clone(), clock, rng, tasks)
        .await
        .expect("an executor")
}

/// Jobs of which files lie in a working directory.
fn jobs_in(work_dir: &Path) -> BTreeSet<String> {
    let folders = std::fs::read_dir(work_dir.join("shuffle")).expect("a folder");
    let names = folders.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned());
    names.collect()
}

// Goal: a cluster under TLS answers as DataFusion alone. Method: statements of several shapes on two executors, one in a process of
// its own; both must have written files of the same jobs, so that rows went from one to the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_are_the_same_under_tls() {
    let lake = Lake::new().await;
    let settings = certificate(&lake, "ours");
    let tls = node(&lake, &settings);
    let scheduler = lake.scheduler(scheduler_options(Some(&tls))).await;
    let work_dir = lake.home.path().join("work");
    let mut options = executor_options(scheduler.address(), work_dir.clone());
    options.node_tls = Some(tls);
    let first = executor(&lake, options, &lake.tasks.child("executor")).await;
    first.wait_registered(START_DEADLINE).await.expect("registered");
    let second = ExecutorChild::start_with("second", scheduler.address(), lake.home.path(), &settings);
    scheduler.wait_for_executors(2, START_DEADLINE).await.expect("both");
    let (local, cluster) = (lake.engine.local_runner(), scheduler.runner());
    for sql in STATEMENTS {
        let expected = lake.rows(&local, sql).await;
        assert_eq!(lake.rows(&cluster, sql).await, expected, "{sql}: {}", second.log_tail());
    }
    let theirs: BTreeSet<String> = second.jobs_with_files().into_iter().collect();
    let ours = jobs_in(&work_dir);
    assert!(ours.intersection(&theirs).count() > 0, "{ours:?} {theirs:?}");
    // What the scheduler says to executors beside tasks, too.
    let drained = scheduler.drain(&first.id().expect("a name"), START_DEADLINE).await;
    drained.expect("it drains");
    let left = scheduler.executors().await.expect("a list");
    assert_eq!(left.len(), 1, "{left:?}");
}

// Goal: who is no node of the cluster does not register, and is told why. Method: executors without a certificate, with one of
// another CA, and with one at a scheduler that has none; then one that is a node.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn strangers_do_not_register() {
    let lake = Lake::new().await;
    let ours = node(&lake, &certificate(&lake, "ours"));
    let theirs = node(&lake, &certificate(&lake, "theirs"));
    let secured = lake.scheduler(scheduler_options(Some(&ours))).await;
    let plain = lake.scheduler(scheduler_options(None)).await;
    let cases = [
        ("without", &secured, None, Some("EXE-0005")),
        ("foreign", &secured, Some(&theirs), Some("EXE-0009")),
        ("plain scheduler", &plain, Some(&ours), Some("EXE-0009")),
        ("node", &secured, Some(&ours), None),
    ];
    for (name, scheduler, tls, refused) in cases {
        let tasks = Tasks::new("executor");
        let mut options = executor_options(scheduler.address(), lake.home.path().join(name));
        options.node_tls = tls.cloned();
        let executor = executor(&lake, options, &tasks).await;
        let registered = executor.wait_registered(match refused {
            Some(_) => STRANGERS_WAIT,
            None => START_DEADLINE,
        });
        let registered = registered.await;
        let known = scheduler.executors().await.expect("a list").len();
        let code = registered.as_ref().err().map(|error| match error {
            ExecutorError::Refused { source } => source.code.clone(),
            other => other.code().to_owned(),
        });
        assert_eq!(
            (code.as_deref(), known),
            (refused, usize::from(refused.is_none())),
            "{name}: {registered:?}"
        );
        assert!(tasks.shutdown(Duration::from_secs(20)).await, "{name}");
    }
}

// Goal: shuffle files, tasks and the scheduler are for nodes only. Method: a plain client, one with another CA's certificate, and one
// that knows the CA but has no certificate, at each of the three ports; the same calls by a node.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ports_answer_nodes_only() {
    let lake = Lake::new().await;
    let settings = certificate(&lake, "ours");
    let ours = node(&lake, &settings);
    let theirs = node(&lake, &certificate(&lake, "theirs"));
    let scheduler = lake.scheduler(scheduler_options(Some(&ours))).await;
    let work_dir = lake.home.path().join("work");
    let mut options = executor_options(scheduler.address(), work_dir.clone());
    options.node_tls = Some(ours.clone());
    let executor = executor(&lake, options, &lake.tasks.child("executor")).await;
    executor.wait_registered(START_DEADLINE).await.expect("registered");
    let known = scheduler.executors().await.expect("a list").remove(0);
    let job = work_dir.join("shuffle").join("job");
    write_rows(&job);

    let ca = std::fs::read(&settings.ca).expect("the CA");
    let without: Secure = Arc::new(move |endpoint: Endpoint| {
        let tls = ClientTlsConfig::new().domain_name(NODE_NAME);
        Ok(endpoint.tls_config(tls.ca_certificate(Certificate::from_pem(&ca)))?)
    });
    for (name, secure) in [
        ("plain", None),
        ("foreign", Some(secure_by(&theirs))),
        ("without", Some(without)),
    ] {
        for flight in [true, false] {
            let fetched = rows_of(&known, "job", secure.clone(), flight).await;
            assert!(fetched.is_err(), "{name}: {fetched:?}");
        }
        let removed = remove(&known.host, known.grpc_port, secure.clone()).await;
        assert!(removed.is_err() && job.is_dir(), "{name}: {removed:?}");
        let asked = ask(scheduler.address(), secure).await;
        assert!(asked.is_err(), "{name}: {asked:?}");
    }
    for flight in [true, false] {
        let fetched = rows_of(&known, "job", Some(secure_by(&ours)), flight).await;
        assert_eq!(fetched, Ok(3));
    }
    assert_eq!(
        remove(&known.host, known.grpc_port, Some(secure_by(&ours))).await,
        Ok(())
    );
    assert!(!job.is_dir());
    assert_eq!(ask(scheduler.address(), Some(secure_by(&ours))).await, Ok(()));
    // The connections that are made with a connector are the same.
    let endpoint = Endpoint::from_shared(format!("http://{}", scheduler.address())).expect("an endpoint");
    let channel = call(endpoint, Some(ours)).await.expect("a node");
    let mut client = SchedulerGrpcClient::new(channel);
    let heard = client.heart_beat_from_executor(HeartBeatParams::default()).await;
    let refused = heard.expect_err("it says nothing of itself");
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused}");
}

/// An endpoint, made by a client of this kind.
fn endpoint(address: &str, secure: Option<Secure>) -> Result<Endpoint, String> {
    let scheme = if secure.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).map_err(|error| error.to_string())?;
    match secure {
        Some(secure) => secure(endpoint).map_err(|error| error.to_string()),
        None => Ok(endpoint),
    }
}

/// Removes the job's files, by the port for tasks.
async fn remove(host: &str, port: u16, secure: Option<Secure>) -> Result<(), String> {
    let channel = endpoint(&format!("{host}:{port}"), secure)?.connect().await;
    let channel = channel.map_err(|error| format!("{error:?}"))?;
    let request = RemoveJobDataParams {
        job_id: "job".to_owned(),
        remove_stage_ids: Vec::new(),
    };
    let removed = ExecutorGrpcClient::new(channel).remove_job_data(request).await;
    removed.map(drop).map_err(|status| format!("{status:?}"))
}

/// Asks the scheduler for something that it knows nothing of.
async fn ask(scheduler: std::net::SocketAddr, secure: Option<Secure>) -> Result<(), String> {
    let channel = endpoint(&scheduler.to_string(), secure)?.connect().await;
    let channel = channel.map_err(|error| format!("{error:?}"))?;
    let request = GetJobStatusParams {
        job_id: "job".to_owned(),
    };
    let told = SchedulerGrpcClient::new(channel).get_job_status(request).await;
    told.map(drop).map_err(|status| format!("{status:?}"))
}
