//! What can go wrong when plans and jobs are scheduled, with the stable code of each.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ballista_core::error::BallistaError;
use thiserror::Error;

use tidewater_core::{Coded, ErrorKind, RemoteError, Retry};
use tidewater_engine::{EngineError, RunnerError};

/// The result of this crate's calls.
pub type Result<T, E = SchedulerError> = std::result::Result<T, E>;

/// The code of [`SchedulerError::NotPlanned`], by which it is told from what failed while it ran.
pub(crate) const NOT_PLANNED: &str = "SCH-0021";

/// The codes of [`SchedulerError::NoExecutor`] and [`SchedulerError::ExecutorsLost`], which executors that went to another scheduler leave
/// behind.
pub(crate) const NO_EXECUTOR: &str = "SCH-0003";
pub(crate) const EXECUTORS_LOST: &str = "SCH-0004";

/// The code of [`SchedulerError::Ended`], by which it is told from what would end in the same way elsewhere.
pub(crate) const ENDED: &str = "SCH-0022";

/// The code of [`SchedulerError::SchedulerLost`], after which another process may run the plan.
pub(crate) const SCHEDULER_LOST: &str = "SCH-0024";

/// Every failure of this crate.
#[derive(Debug, Error)]
pub enum SchedulerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Options that no scheduler can run with.
    #[error("scheduler options are refused: {reason}")]
    Options {
        /// What is wrong with them.
        reason: String,
    },
    /// Nobody there to run a plan.
    #[error("no executor within {waited:?}")]
    NoExecutor {
        /// How long one was waited for.
        waited: Duration,
    },
    /// Executors were lost again and again while a plan ran.
    #[error("executors were lost in each of {attempts} attempts")]
    ExecutorsLost {
        /// How often the plan was run.
        attempts: u32,
    },
    /// A plan failed where it ran.
    #[error("plan failed on an executor")]
    Failed {
        /// What the executor says.
        #[source]
        source: RemoteError,
    },
    /// The planner of the cluster cannot plan it, at its beginning or between two stages. One process may.
    #[error("the cluster cannot plan it: {reason}")]
    NotPlanned {
        /// What the planner says.
        reason: String,
    },
    /// The time given to a plan is over. It was cancelled.
    #[error("plan took longer than {allowed:?}")]
    Deadline {
        /// The time it was given.
        allowed: Duration,
    },
    /// Rows that were computed cannot be fetched any more.
    #[error("rows of a finished plan cannot be fetched")]
    ResultLost {
        /// Why.
        #[source]
        source: Box<BallistaError>,
    },
    /// A plan was cancelled from outside.
    #[error("plan was cancelled")]
    Cancelled,
    /// A plan that is not finished and of which nothing runs. It was cancelled.
    #[error("plan makes no progress")]
    Stalled,
    /// The scheduler of this process ended while the plan ran: the process does, or another one schedules.
    #[error("the scheduler ended while the plan ran")]
    Ended,
    /// Too many wait already.
    #[error("{queued} plans of class {class} wait already")]
    QueueFull {
        /// The class.
        class: &'static str,
        /// How many wait.
        queued: usize,
    },
    /// Others took too long.
    #[error("waited {waited:?} for a place among plans of class {class}")]
    QueueDeadline {
        /// The class.
        class: &'static str,
        /// How long it was waited.
        waited: Duration,
    },
    /// One user has too many waiting.
    #[error("{queued} plans of {user} wait already in class {class}")]
    UserQueueFull {
        /// The user.
        user: String,
        /// The class.
        class: &'static str,
        /// How many of theirs wait.
        queued: usize,
    },
    /// An executor of another build: it might read plans otherwise than they were meant.
    #[error("executor {executor} is of build {theirs}, the scheduler of build {ours}")]
    OtherBuild {
        /// The executor.
        executor: String,
        /// Its build.
        theirs: String,
        /// The scheduler's.
        ours: String,
    },
    /// An executor that was given up, or let go, under this name, or that had it from a scheduler which is no more.
    #[error("executor {executor} is not on the list and does not come back under this name")]
    GivenUp {
        /// The executor.
        executor: String,
    },
    /// No executor, or more than one, is called so.
    #[error("{found} executors have a name that begins with {name:?}")]
    ExecutorName {
        /// The name as given.
        name: String,
        /// How many there are.
        found: usize,
    },
    /// Nobody was found who schedules, for a plan that is to run on executors.
    #[error("nobody was found who schedules")]
    NobodySchedules {
        /// Why.
        #[source]
        source: Box<tonic::Status>,
    },
    /// The process that a plan was sent to is gone, and the plan's rows with it.
    #[error("the scheduler at {at} was lost with a plan that was sent to it")]
    SchedulerLost {
        /// Its host and port.
        at: String,
        /// What ended the connection.
        #[source]
        source: Box<tonic::Status>,
    },
    /// What became of a plan in the process that it was sent to.
    #[error("{}", .told.message)]
    Elsewhere {
        /// The error's code.
        code: &'static str,
        /// The error.
        told: Box<RemoteError>,
    },
    /// Ballista refused something.
    #[error("{operation} failed")]
    Ballista {
        /// What was attempted.
        operation: &'static str,
        /// Ballista's own error.
        #[source]
        source: Box<BallistaError>,
    },
    /// A session for the cluster cannot be made.
    #[error("cannot make a session for the cluster")]
    Session {
        /// Why.
        #[source]
        source: Box<datafusion::error::DataFusionError>,
    },
}

