//! The stable code of each error, what kind it is, and what can be done about it.

use std::error::Error;
use std::io;

use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use tidewater_core::{Coded, ErrorKind, Retry};
use tidewater_table::TableError;

use super::EngineError;

/// What lies at the bottom of a chain of errors.
enum Root<'a> {
    Engine(&'a EngineError),
    Table(&'a TableError),
    Store(&'a object_store::Error),
    DataFusion(&'a DataFusionError),
}

fn root(error: &DataFusionError) -> Root<'_> {
    let mut deepest = error;
    let mut store = None;
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    // `source` of an external error skips the error itself, so that is asked first.
    loop {
        if let DataFusionError::External(external) = deepest {
            if let Some(ours) = external.downcast_ref::<EngineError>() {
                return match ours {
                    EngineError::Query { source } => root(source),
                    EngineError::Table(table) => Root::Table(table),
                    ours => Root::Engine(ours),
                };
            }
            if let Some(table) = external.downcast_ref::<TableError>() {
                return Root::Table(table);
            }
        }
        let Some(error) = next else {
            return store.map_or(Root::DataFusion(deepest), Root::Store);
        };
        if let Some(ours) = error.downcast_ref::<EngineError>() {
            return Root::Engine(ours);
        }
        if let Some(table) = error.downcast_ref::<TableError>() {
            return Root::Table(table);
        }
        // The Parquet reader wraps what the store says as if the file were damaged.
        if let Some(told) = error.downcast_ref::<object_store::Error>() {
            store.get_or_insert(told);
        }
        if let Some(inner) = error.downcast_ref::<DataFusionError>() {
            deepest = inner;
        } else if let Some(inner) = error.downcast_ref::<std::sync::Arc<DataFusionError>>() {
            deepest = inner;
        }
        next = error.source();
    }
}

fn datafusion_kind(error: &DataFusionError) -> ErrorKind {
    match error {
        DataFusionError::ArrowError(error, _) if no_disk_left(error) => ErrorKind::Exhausted,
        // What cannot be read of a file.
        DataFusionError::ArrowError(error, _) if matches!(error.as_ref(), ArrowError::ParquetError(_)) => {
            ErrorKind::Corrupt
        }
        DataFusionError::IoError(error) if is_full(error) => ErrorKind::Exhausted,
        DataFusionError::SQL(..)
        | DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::Configuration(_)
        | DataFusionError::ArrowError(..)
        | DataFusionError::Execution(_)
        | DataFusionError::Diagnostic(..)
        | DataFusionError::Collection(_) => ErrorKind::Invalid,
        DataFusionError::NotImplemented(_) | DataFusionError::Substrait(_) => ErrorKind::Unsupported,
        DataFusionError::ResourcesExhausted(_) => ErrorKind::Exhausted,
        DataFusionError::ParquetError(_) => ErrorKind::Corrupt,
        DataFusionError::ObjectStore(error) => store_kind(error),
        DataFusionError::IoError(_) => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    }
}

fn store_kind(error: &object_store::Error) -> ErrorKind {
    match error {
        object_store::Error::NotFound { .. } => ErrorKind::NotFound,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => ErrorKind::Denied,
        _ => ErrorKind::Unavailable,
    }
}

fn retry_of(kind: ErrorKind) -> Retry {
    match kind {
        ErrorKind::Unavailable | ErrorKind::Exhausted => Retry::Safe,
        _ => Retry::Never,
    }
}

/// How the disk manager says, in text only, that spilled rows would take more than they may: writers of rows wrap it as an error of
/// input and output.
const SPILL_LIMIT: &str = "max_temp_directory_size";

fn no_disk_left(error: &ArrowError) -> bool {
    match error {
        ArrowError::IoError(text, error) => is_full(error) || text.contains(SPILL_LIMIT),
        ArrowError::ExternalError(error) => error.to_string().contains(SPILL_LIMIT),
        _ => false,
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        || error.to_string().contains(SPILL_LIMIT)
}

fn datafusion_code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Invalid => "ENG-0003",
        ErrorKind::Unsupported => "ENG-0004",
        ErrorKind::Exhausted => "ENG-0005",
        ErrorKind::Corrupt => "ENG-0006",
        ErrorKind::Unavailable | ErrorKind::NotFound | ErrorKind::Denied => "ENG-0007",
        _ => "ENG-0008",
    }
}

impl Coded for EngineError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Table(error) => error.kind(),
            Self::Runner(error) => error.0.kind(),
            Self::Denied(error) => error.kind(),
            Self::TableNotFound { .. }
            | Self::StateGone { .. }
            | Self::VersionNotFound { .. }
            | Self::BeforeHistory { .. } => ErrorKind::NotFound,
            Self::Name { .. } | Self::Columns { .. } | Self::Options { .. } => ErrorKind::Invalid,
            Self::Statement { .. } | Self::ManyMatches { .. } | Self::NotABranch { .. } => ErrorKind::Invalid,
            Self::Unsettled { .. } => ErrorKind::Invalid,
            Self::TooComplex { .. } | Self::ValueTooLarge { .. } | Self::NotTaken { .. } => ErrorKind::Invalid,
            Self::PatternTooLarge { .. } => ErrorKind::Invalid,
            Self::TooManyRows { .. } => ErrorKind::Exhausted,
            Self::Managed { .. } | Self::UnderPolicy { .. } => ErrorKind::Denied,
            Self::Query { source } => match root(source) {
                Root::Engine(error) => error.kind(),
                Root::Table(error) => error.kind(),
                Root::Store(error) => store_kind(error),
                Root::DataFusion(error) => datafusion_kind(error),
            },
            Self::Deadline { .. } => ErrorKind::Timeout,
            Self::Unsupported { .. } | Self::CannotWait { .. } => ErrorKind::Unsupported,
            Self::PlanDamaged { .. } => ErrorKind::Corrupt,
            Self::WriteAnswer { .. } | Self::RowsLost { .. } | Self::RuleFailed { .. } => ErrorKind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Table(error) => error.code(),
            Self::Runner(error) => error.0.code(),
            Self::Denied(error) => error.code(),
            Self::TableNotFound { .. } => "ENG-0001",
            Self::Name { .. } => "ENG-0002",
            Self::Query { source } => match root(source) {
                Root::Engine(error) => error.code(),
                Root::Table(error) => error.code(),
                Root::Store(error) => datafusion_code(store_kind(error)),
                Root::DataFusion(error) => datafusion_code(datafusion_kind(error)),
            },
            Self::Deadline { .. } => "ENG-0009",
            Self::Columns { .. } => "ENG-0011",
            Self::PlanDamaged { .. } => "ENG-0012",
            Self::WriteAnswer { .. } => "ENG-0013",
            Self::Options { .. } => "ENG-0014",
            Self::Unsupported { .. } => "ENG-0015",
            Self::RowsLost { .. } => "ENG-0016",
            Self::Statement { .. } | Self::NotTaken { .. } => "ENG-0017",
            Self::Managed { .. } => "ENG-0018",
            Self::ManyMatches { .. } => "ENG-0019",
            Self::TooComplex { .. } => "ENG-0020",
            Self::ValueTooLarge { .. } => "ENG-0021",
            Self::NotABranch { .. } => "ENG-0022",
            Self::TooManyRows { .. } => "ENG-0023",
            Self::CannotWait { .. } => "ENG-0024",
            Self::RuleFailed { .. } => "ENG-0025",
            Self::PatternTooLarge { .. } => "ENG-0026",
            Self::Unsettled { .. } => "ENG-0027",
            Self::VersionNotFound { .. } => "ENG-0030",
            Self::BeforeHistory { .. } => "ENG-0031",
            Self::UnderPolicy { .. } => "ENG-0032",
            Self::StateGone { .. } => "ENG-0040",
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Table(error) => error.retry(),
            Self::Runner(error) => error.0.retry(),
            Self::Denied(error) => error.retry(),
            Self::Query { source } => match root(source) {
                Root::Engine(error) => error.retry(),
                Root::Table(error) => error.retry(),
                Root::Store(error) => retry_of(store_kind(error)),
                Root::DataFusion(error) => retry_of(datafusion_kind(error)),
            },
            // A query changes nothing before its end.
            Self::Deadline { .. } => Retry::Safe,
            _ => Retry::Never,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Table(error) => return error.hint(),
            Self::Runner(error) => return error.0.hint(),
            Self::Denied(error) => return error.hint(),
            Self::TableNotFound { .. } => "see what there is with: tidewater table ls",
            Self::StateGone { .. } => {
                "end the transaction and begin another one; in a long one, read every table soon after its first statement"
            }
            Self::VersionNotFound { table, nearest, .. } => {
                let (namespace, name) = (table.namespace(), table.name());
                let near = nearest.as_ref().map(|near| format!("did you mean {near:?}? "));
                return Some(format!(
                    "{}see its branches and tags with: SELECT * FROM {namespace}.\"{name}$refs\"",
                    near.unwrap_or_default()
                ));
            }
            Self::NotABranch { table, .. } => {
                return Some(format!(
                    "write to the table, or to a branch: ALTER TABLE {table} CREATE BRANCH audit; INSERT INTO {table}.branch_audit …"
                ));
            }
            Self::NotTaken { advice, .. } => return Some(advice.clone()),
            Self::CannotWait { table } => {
                return Some(format!(
                    "stage rows instead: INSERT OVERWRITE {table} …, or DELETE and INSERT; or replace the table without an id: RESET tidewater.wap_id"
                ));
            }
            Self::BeforeHistory {
                oldest: Some(oldest), ..
            } => {
                return Some(format!("its oldest snapshot that is kept is of {oldest}"));
            }
            Self::Query { source } => match root(source) {
                Root::Engine(error) => return error.hint(),
                Root::Table(error) => return error.hint(),
                Root::DataFusion(DataFusionError::ResourcesExhausted(_)) => {
                    "read fewer columns or rows, or give the engine more memory (engine.memory_bytes)"
                }
                Root::DataFusion(error) if datafusion_kind(error) == ErrorKind::Exhausted => {
                    "free space on the spill disk, give it a larger part of it (engine.spill_bytes_max), or give the engine more memory"
                }
                Root::Store(_) | Root::DataFusion(_) => return None,
            },
            Self::Deadline { .. } => "filter on a partition column, or ask for a longer time limit",
            Self::Managed { .. } => {
                "read it, or let SQL write it too: ALTER TABLE … SET TBLPROPERTIES ('tidewater.sql-writes' = 'allowed')"
            }
            Self::ManyMatches { .. } => {
                "let the source have one row for each row of the table: group it, or number its rows and take the first"
            }
            Self::Unsettled { .. } => {
                "ask it in the source and test the source's column, or write it into a table first: CREATE TABLE … AS SELECT …"
            }
            Self::Columns { .. } => "name the columns of the query as the table names them",
            Self::TooComplex { .. } => "write a list as IN (…) or VALUES, or put the values into a table and join it",
            Self::TooManyRows { .. } => {
                "ask for the first rows with LIMIT, or compact the table: CALL system.rewrite_data_files"
            }
            Self::ValueTooLarge { .. } => "ask for a smaller value, or for fewer rows at once",
            Self::PatternTooLarge { .. } => {
                "repeat parts less often, and write those that are not asked for as (?:…) instead of (…)"
            }
            Self::UnderPolicy { .. } => "ask for rows of the table, or let somebody do it who sees all of it",
            _ => return None,
        };
        Some(text.into())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    // Goal: our own errors keep their code through the query engine. Method: wrap and unwrap in the ways it does.
    #[test]
    fn codes_survive_the_query_engine() {
        let deadline = || EngineError::Deadline {
            allowed: Duration::from_secs(1),
        };
        let direct = EngineError::from(DataFusionError::from(deadline()));
        assert_eq!(direct.code(), "ENG-0009");
        let shared = DataFusionError::Shared(DataFusionError::from(deadline()).into());
        let wrapped = EngineError::from(shared.context("while reading"));
        assert_eq!((wrapped.code(), wrapped.kind()), ("ENG-0009", ErrorKind::Timeout));
        let memory = EngineError::from(DataFusionError::ResourcesExhausted("pool".into()).context("sort"));
        assert_eq!((memory.code(), memory.retry()), ("ENG-0005", Retry::Safe));
        for full in [
            ArrowError::IoError("full".into(), io::ErrorKind::StorageFull.into()),
            ArrowError::IoError(format!("increase {SPILL_LIMIT}"), io::Error::other("limit")),
        ] {
            let full = EngineError::from(DataFusionError::ArrowError(Box::new(full), None));
            assert_eq!((full.code(), full.retry()), ("ENG-0005", Retry::Safe));
        }
        assert!(memory.hint().is_some());
        let away = || object_store::Error::Generic {
            store: "S3",
            source: "503".into(),
        };
        let read = datafusion::parquet::errors::ParquetError::External(Box::new(away()));
        for away in [DataFusionError::from(away()), DataFusionError::from(read)] {
            let away = EngineError::from(away.context("while reading"));
            assert_eq!((away.code(), away.retry()), ("ENG-0007", Retry::Safe), "{away:?}");
        }
    }
}
