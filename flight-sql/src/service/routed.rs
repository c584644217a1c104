//! Where the plans of one statement that changes something ran: it may have several, or none.

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::logical_expr::LogicalPlan;
use futures::FutureExt;
use futures::future::BoxFuture;

use tidewater_core::JobId;
use tidewater_engine::{Class, Place, PlanOutput, PlanRequest, PlanRunner, Route};

/// What is said of a statement none of whose plans went elsewhere.
const HERE: &str = "what changes something is carried out in the process that was asked";

/// Runs plans as another runner does, and takes note of where they went.
#[derive(Debug)]
pub(super) struct Routed {
    runner: Arc<dyn PlanRunner>,
    seen: Mutex<Option<Route>>,
}

impl Routed {
    pub(super) fn by(runner: Arc<dyn PlanRunner>) -> Self {
        Self {
            runner,
            seen: Mutex::default(),
        }
    }

    /// Where the statement ran: on the executors if one of its plans did. It waited for as long as all of them.
    pub(super) fn route(&self) -> Route {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone().unwrap_or_else(|| Route::local(HERE))
    }

    fn note(&self, route: &Route) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = seen.as_ref().map(|seen| seen.waited).unwrap_or_default();
        let before = seen.take().filter(|seen| seen.place == Place::Cluster);
        *seen = Some(Route {
            waited: waited.saturating_add(route.waited),
            ..before.unwrap_or_else(|| route.clone())
        });
    }
}

impl PlanRunner for Routed {
    fn run(&self, request: PlanRequest) -> BoxFuture<'_, tidewater_engine::Result<PlanOutput>> {
        let run = self.runner.run(request);
        let noted = async move {
            let output = run.await?;
            self.note(&output.route);
            Ok(output)
        };
        noted.boxed()
    }

    fn route<'a>(&'a self, request: &'a PlanRequest) -> BoxFuture<'a, tidewater_engine::Result<Route>> {
        self.runner.route(request)
    }

    fn room(&self, plan: &LogicalPlan, class: Class) -> tidewater_engine::Result<()> {
        self.runner.room(plan, class)
    }

    fn stages(&self, job: JobId) -> Vec<String> {
        self.runner.stages(job)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::service::tests::Lake;

    // Goal: a statement is told to have run on the executors if a part of it did, and to have waited as long as all parts did. Method: no
    // plan, then one here, one there, and one here again.
    #[tokio::test]
    async fn one_plan_elsewhere_decides() {
        let lake = Lake::new().await;
        let routed = Routed::by(Arc::new(lake.engine().local_runner()));
        let told = |routed: &Routed| {
            let route = routed.route();
            (route.place, route.waited.as_secs())
        };
        assert_eq!(told(&routed), (Place::Local, 0));
        for (route, expected) in [
            (Route::local("small"), (Place::Local, 1)),
            (Route::cluster("large"), (Place::Cluster, 2)),
            (Route::local("small"), (Place::Cluster, 3)),
        ] {
            routed.note(&Route {
                waited: Duration::from_secs(1),
                ..route
            });
            assert_eq!(told(&routed), expected);
        }
        assert_eq!(routed.route().reason, "large");
    }
}
