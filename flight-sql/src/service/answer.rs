//! From a plan to its rows: those that are kept, those that somebody else waits for already, or new ones.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::LogicalPlan;
use futures::future::{Either, select};

use tidewater_core::JobId;
use tidewater_engine::cpu::WAITING_ROWS;
use tidewater_engine::explain::{Watch, counted, with_route};
use tidewater_engine::{Class, EngineError, Place, PlanOutput, PlanRequest, Progress, Warnings};
use tidewater_security::Principal;

use super::late::LateSession;
use super::{Batches, QueryService, Results, to_batches};
use crate::cache::{Bypass, CacheUse, Circumstances, Joined, Outcome, PolicyFingerprint, Question, ReadInstead};
use crate::error::QueryError;
use crate::history::Note;
use crate::wire::wire_schema;

/// Whoever runs a statement that others wait for may fail so often before one who waits runs it alone.
const FAILURES_MAX: usize = 2;

/// A planned statement with its values.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) session: LateSession,
    pub(super) plan: LogicalPlan,
    /// What its rows look like, as it was told.
    pub(super) wire: SchemaRef,
    /// The time that it may take, waiting included.
    pub(super) deadline: Duration,
    /// A moment before its tables were looked up; none where they are those of a transaction.
    pub(super) since: Option<Duration>,
    /// Whether the client takes rows that are kept.
    pub(super) cached: bool,
}