impl Coded for SchedulerError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Bind { .. } => ErrorKind::Conflict,
            Self::Options { .. } => ErrorKind::Invalid,
            Self::NoExecutor { .. }
            | Self::ExecutorsLost { .. }
            | Self::ResultLost { .. }
            | Self::Ended
            | Self::NobodySchedules { .. }
            | Self::SchedulerLost { .. } => ErrorKind::Unavailable,
            Self::Failed { source } => source.kind,
            Self::Elsewhere { told, .. } => told.kind,
            Self::Deadline { .. } | Self::QueueDeadline { .. } => ErrorKind::Timeout,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::QueueFull { .. } | Self::UserQueueFull { .. } => ErrorKind::Exhausted,
            Self::OtherBuild { .. } | Self::GivenUp { .. } => ErrorKind::Conflict,
            Self::ExecutorName { .. } => ErrorKind::NotFound,
            Self::Ballista { .. } | Self::Session { .. } | Self::Stalled | Self::NotPlanned { .. } => {
                ErrorKind::Internal
            }
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "SCH-0001",
            Self::Options { .. } => "SCH-0002",
            Self::NoExecutor { .. } => NO_EXECUTOR,
            Self::ExecutorsLost { .. } => EXECUTORS_LOST,
            Self::Failed { .. } => "SCH-0005",
            Self::Deadline { .. } => "SCH-0006",
            Self::ResultLost { .. } => "SCH-0007",
            Self::Cancelled => "SCH-0008",
            Self::QueueFull { .. } => "SCH-0009",
            Self::QueueDeadline { .. } => "SCH-0010",
            Self::Ballista { .. } => "SCH-0011",
            Self::Session { .. } => "SCH-0012",
            Self::Stalled => "SCH-0016",
            Self::OtherBuild { .. } => "SCH-0017",
            Self::UserQueueFull { .. } => "SCH-0018",
            Self::GivenUp { .. } => "SCH-0019",
            Self::ExecutorName { .. } => "SCH-0020",
            Self::NotPlanned { .. } => NOT_PLANNED,
            Self::Ended => ENDED,
            Self::NobodySchedules { .. } => "SCH-0023",
            Self::SchedulerLost { .. } => SCHEDULER_LOST,
            Self::Elsewhere { code, .. } => code,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Failed { source } => source.retry,
            Self::Elsewhere { told, .. } => told.retry,
            // A plan changes nothing: what it wrote counts only once its caller commits it.
            Self::NoExecutor { .. }
            | Self::ExecutorsLost { .. }
            | Self::Deadline { .. }
            | Self::ResultLost { .. }
            | Self::Ended
            | Self::NobodySchedules { .. }
            | Self::SchedulerLost { .. }
            | Self::QueueFull { .. }
            | Self::UserQueueFull { .. }
            | Self::QueueDeadline { .. } => Retry::Safe,
            _ => Retry::Never,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Bind { address, .. } => format!("choose a port other than {} or 0 for any", address.port()),
            Self::Options { .. } => "correct the section [scheduler] of the configuration".to_owned(),
            Self::NoExecutor { .. } => "start one with: tidewater serve --roles executor".to_owned(),
            Self::ExecutorsLost { .. } => {
                "look for executors that were killed, most often for want of memory".to_owned()
            }
            Self::Failed { source } => return source.hint.clone(),
            Self::Elsewhere { told, .. } => return told.hint.clone(),
            Self::NobodySchedules { .. } => {
                "see that a process with the role scheduler runs, or SET tidewater.execution = local".to_owned()
            }
            Self::SchedulerLost { .. } => "ask again: another process schedules by then".to_owned(),
            Self::Deadline { .. } => "filter on a partition column, or ask for a longer time limit".to_owned(),
            Self::QueueFull { .. } | Self::QueueDeadline { .. } => "try again in a moment".to_owned(),
            Self::UserQueueFull { .. } => "wait for statements of yours to end".to_owned(),
            Self::OtherBuild { .. } => "run the same tidewater on scheduler and executors".to_owned(),
            Self::Ended => "ask again: another process schedules by then, or this one once more".to_owned(),
            Self::GivenUp { .. } => "it registers under a new name by itself".to_owned(),
            Self::ExecutorName { .. } => "tidewater executor ls tells their names".to_owned(),
            Self::NotPlanned { .. } => "SET tidewater.execution = local runs it in one process".to_owned(),
            _ => return None,
        })
    }
}

impl From<SchedulerError> for EngineError {
    fn from(error: SchedulerError) -> Self {
        Self::Runner(RunnerError::new(error))
    }
}
