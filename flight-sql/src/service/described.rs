//! The parameters of a statement that changes something, before it is carried out.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::DataType;

use tidewater_engine::{Command, SessionOptions};
use tidewater_security::Principal;

use super::{QueryService, parameters};
use crate::error::QueryError;
use crate::placeholder::placeholder_number;

/// Types of parameters by number, as far as they are known.
type Types = BTreeMap<usize, Option<DataType>>;

impl QueryService {
    /// The types of a command's parameters, as far as they can be told: those of the columns that they meet or go to.
    pub(super) async fn described(
        &self,
        principal: &Principal,
        sql: &str,
        command: &Command,
        client: SessionOptions,
    ) -> Result<Types, QueryError> {
        if !matches!(command, Command::Insert(_) | Command::Merge(_)) {
            return Ok(Types::new());
        }
        let client = self.seen_by(principal, client)?;
        let options = self.0.sessions.options(sql, client).await;
        let mut planned = self.types_within(&options, sql).await?;
        if planned.is_none() && options.postgres.is_some() {
            let plain = SessionOptions {
                postgres: None,
                ..options.clone()
            };
            planned = self.types_within(&plain, sql).await?;
        }
        let whole = planned.is_some();
        let mut types = planned.unwrap_or_default();
        // What makes no sense says so where it is carried out.
        let Ok(destinations) = Box::pin(self.0.engine.destinations(&options, command)).await else {
            return Ok(types);
        };
        let columns = destinations.columns.into_iter();
        let columns = columns.filter_map(|(name, of)| Some((placeholder_number(&name)?, Some(of))));
        add(&mut types, columns.collect());
        if !whole {
            for query in &destinations.queries {
                if let Some(more) = self.types_within(&options, query).await? {
                    add(&mut types, more);
                }
            }
        }
        Ok(types)
    }

    /// The types that the plan of a statement tells, if it can be planned, and reads what whoever asks may: else they would tell of columns
    /// that may not be known.
    async fn types_within(&self, options: &SessionOptions, sql: &str) -> Result<Option<Types>, QueryError> {
        let Ok(plan) = self.planned(options, sql).await else {
            return Ok(None);
        };
        match parameters::numbered(&plan) {
            Err(refused @ QueryError::Parameters { .. }) => Err(refused),
            told => Ok(told.ok()),
        }
    }
}

/// Adds what was not known.
fn add(types: &mut Types, more: Types) {
    for (number, of) in more {
        let known = types.entry(number).or_default();
        if known.is_none() {
            *known = of;
        }
    }
}
