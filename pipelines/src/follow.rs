//! Keeps all models within their target lag: a change of a table makes the models that read it due.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tidewater_core::{TableName, Tasks};

use crate::feed::{Feed, News};
use crate::model::Kind;
use crate::pipelines::{MODELS_AT_ONCE_MAX, Pipelines};
use crate::plan::{Mode, Wish, target_lag};
use crate::report::ModelRun;
use crate::sql::RunTime;
use crate::units::{Unit, units};

/// How long the catalog is asked to wait for news; short enough to notice the end of a day and a moved leader.
const NEWS_WAIT: Duration = Duration::from_secs(20);

/// First and longest wait after a failure: long enough not to burn the machine, short enough to heal within minutes.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// How often a follower that has nothing to wait for looks whether there is something after all.
const IDLE_MAX: Duration = Duration::from_secs(30);

const DAY_MS: i64 = 86_400_000;

/// A unit as the follower sees it. Times are of the monotonic clock.
#[derive(Debug)]
struct Followed {
    unit: Unit,
    inputs: BTreeSet<TableName>,
    lag: Duration,
    asks_for_date: bool,
    /// Since when an input is ahead.
    dirty_since: Option<Duration>,
    running: bool,
    failures_count: u32,
    not_before: Duration,
    took: Duration,
}

impl Followed {
    /// Half of the lag is for waiting (more changes make one run cheaper), the other half for the run, which took `took`
    /// last time and may take twice as long now.
    fn due(&self) -> Option<Duration> {
        let since = self.dirty_since.filter(|_| !self.running)?;
        let wait = self.lag.saturating_sub(self.took * 2) / 2;
        Some((since + wait).max(self.not_before))
    }
}

impl Pipelines {
    /// Follows the catalog until the tasks are told to stop. What runs then is dropped: it has committed as a whole or not
    /// at all, and the next process finds out which.
    pub fn follow(&self, feed: Arc<dyn Feed>, tasks: &Tasks) {
        let (pipelines, token) = (self.clone(), tasks.token());
        tasks.spawn("follow", async move {
            tokio::select! {
                () = pipelines.follow_on(feed.as_ref()) => {}
                () = token.cancelled() => {}
            }
        });
    }

    async fn follow_on(&self, feed: &dyn Feed) {
        let clock = &self.inner.worker.clock;
        let mut followed = self.followed();
        let mut cursor = None;
        let mut news_failures_count = 0;
        let mut running = FuturesUnordered::new();
        let mut asking = feed.news(cursor, Duration::ZERO);
        let mut day = clock.now_ms().div_euclid(DAY_MS);
        loop {
            let now = clock.monotonic();
            let today = clock.now_ms().div_euclid(DAY_MS);
            if today != day {
                day = today;
                mark(&mut followed, now, |unit| unit.asks_for_date);
            }
            while running.len() < MODELS_AT_ONCE_MAX
                && let Some((at, unit)) = most_urgent(&mut followed, now)
            {
                unit.dirty_since = None;
                unit.running = true;
                running.push(self.run_unit(at, unit.unit.clone()));
            }
            let next = match running.len() < MODELS_AT_ONCE_MAX {
                true => followed
                    .iter()
                    .filter_map(Followed::due)
                    .min()
                    .map_or(IDLE_MAX, |due| due.saturating_sub(now)),
                false => IDLE_MAX,
            };
            tokio::select! {
                Some((at, runs)) = running.next(), if !running.is_empty() => {
                    let ended = clock.monotonic();
                    if let Some(unit) = followed.get_mut(at) {
                        finish(unit, &runs, ended);
                    }
                }
                news = &mut asking => {
                    let wait = match news {
                        Ok(news) => {
                            // The first answer only tells where to begin; everything is looked at once anyway.
                            learn(&mut followed, &news, clock.monotonic(), cursor.is_none());
                            cursor = Some(news.cursor);
                            news_failures_count = 0;
                            Duration::ZERO
                        }
                        Err(error) => {
                            tracing::warn!(%error, "no news of the catalog");
                            news_failures_count += 1;
                            backoff(news_failures_count)
                        }
                    };
                    asking = Box::pin(async move {
                        if !wait.is_zero() {
                            clock.sleep(wait).await;
                        }
                        feed.news(cursor, NEWS_WAIT).await
                    });
                }
                () = clock.sleep(next.min(IDLE_MAX)) => {}
            }
        }
    }

