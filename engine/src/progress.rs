//! How far a plan is: told by whoever runs it, asked by whoever waits for it. It goes with the plan's session.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::prelude::SessionContext;

/// Of a whole.
const PARTS: u64 = 1_000_000;

/// The most that is told before the end: what is read is not answered yet.
const PARTS_MAX: u64 = 990_000;

/// How much of a plan is done, as far as that is known. It never goes back.
#[derive(Default)]
pub struct Progress {
    scans: Mutex<Vec<Scan>>,
    /// One more than the parts that are done; 0 while nothing is known.
    told: AtomicU64,
}

/// The reading of a table's files.
struct Scan {
    plan: Arc<dyn ExecutionPlan>,
    rows: u64,
}

impl Progress {
    /// Of the plans of this session from now on.
    pub fn attach(session: &SessionContext) -> Arc<Self> {
        let progress = Arc::new(Self::default());
        let state = session.state_ref();
        state.write().config_mut().set_extension(Arc::clone(&progress));
        progress
    }

    /// What is to be told of the plans of this session, if somebody wants to know.
    pub fn of(session: &SessionContext) -> Option<Arc<Self>> {
        session.state_ref().read().config().get_extension::<Self>()
    }

    /// So much of what is known to be done is done.
    pub fn tell(&self, done: u64, known: u64) {
        if known > 0 {
            let parts = u128::from(done) * u128::from(PARTS) / u128::from(known);
            let parts = u64::try_from(parts).unwrap_or(PARTS).min(PARTS_MAX);
            self.told.fetch_max(parts + 1, Ordering::Relaxed);
        }
    }

    /// A plan runs in this process: how far it is, is how many rows of its files were read.
    pub(crate) fn watch(&self, plan: &Arc<dyn ExecutionPlan>) {
        let mut found = Vec::new();
        scans(plan, &mut found);
        self.scans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(&mut found);
    }

    /// From 0 to less than 1; `None` while nothing is known.
    pub fn fraction(&self) -> Option<f64> {
        let (mut done, mut known) = (0_u64, 0_u64);
        for scan in self.scans.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let read = scan.plan.metrics().and_then(|metrics| metrics.output_rows());
            let read = u64::try_from(read.unwrap_or_default()).unwrap_or(u64::MAX);
            done = done.saturating_add(read.min(scan.rows));
            known = known.saturating_add(scan.rows);
        }
        self.tell(done, known);
        let told = u32::try_from(self.told.load(Ordering::Relaxed).checked_sub(1)?).ok()?;
        Some(f64::from(told) / 1_000_000.0)
    }
}

fn scans(plan: &Arc<dyn ExecutionPlan>, found: &mut Vec<Scan>) {
    let files = plan
        .downcast_ref::<DataSourceExec>()
        .is_some_and(|scan| scan.data_source().downcast_ref::<FileScanConfig>().is_some());
    if files
        && let Ok(statistics) = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new())
        && let Some(rows) = statistics.num_rows.get_value()
    {
        found.push(Scan {
            plan: Arc::clone(plan),
            rows: u64::try_from(*rows).unwrap_or(u64::MAX),
        });
    }
    for child in plan.children() {
        scans(child, found);
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use futures::StreamExt;
    use tidewater_table::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};

    use super::*;
    use crate::testing::Lake;
    use crate::{Class, PlanRequest, PlanRunner};

    // Goal: what is told only grows, stays below the whole, and is nothing while nothing is known. Method: more that is known than before.
    #[test]
    fn progress_never_goes_back() {
        let progress = Progress::default();
        assert_eq!(progress.fraction(), None);
        progress.tell(0, 0);
        assert_eq!(progress.fraction(), None);
        for (done, known, told) in [
            (0, 4, 0.0),
            (2, 4, 0.5),
            (3, 12, 0.5),
            (9, 12, 0.75),
            (12, 12, 0.99),
            (1, 1, 0.99),
        ] {
            progress.tell(done, known);
            assert_eq!(progress.fraction(), Some(told), "{done} of {known}");
        }
    }

    // Goal: a plan in this process tells how many rows of its files it has read, and one that reads none tells nothing. Method: a table of
    // twenty files read batch by batch, its whole at the end.
    #[tokio::test]
    async fn scans_tell_what_they_have_read() {
        let lake = Lake::new();
        let field = NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long));
        let schema = Schema::builder().with_fields([Arc::new(field)]).build();
        lake.create("gold.t", schema.expect("a schema"), None).await;
        for file in 0..20 {
            let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(file * 1_000..(file + 1) * 1_000));
            let rows = RecordBatch::try_from_iter([("id", ids)]).expect("rows");
            lake.append("gold.t", rows).await;
        }
        for (sql, known) in [
            ("SELECT id FROM gold.t", true),
            ("SELECT value FROM generate_series(1, 9)", false),
        ] {
            let session = lake.session();
            let progress = Progress::attach(&session);
            let request = PlanRequest {
                job: lake.job(),
                plan: lake.engine.plan(&session, sql).await.expect("a plan"),
                session,
                class: Class::Interactive,
                deadline: None,
            };
            let mut output = lake.engine.local_runner().run(request).await.expect("rows");
            let mut told = vec![progress.fraction()];
            while let Some(batch) = output.stream.next().await {
                batch.expect("rows");
                told.push(progress.fraction());
            }
            assert!(told.is_sorted(), "{told:?}");
            let (first, last) = match known {
                true => (Some(0.0), Some(0.99)),
                false => (None, None),
            };
            assert_eq!((told.first(), told.last()), (Some(&first), Some(&last)), "{sql}");
            assert!(
                !known
                    || told
                        .iter()
                        .any(|told| told.is_some_and(|told| told > 0.0 && told < 0.99)),
                "{told:?}"
            );
        }
    }
}
