//! Errors without the names that whoever asked may not know of.

use std::sync::Arc;

use datafusion::common::{DataFusionError, SchemaError};

use tidewater_engine::{EngineError, SessionOptions};

use crate::error::QueryError;

/// An error as it is told in a session with these options: where grants bind, one of a column that is not there says nothing of those that
/// are, as the planner knows them all.
pub(in crate::service) fn told_with(options: &SessionOptions, error: QueryError) -> QueryError {
    match error {
        QueryError::Engine(EngineError::Query { source }) if options.access.is_some() => {
            QueryError::Engine(EngineError::from(alone(*source)))
        }
        other => other,
    }
}

/// The error with the column that was asked for alone.
fn alone(error: DataFusionError) -> DataFusionError {
    match error {
        DataFusionError::SchemaError(schema, trace) => match *schema {
            SchemaError::FieldNotFound { field, .. } => {
                let valid_fields = Vec::new();
                DataFusionError::SchemaError(Box::new(SchemaError::FieldNotFound { field, valid_fields }), trace)
            }
            other => DataFusionError::SchemaError(Box::new(other), trace),
        },
        DataFusionError::Context(text, source) => DataFusionError::Context(text, Box::new(alone(*source))),
        DataFusionError::Diagnostic(mut diagnostic, source) => {
            diagnostic.notes.clear();
            diagnostic.helps.clear();
            DataFusionError::Diagnostic(diagnostic, Box::new(alone(*source)))
        }
        DataFusionError::Collection(errors) => DataFusionError::Collection(errors.into_iter().map(alone).collect()),
        DataFusionError::Shared(shared) => match Arc::try_unwrap(shared) {
            Ok(error) => alone(error),
            Err(shared) => lone_copy(&shared).unwrap_or(DataFusionError::Shared(shared)),
        },
        DataFusionError::External(external) => match external.downcast::<DataFusionError>() {
            Ok(error) => alone(*error),
            Err(external) => DataFusionError::External(external),
        },
        other => other,
    }
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
            let after = alone(error).to_string();
            assert!(after.contains("No field named idx."), "{after}");
            assert!(!after.contains("ssn") && !after.contains("Did you mean"), "{after}");
        }
    }
}
