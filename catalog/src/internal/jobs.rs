//! Job rows: those that roles write, and the catalog's own.

use axum::extract::{FromRequestParts, Path, State};
use http::request::Parts;
use serde::Deserialize;
use uuid::Uuid;

use crate::command::{JobPhase, JobPut, Op, Outcome};
use crate::error::{CatalogError, Result};
use crate::rest::{Answer, Body, Query, Shared, json};
use crate::state::{DropJob, JobRow};
use tidewater_catalog_client::dto;
use tidewater_core::JobId;

/// Largest body of a job row: rows stand in the log and in memory of every node.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Longest kind of a job.
const KIND_BYTES_MAX: usize = 64;

/// Most rows of a listing.
const JOBS_PER_PAGE_MAX: usize = 1_000;

/// The job of a path.
#[derive(Debug)]
pub(super) struct OfJob(Uuid);

impl<S: Send + Sync> FromRequestParts<S> for OfJob {
    type Rejection = CatalogError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        match Path::<Uuid>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(rejection) => Err(CatalogError::bad_request(rejection.body_text())),
        }
    }
}

/// `PUT /internal/v1/jobs/{job}`
pub(super) async fn put(State(service): Shared, OfJob(id): OfJob, body: Body<dto::JobPut>) -> Answer {
    let dto::JobPut {
        kind,
        phase,
        body: row,
        expect_version,
    } = body.value;
    let row = row.to_string();
    if row.len() > BODY_BYTES_MAX {
        return Err(CatalogError::TooLarge {
            what: "the body of a job row",
            limit: BODY_BYTES_MAX,
        });
    }
    if kind.len() > KIND_BYTES_MAX {
        return Err(CatalogError::TooLarge {
            what: "the kind of a job",
            limit: KIND_BYTES_MAX,
        });
    }
    let op = Op::PutJob(JobPut {
        id,
        expect_version,
        kind,
        phase: to_phase(phase),
        body: row,
    });
    match service.once(&body.ticket, service.propose(&body.ticket, op)).await? {
        Outcome::Job { version } => json(&dto::JobWritten { version }),
        other => Err(CatalogError::internal(format!("unexpected outcome {other:?}"))),
    }
}

/// `GET /internal/v1/jobs/{job}`
pub(super) async fn load(State(service): Shared, OfJob(id): OfJob) -> Answer {
    let state = service.fresh_state().await?;
    match state.job(id) {
        Some(row) => json(&from_row(row)),
        None => match state.drop_job(id) {
            Some(job) => json(&super::drops::from_job(job)),
            None => Err(CatalogError::NoSuchJob { job: id.to_string() }),
        },
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    /// Only jobs that have not ended.
    #[serde(default)]
    open: bool,
    kind: Option<String>,
    limit: Option<usize>,
}

/// `GET /internal/v1/jobs`
pub(super) async fn list(State(service): Shared, Query(wanted): Query<Wanted>) -> Answer {
    let state = service.fresh_state().await?;
    let fits = |kind: &str, phase: JobPhase| {
        wanted.kind.as_ref().is_none_or(|wanted| wanted == kind) && !(wanted.open && phase.is_final())
    };
    let rows = state.jobs().filter(|row| fits(&row.kind, row.phase)).map(Either::Row);
    let drops = state
        .drop_jobs()
        .filter(|job| fits(super::drops::kind_of(job), job.phase))
        .map(Either::Drop);
    let mut found: Vec<Either<'_>> = rows.chain(drops).collect();
    found.sort_by_key(|row| std::cmp::Reverse(row.made()));
    found.truncate(wanted.limit.unwrap_or(JOBS_PER_PAGE_MAX).min(JOBS_PER_PAGE_MAX));
    json(&dto::JobPage {
        jobs: found.into_iter().map(Either::into_dto).collect(),
    })
}

/// Jobs of roles, whose rows they write themselves, and jobs of the catalog, which finish drops.
enum Either<'a> {
    Row(&'a JobRow),
    Drop(&'a DropJob),
}

impl Either<'_> {
    fn made(&self) -> (i64, Uuid) {
        match self {
            Self::Row(row) => (row.created_at_ms, row.id),
            Self::Drop(job) => (job.created_at_ms, job.id),
        }
    }

    fn into_dto(self) -> dto::JobRow {
        match self {
            Self::Row(row) => from_row(row),
            Self::Drop(job) => super::drops::from_job(job),
        }
    }
}

fn from_row(row: &JobRow) -> dto::JobRow {
    dto::JobRow {
        id: JobId(row.id),
        kind: row.kind.clone(),
        phase: from_phase(row.phase),
        body: serde_json::from_str(&row.body).unwrap_or_default(),
        version: row.version,
        created_at_ms: row.created_at_ms,
        updated_at_ms: row.updated_at_ms,
    }
}

fn to_phase(phase: dto::JobPhase) -> JobPhase {
    match phase {
        dto::JobPhase::Queued => JobPhase::Queued,
        dto::JobPhase::Running => JobPhase::Running,
        dto::JobPhase::Succeeded => JobPhase::Succeeded,
        dto::JobPhase::Failed => JobPhase::Failed,
        dto::JobPhase::Cancelled => JobPhase::Cancelled,
    }
}

pub(super) fn from_phase(phase: JobPhase) -> dto::JobPhase {
    match phase {
        JobPhase::Queued => dto::JobPhase::Queued,
        JobPhase::Running => dto::JobPhase::Running,
        JobPhase::Succeeded => dto::JobPhase::Succeeded,
        JobPhase::Failed => dto::JobPhase::Failed,
        JobPhase::Cancelled => dto::JobPhase::Cancelled,
    }
}
