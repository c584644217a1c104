//! A cluster of processes on one machine: one with the catalog, the scheduler and an endpoint, and executors.

use std::path::Path;
use std::time::Duration;

use super::{Node, NodeBuilder, wait_for};

const DEADLINE: Duration = Duration::from_secs(120);

/// The processes. Those that others need are dropped last.
pub struct Cluster {
    pub executors: Vec<Node>,
    pub head: Node,
}

impl Cluster {
    /// Starts them and waits until the executors are known, which have two places for tasks between them. Whatever reads a table runs
    /// on the executors.
    pub fn start(dir: &Path, executors: u32) -> Self {
        let builder = NodeBuilder::serve(dir, "catalog,scheduler,flight-sql");
        let listen = builder.ports.scheduler;
        let section = format!("[scheduler]\nlisten = \"127.0.0.1:{listen}\"\nlocal_bytes_max = 0\n");
        let head = builder.config(&section).start();
        let vcores = (2 / executors).max(1);
        let executors: Vec<Node> = (1..=executors)
            .map(|number| executor(dir, &head, number, vcores).start())
            .collect();
        wait_for("the executors are known", DEADLINE, || {
            let known = head.control("/v1/status")?["executors"].as_u64()?;
            (known == executors.len() as u64).then_some(())
        });
        Self { executors, head }
    }
}

/// An executor of a scheduler, with so many places for tasks.
pub fn executor(dir: &Path, scheduler: &Node, number: u32, vcores: u32) -> NodeBuilder {
    let mut builder = NodeBuilder::serve(dir, "executor");
    builder.name = format!("executor-{number}");
    let ports = builder.ports.clone();
    let config = format!(
        "[executor]\nlisten = \"127.0.0.1:{}\"\ngrpc_port = {}\nscheduler = \"127.0.0.1:{}\"\nmemory_bytes = 268435456\nvcores = {vcores}\n\
         [catalog]\nlisten = \"127.0.0.1:{}\"\nendpoints = [\"http://127.0.0.1:{}\"]\n",
        ports.executor,
        ports.executor_grpc,
        scheduler.ports().scheduler,
        ports.catalog,
        scheduler.ports().catalog,
    );
    builder.config(&config)
}
