//! The executor's hook into every task: scans get back what they lose on the wire, and filters that joins of the same stage find, errors
//! keep their code.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::serde::protobuf::{RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport};
use ballista_executor::execution_engine::{DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::prelude::SessionConfig;

use crate::digests::TaskFiles;
use crate::error::ExecutorError;
use crate::failure::{coded, keep_code};
use crate::job_folders::check_readers;
use crate::pool::ClientPool;
use crate::stoppable::stoppable;
use crate::stops::{Stop, Stops};
use tidewater_core::SharedClock;
use tidewater_engine::{quick_first, restore_scans, stage_context, stage_filters, text_views, yielding};
use tidewater_security::NodeTls;

/// Ballista's engine, after the scans were told again to match columns by field id and to compare what they read.
pub(crate) struct StageEngine {
    inner: DefaultExecutionEngine,
    runtime: Arc<RuntimeEnv>,
    clock: SharedClock,
    stops: Stops,
}

impl StageEngine {
    /// `runtime` has the stores that scans read from and the memory for their footers; `stops` ends tasks that begin.
    pub(crate) fn new(node_tls: Option<&NodeTls>, runtime: Arc<RuntimeEnv>, clock: SharedClock, stops: Stops) -> Self {
        // An engine of our own switches Ballista's connection pool off.
        let pool = Arc::new(ClientPool::new(node_tls, Arc::clone(&clock)));
        Self {
            inner: DefaultExecutionEngine::with_client_pool(pool),
            runtime,
            clock,
            stops,
        }
    }
}

impl ExecutionEngine for StageEngine {
    fn create_query_stage_exec(
        &self,
        job_id: JobId,
        stage_id: usize,
        task_id: usize,
        global_output_partition_ids: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        work_dir: &str,
        config: &SessionConfig,
    ) -> Result<Arc<dyn QueryStageExecutor>> {
        let stop = self.stops.begin(&job_id);
        let reads = check_readers(&plan).map_err(keep_code)?;
        let files = TaskFiles::new(work_dir, job_id.clone(), stage_id, reads);
        let plan = restore_scans(plan, &self.runtime)
            .map(|plan| stage_filters(plan, config.options()))
            .and_then(|plan| yielding(plan, &self.clock))
            .and_then(text_views)
            .and_then(quick_first)
            .and_then(|plan| stoppable(plan, stop.token()))
            .map_err(keep_code)?;
        let stage = self
            .inner
            .create_query_stage_exec(
                job_id,
                stage_id,
                task_id,
                global_output_partition_ids,
                plan,
                work_dir,
                config,
            )
            .map_err(keep_code)?;
        Ok(Arc::new(Stage {
            inner: stage,
            files,
            stop,
        }))
    }

    fn end_job(&self, job_id: &JobId) {
        self.stops.end(job_id);
    }
}

/// Ballista's stage, with errors that keep their code on the way to the scheduler, files whose readers know whether they are whole, and a
/// plan that ends with its task.
#[derive(Debug)]
struct Stage {
    inner: Arc<dyn QueryStageExecutor>,
    files: TaskFiles,
    stop: Stop,
}

impl Stage {
    async fn run(&self, task_id: usize, context: &TaskContext) -> Result<Vec<ShuffleWritePartition>> {
        self.files.check(self.stop.token()).await.map_err(|error| {
            let reason = error.to_string();
            coded(&ExecutorError::InputLost { reason })
        })?;
        let context = Arc::new(stage_context(context));
        let written = self.inner.execute_query_stage(task_id, context).await;
        let written = written.map_err(keep_code)?;
        self.files
            .digest(&written, self.stop.token())
            .await
            .map_err(|error| keep_code(error.into()))?;
        Ok(written)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl QueryStageExecutor for Stage {
    async fn execute_query_stage(
        &self,
        task_id: usize,
        context: Arc<TaskContext>,
    ) -> Result<Vec<ShuffleWritePartition>> {
        let _stops_when_dropped = self.stop.token().clone().drop_guard();
        let ended = self.run(task_id, &context).await;
        ended.map_err(|error| match self.stop.full() {
            Some(full) => coded(&ExecutorError::ShuffleFull {
                bytes: full.bytes,
                bytes_max: full.bytes_max,
            }),
            None => error,
        })
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        self.inner.collect_plan_metrics()
    }

    fn collect_runtime_stats_reports(&self) -> Vec<RuntimeStatsReport> {
        self.inner.collect_runtime_stats_reports()
    }

    fn collect_window_state_reports(&self) -> Result<Vec<WindowStateReport>> {
        self.inner.collect_window_state_reports()
    }

    fn collect_column_stats(&self) -> Vec<TaskColumnStats> {
        self.inner.collect_column_stats()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use ballista_core::RuntimeProducer;
    use ballista_core::error::BallistaError;
    use ballista_core::execution_plans::ShuffleWriterExec;
    use ballista_core::extension::SessionConfigExt;
    use ballista_core::registry::BallistaFunctionRegistry;
    use ballista_core::serde::protobuf::ExecutorRegistration;
    use ballista_core::serde::scheduler::TaskKey;
    use ballista_core::utils::default_config_producer;
    use ballista_executor::executor::Executor;
    use ballista_executor::metrics::LoggingMetricsCollector;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::SessionContext;
    use tidewater_core::SystemClock;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// Work that never ends by itself.
    #[derive(Debug)]
    struct Endless;

    impl fmt::Display for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Endless")
        }
    }

    #[async_trait]
    impl QueryStageExecutor for Endless {
        async fn execute_query_stage(&self, _: usize, _: Arc<TaskContext>) -> Result<Vec<ShuffleWritePartition>> {
            pending().await
        }

        fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
            Vec::new()
        }
    }

    // Goal: a cancellation that overtakes a task ends it all the same, and one of another job ends nothing. Method: tasks of two jobs
    // that never end by themselves, one begun before its job is over and one after.
    #[tokio::test]
    async fn tasks_of_jobs_that_are_over_do_not_begin() {
        let runtimes: RuntimeProducer = Arc::new(|_| Ok(Arc::new(RuntimeEnv::default())));
        let configs = Arc::new(default_config_producer);
        let executor = Executor::new_basic(ExecutorRegistration::default(), "", runtimes, configs, 2);
        let run = |job: &str| {
            let key = TaskKey {
                job_id: job.into(),
                stage_id: 1,
                task_id: 0,
            };
            executor.execute_query_stage(key, Arc::new(Endless), Arc::new(TaskContext::default()))
        };
        let mut begun = Box::pin(run("begun"));
        assert!(futures::poll!(&mut begun).is_pending());
        executor.end_job(&"late".into());
        assert!(futures::poll!(&mut begun).is_pending(), "it is of another job");
        let late = tokio::time::timeout(DEADLINE, run("late")).await.expect("an end");
        assert!(matches!(late, Err(BallistaError::Cancelled)), "{late:?}");
        executor.end_job(&"begun".into());
        let begun = tokio::time::timeout(DEADLINE, begun).await.expect("an end");
        assert!(matches!(begun, Err(BallistaError::Cancelled)), "{begun:?}");
        assert_eq!(executor.active_task_count(), 0);
    }

    // Goal: the plans of a job that is over end without a turn of their tasks, which have none while a plan keeps their only thread.
    // Method: an executor that nobody moves on is told of the end of one of two jobs.
    #[test]
    fn plans_of_jobs_that_are_over_end_at_once() {
        let runtime = Arc::new(RuntimeEnv::default());
        let engine = Arc::new(StageEngine::new(None, runtime, SystemClock::shared(), Stops::default()));
        let runtimes: RuntimeProducer = Arc::new(|_| Ok(Arc::new(RuntimeEnv::default())));
        let executor = Executor::new(
            ExecutorRegistration::default(),
            "",
            runtimes,
            Arc::new(default_config_producer),
            Arc::new(BallistaFunctionRegistry::default()),
            Arc::new(LoggingMetricsCollector::default()),
            1,
            engine.clone(),
        );
        let (over, other) = (engine.stops.begin(&"over".into()), engine.stops.begin(&"other".into()));
        executor.end_job(&"over".into());
        assert!(over.token().is_cancelled());
        assert!(!other.token().is_cancelled());
    }

    // Goal: the scans of a task leave out what the joins of its stage do not ask for, and its rows are whole. Method: a join over Parquet
    // files, planned as a cluster plans: what its task writes, and the most rows that one of its operators gave, of one file or of both.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn scans_are_told_what_joins_find() {
        let home = tempfile::tempdir().unwrap();
        let mut config = SessionConfig::new_with_ballista().with_target_partitions(2);
        config.options_mut().optimizer.prefer_hash_join = true;
        let session = SessionContext::new_with_config(config.clone());
        let folder = |name: &str| home.path().join(name).display().to_string();
        for (name, file, first, last) in [("few", 1, 5, 7), ("facts", 1, 0, 999), ("facts", 2, 1000, 1999)] {
            let rows = format!("SELECT value AS {name}_k FROM generate_series({first}, {last})");
            let copy = format!("COPY ({rows}) TO '{}/{file}.parquet' STORED AS PARQUET", folder(name));
            session.sql(&copy).await.unwrap().collect().await.unwrap();
        }
        for name in ["few", "facts"] {
            let create = format!(
                "CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{}/'",
                folder(name)
            );
            session.sql(&create).await.unwrap().collect().await.unwrap();
        }
        let frame = session
            .sql("SELECT facts_k FROM few JOIN facts ON few_k = facts_k")
            .await;
        let plan = frame.unwrap().create_physical_plan().await.unwrap();
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        assert!(shown.contains("mode=CollectLeft"), "{shown}");
        assert!(!shown.contains("DynamicFilter"), "{shown}");
        let plan = Arc::new(ShuffleWriterExec::try_new("job".into(), 1, plan, String::new()).unwrap());
        let engine = StageEngine::new(None, session.runtime_env(), SystemClock::shared(), Stops::default());
        let work_dir = folder("work");
        let stage = engine.create_query_stage_exec("job".into(), 1, 0, vec![0, 1], plan, &work_dir, &config);
        let stage = stage.unwrap();
        let written = tokio::time::timeout(DEADLINE, stage.execute_query_stage(0, session.task_ctx())).await;
        let written = written.expect("an end").unwrap();
        assert_eq!(written.iter().map(|part| part.num_rows).sum::<u64>(), 3);
        let metrics = stage.collect_plan_metrics();
        let most = metrics.iter().filter_map(MetricsSet::output_rows).max();
        assert!(most.is_some_and(|most| (3..2000).contains(&most)), "{most:?}");
    }
}
