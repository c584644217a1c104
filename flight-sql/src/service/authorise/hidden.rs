//! Errors without the names that whoever asked may not know of, and in words of their own where nothing was granted to anybody.

use std::sync::Arc;

use datafusion::common::{DataFusionError, SchemaError};

use tidewater_core::{Coded, ErrorKind};
use tidewater_engine::{EngineError, SessionOptions};
use tidewater_security::SecurityError;

use crate::error::QueryError;

/// What the planner says before it names a column of `*`, which may be any that there is.
const NAMES_ONE: [&str; 2] = [": While expanding wildcard, column \"", " but the expression \""];

/// An error of a statement as it is told in a session with these options: where grants bind, one of a column says nothing of those that the
/// statement does not name, as the planner knows them all. Where nothing was granted to anybody, that is told of every name, so that nobody
/// looks for tables that are there.
pub(in crate::service) fn told_with(options: &SessionOptions, sql: &str, error: QueryError) -> QueryError {
    let Some(access) = &options.access else {
        return error;
    };
    if access.is_nothing_yet() && lacks_a_grant(&error) {
        return SecurityError::NothingGranted.into();
    }
    match error {
        QueryError::Engine(EngineError::Query { source }) => QueryError::Engine(EngineError::from(alone(*source, sql))),
        other => other,
    }
}

/// Whether an error would be another one, or none, if something were granted. What PostgreSQL's own schemas hold is everybody's.
fn lacks_a_grant(error: &QueryError) -> bool {
    match error {
        QueryError::Security(SecurityError::PermissionDenied { .. }) => true,
        QueryError::Engine(engine) if engine.kind() == ErrorKind::NotFound => true,
        QueryError::Engine(_) => {
            let chain = error.chain();
            let missing = chain.contains("table '") && chain.contains("not found");
            missing && !chain.contains("pg_catalog.") && !chain.contains("information_schema.")
        }
        _ => false,
    }
}

/// The error with no columns but those that the statement names.
fn alone(error: DataFusionError, sql: &str) -> DataFusionError {
    match error {
        DataFusionError::Plan(text) => DataFusionError::Plan(unless_named(text, sql)),
        DataFusionError::SchemaError(schema, trace) => match *schema {
            SchemaError::FieldNotFound { field, .. } => {
                let valid_fields = Vec::new();
                DataFusionError::SchemaError(Box::new(SchemaError::FieldNotFound { field, valid_fields }), trace)
            }
            SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name }
                if !names(sql, &name) =>
            {
                DataFusionError::Plan("two tables or columns are called alike: name them with AS".to_owned())
            }
            other => DataFusionError::SchemaError(Box::new(other), trace),
        },
        DataFusionError::Context(text, source) => DataFusionError::Context(text, Box::new(alone(*source, sql))),
        DataFusionError::Diagnostic(mut diagnostic, source) => {
            diagnostic.notes.clear();
            diagnostic.helps.clear();
            DataFusionError::Diagnostic(diagnostic, Box::new(alone(*source, sql)))
        }
        DataFusionError::Collection(errors) => {
            DataFusionError::Collection(errors.into_iter().map(|error| alone(error, sql)).collect())
        }
        DataFusionError::Shared(shared) => match Arc::try_unwrap(shared) {
            Ok(error) => alone(error, sql),
            Err(shared) => lone_copy(&shared).unwrap_or(DataFusionError::Shared(shared)),
        },
        DataFusionError::External(external) => match external.downcast::<DataFusionError>() {
            Ok(error) => alone(*error, sql),
            Err(external) => DataFusionError::External(external),
        },
        other => other,
    }
}

/// A text of the planner without the column that it names, unless the statement names it too.
fn unless_named(text: String, sql: &str) -> String {
    let found = NAMES_ONE.iter().find_map(|says| text.split_once(says));
    let hidden = found.filter(|(_, behind)| {
        let column = behind.split('"').next().unwrap_or_default();
        !names(sql, column.rsplit('.').next().unwrap_or(column))
    });
    match hidden {
        Some((before, _)) => before.to_owned(),
        None => text,
    }
}

/// Whether a statement has a name in it that is one word.
fn names(sql: &str, name: &str) -> bool {
    let mut words = sql.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    words.any(|word| word.eq_ignore_ascii_case(name))
}

/// An error that others hold too, if it is of a column.
fn lone_copy(shared: &DataFusionError) -> Option<DataFusionError> {
    let DataFusionError::SchemaError(schema, _) = shared.find_root() else {
        return None;
    };
    let SchemaError::FieldNotFound { field, .. } = schema.as_ref() else {
        return None;
    };
    let schema = SchemaError::FieldNotFound {
        field: field.clone(),
        valid_fields: Vec::new(),
    };
    Some(DataFusionError::SchemaError(Box::new(schema), Box::new(None)))
}

#[cfg(test)]
mod tests {
    use datafusion::common::Column;

    use super::*;

    fn missing() -> DataFusionError {
        let schema = SchemaError::FieldNotFound {
            field: Box::new(Column::new_unqualified("idx")),
            valid_fields: vec![Column::new_unqualified("id"), Column::new_unqualified("ssn")],
        };
        DataFusionError::SchemaError(Box::new(schema), Box::new(None))
    }

    // Goal: no error names a column that was not asked for, however it is wrapped. Method: one error in each wrapping that there is.
    #[test]
    fn columns_stay_hidden_in_every_wrapping() {
        let held = Arc::new(missing());
        for error in [
            missing(),
            DataFusionError::Context("while planning".into(), Box::new(missing())),
            DataFusionError::Collection(vec![missing(), missing()]),
            DataFusionError::Shared(Arc::new(missing())),
            DataFusionError::Shared(Arc::clone(&held)),
            DataFusionError::External(Box::new(missing())),
        ] {
            let before = error.to_string();
            assert!(before.contains("ssn"), "{before}");
            let after = alone(error, "SELECT idx FROM t").to_string();
            assert!(after.contains("No field named idx."), "{after}");
            assert!(!after.contains("ssn") && !after.contains("Did you mean"), "{after}");
        }
    }

    // Goal: what the planner says of a column of `*` names none that the statement does not. Method: its words for a column that is not grouped
    // and for one that is there twice, of statements that name it and that do not.
    #[test]
    fn columns_of_all_stay_hidden() {
        let group = "Column in SELECT must be in GROUP BY or an aggregate function: While expanding wildcard, column \"t.ssn\" must appear in \
            the GROUP BY clause or must be part of an aggregate function, currently only \"t.id\" appears in the SELECT clause";
        let twice = "Projections require unique expression names but the expression \"t.ssn\" at position 1 and \"t.ssn\" at position 3 have \
            the same name.";
        for (text, stays) in [(group, "must be in GROUP BY"), (twice, "unique expression names")] {
            let error = || DataFusionError::Plan(text.to_owned());
            let hidden = alone(error(), "SELECT *, * FROM t GROUP BY id").to_string();
            assert!(!hidden.contains("ssn") && hidden.contains(stays), "{hidden}");
            let named = alone(error(), "SELECT SSN FROM t GROUP BY id").to_string();
            assert!(named.contains("t.ssn"), "{named}");
        }
        let schema = SchemaError::DuplicateUnqualifiedField { name: "ssn".into() };
        let error = DataFusionError::SchemaError(Box::new(schema), Box::new(None));
        let hidden = alone(error, "SELECT 1 FROM t, t").to_string();
        assert!(!hidden.contains("ssn"), "{hidden}");
    }
}