    /// Everything that is stored; views need no runs.
    fn followed(&self) -> Vec<Followed> {
        let project = &self.inner.project;
        let units = units(project, project.graph.order());
        let mut followed = Vec::with_capacity(units.len());
        for unit in units {
            let models: Vec<_> = unit.models.iter().filter_map(|name| project.models.get(name)).collect();
            if models.iter().all(|model| matches!(model.kind, Kind::View)) {
                continue;
            }
            followed.push(Followed {
                inputs: models.iter().flat_map(|model| project.stored_inputs(model)).collect(),
                lag: models
                    .iter()
                    .map(|model| target_lag(project, model))
                    .min()
                    .unwrap_or_default(),
                // Whoever asks for the time asks for the day.
                asks_for_date: models.iter().any(|model| model.run_time != RunTime::Unused),
                unit,
                dirty_since: None,
                running: false,
                failures_count: 0,
                not_before: Duration::ZERO,
                took: Duration::ZERO,
            });
        }
        followed
    }

    async fn run_unit(&self, at: usize, unit: Unit) -> (usize, Vec<ModelRun>) {
        let wish = Wish {
            full: false,
            run_ms: self.inner.worker.clock.now_ms(),
        };
        let rows = unit.models.iter().map(|_| self.inner.new_row(None)).collect();
        let open = self.inner.open.enter(rows);
        (at, self.inner.refresh(&unit, open, wish).await)
    }
}

/// Whoever is overdue for longest comes first, so that busy models cannot keep others from running.
fn most_urgent(followed: &mut [Followed], now: Duration) -> Option<(usize, &mut Followed)> {
    let due = |unit: &Followed| unit.due().filter(|due| *due <= now);
    let (at, _) = followed
        .iter()
        .enumerate()
        .filter_map(|(at, unit)| Some((at, due(unit)?)))
        .min_by_key(|(_, due)| *due)?;
    followed.get_mut(at).map(|unit| (at, unit))
}

fn mark(followed: &mut [Followed], now: Duration, which: impl Fn(&Followed) -> bool) {
    for unit in followed.iter_mut().filter(|unit| which(unit)) {
        unit.dirty_since.get_or_insert(now);
    }
}

fn learn(followed: &mut [Followed], news: &News, now: Duration, first: bool) {
    mark(followed, now, |unit| {
        first || news.lost || !unit.inputs.is_disjoint(&news.tables)
    });
}

fn finish(unit: &mut Followed, runs: &[ModelRun], ended: Duration) {
    unit.running = false;
    if runs.iter().any(|run| run.mode.works() && run.failure.is_none()) {
        let took = runs.iter().map(|run| run.duration_ms).max().unwrap_or(0);
        unit.took = Duration::from_millis(took);
    }
    if runs.iter().any(|run| run.failure.is_some()) {
        unit.failures_count = unit.failures_count.saturating_add(1);
        unit.not_before = ended + backoff(unit.failures_count);
        unit.dirty_since.get_or_insert(ended);
    } else {
        unit.failures_count = 0;
        unit.not_before = Duration::ZERO;
        // What waits is woken by the news that the table was made.
        if runs.iter().all(|run| run.mode == Mode::Waiting) {
            tracing::debug!(unit = ?unit.unit.models, "waits for an input");
        }
    }
}

fn backoff(failures_count: u32) -> Duration {
    BACKOFF_MIN
        .saturating_mul(1 << failures_count.saturating_sub(1).min(16))
        .min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests;