impl QueryService {
    /// Starts to answer, and tells how.
    pub(super) async fn answer(
        &self,
        principal: &Principal,
        asked: Asked,
        note: &Note,
    ) -> Result<(Results, CacheUse), QueryError> {
        note.planned(&asked.plan, &ReadInstead::new());
        let basis = self.basis(&asked);
        let schema = Arc::clone(&asked.wire);
        let warnings = Arc::new(Warnings::default());
        let (batches, how) = if let LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) = &asked.plan {
            warnings.attach(asked.session.made());
            let output = self.explain(principal, asked).await?;
            note.routed(&output.route);
            let rows = to_batches(output.stream, Arc::clone(&schema), self.memory());
            (rows, CacheUse::Bypass(Bypass::Explanation))
        } else {
            match self.question(principal, &asked, &schema) {
                Ok(question) => Box::pin(self.shared(question, asked, &schema, note, &warnings)).await?,
                Err(reason) => {
                    let rows = self.fresh(asked, &schema, note, &warnings).await?;
                    (rows, CacheUse::Bypass(reason))
                }
            }
        };
        note.cached(&how);
        let results = Results {
            schema,
            batches,
            warnings: warnings.told(),
            basis,
        };
        Ok((results, how))
    }

    pub(super) fn question(&self, principal: &Principal, asked: &Asked, wire: &SchemaRef) -> Result<Question, Bypass> {
        if !asked.cached {
            return Err(Bypass::SessionOff);
        }
        // That they are not let in any more is no moment to share rows.
        let lets = self.0.authenticator.still_lets(principal);
        lets.map_err(|_| Bypass::SessionOff)?;
        let options = asked.session.options();
        let around = Circumstances {
            config: &|| Arc::clone(asked.session.made().copied_config().options()),
            // By what the plan was made: what was granted or taken since would keep its rows for others.
            policy: &PolicyFingerprint::of(
                principal,
                &self.0.authenticator,
                options.access.as_deref(),
                options.policies.as_deref(),
            ),
            zone: options.zone(),
            wire,
            now_ms: self.0.engine.clock().now_ms(),
            since: asked.since,
        };
        self.0.cache.question(&asked.plan, &around)
    }

    /// Whether its rows are kept or made already, as far as that can be told before it begins. An explanation is not looked into.
    pub(super) fn needs_no_room(&self, principal: &Principal, asked: &Asked) -> bool {
        let Ok(question) = self.question(principal, asked, &asked.wire) else {
            return false;
        };
        let now = self.clock().monotonic();
        self.0.cache.has(&question.key) || self.0.cache.older(&question, now).is_some()
    }

    /// Rows that are kept, or of the one who runs the same, or new ones for all who ask meanwhile.
    async fn shared(
        &self,
        mut question: Question,
        mut asked: Asked,
        schema: &SchemaRef,
        note: &Note,
        warnings: &Arc<Warnings>,
    ) -> Result<(Batches, CacheUse), QueryError> {
        let clock = self.0.engine.clock();
        if let Some(older) = self.0.cache.older(&question, clock.monotonic()) {
            note.planned(&asked.plan, &older.read);
            return Ok((older.rows, CacheUse::Older { age: older.age }));
        }
        let unsettled = question
            .settled
            .take()
            .map(|settled| std::mem::replace(&mut asked.plan, settled));
        let (began, allowed) = (clock.monotonic(), asked.deadline);
        let mut failures = 0;
        let mut how = CacheUse::Hit;
        let alone = loop {
            asked.deadline = allowed.saturating_sub(clock.monotonic().saturating_sub(began));
            let waiting = match self.0.cache.join(question.key) {
                Joined::Kept(rows) => {
                    self.0.cache.confirm(&question);
                    return Ok((rows, how));
                }
                Joined::Lead(lead) => {
                    let lead = lead.bearing(question.bears);
                    return match self.fresh(asked, schema, note, warnings).await {
                        Ok(rows) => Ok((lead.follow(rows), CacheUse::Miss)),
                        Err(error) => {
                            lead.fail();
                            Err(error)
                        }
                    };
                }
                Joined::Large => break Bypass::Large,
                Joined::Waiting(waiting) => waiting,
            };
            match select(waiting, clock.sleep(asked.deadline)).await {
                Either::Left((Outcome::Rows(rows), _)) => {
                    self.0.cache.confirm(&question);
                    return Ok((rows, CacheUse::Coalesced));
                }
                Either::Left((Outcome::Large, _)) => break Bypass::Large,
                Either::Left((Outcome::Abandoned, _)) => how = CacheUse::Coalesced,
                Either::Left((Outcome::Failed, _)) => {
                    how = CacheUse::Coalesced;
                    failures += 1;
                    if failures >= FAILURES_MAX {
                        break Bypass::Failing;
                    }
                }
                Either::Right(_) => return Err(EngineError::Deadline { allowed }.into()),
            }
        };
        asked.deadline = allowed.saturating_sub(clock.monotonic().saturating_sub(began));
        asked.plan = unsettled.unwrap_or(asked.plan);
        let rows = self.fresh(asked, schema, note, warnings).await?;
        Ok((rows, CacheUse::Bypass(alone)))
    }

    /// Rows that are made now.
    async fn fresh(
        &self,
        asked: Asked,
        schema: &SchemaRef,
        note: &Note,
        warnings: &Arc<Warnings>,
    ) -> Result<Batches, QueryError> {
        // No session is made for who is not let in.
        self.0.runner.room(&asked.plan, Class::Interactive)?;
        let progress = Progress::attach(asked.session.made());
        warnings.attach(asked.session.made());
        self.0.running.tells(note.id(), progress);
        let output = self.0.runner.run(self.request(asked)).await?;
        note.routed(&output.route);
        Ok(to_batches(output.stream, Arc::clone(schema), self.memory()))
    }

    /// What rows on their way are charged to.
    fn memory(&self) -> MemoryReservation {
        let pool = &self.0.engine.runtime_env().memory_pool;
        MemoryConsumer::new(WAITING_ROWS).register(pool)
    }

    fn request(&self, asked: Asked) -> PlanRequest {
        PlanRequest {
            job: JobId(self.0.engine.rng().uuid()),
            session: asked.session.made().clone(),
            plan: asked.plan,
            class: Class::Interactive,
            deadline: Some(asked.deadline),
        }
    }

    /// An explanation also tells where the statement would run, what it would read, and what the cache has for it.
    async fn explain(&self, principal: &Principal, asked: Asked) -> Result<PlanOutput, QueryError> {
        let engine = &self.0.engine;
        let mut explained = asked.clone();
        let mut more = Vec::new();
        match &asked.plan {
            LogicalPlan::Explain(explain) => explained.plan = explain.plan.as_ref().clone(),
            LogicalPlan::Analyze(analyze) => explained.plan = analyze.input.as_ref().clone(),
            _ => {}
        }
        let wire = wire_schema(explained.plan.schema().as_arrow());
        let cache = match self.question(principal, &explained, &wire) {
            Ok(question) if self.0.cache.holds(&question.key) => "hit: its rows are kept".to_owned(),
            Ok(question) => match self.0.cache.older(&question, engine.clock().monotonic()) {
                Some(older) => format!("hit: kept rows that are at most {} ms old", older.age.as_millis()),
                None => "miss: its rows will be kept if they are few enough".to_owned(),
            },
            Err(reason) => format!("bypass: {reason}"),
        };
        let runs = matches!(asked.plan, LogicalPlan::Analyze(_));
        let watch = Watch::attach(engine, asked.session.made(), runs);
        let explained = self.request(explained);
        let route = self.0.runner.route(&explained).await?;
        let estimate = engine.estimate(&explained.session, &explained.plan).await?;
        let (output, route, watch) = if runs && route.place == Place::Cluster {
            let columns = Arc::new(asked.plan.schema().as_arrow().clone());
            let (runner, job) = (Arc::clone(&self.0.runner), explained.job);
            let ran = runner.run(explained).await?;
            // It may have run elsewhere after all.
            let route = ran.route.clone();
            let output = counted(columns, ran, move || runner.stages(job));
            (output, route, watch.of_plan_only())
        } else {
            (self.0.runner.run(self.request(asked)).await?, route, watch)
        };
        if runs {
            let ran = match route.place {
                Place::Local => "in this process",
                Place::Cluster => "on the executors",
            };
            more.push(("analyzed", ran.to_owned()));
        }
        more.push(("cache", cache));
        Ok(with_route(output, &route, &estimate, Some(watch), &more))
    }
}
