//! The extended protocol: statements that are kept, portals with values, and rows a few at a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::scalar::ScalarValue;
use tidewater_engine::pg_catalog::{DATE_STYLE, DateOrder};
use uuid::Uuid;

use super::answers::{Answer, no_cursor, no_statement};
use super::{Kept, PORTALS_MAX, Portal, Progress, STATEMENTS_MAX, Session};
use crate::postgres::bind;
use crate::postgres::connection::Wire;
use crate::postgres::copy;
use crate::postgres::encode::Style;
use crate::postgres::failure::{Failure, state};
use crate::postgres::message::{Bind, Target};
use crate::postgres::reply::format_of;
use crate::postgres::rows::{Sending, Stopped, columns};
use crate::postgres::script::{Sentence, What};
use crate::postgres::types::{self, PgType};

impl Session {
    pub(super) async fn parse(
        &mut self,
        name: String,
        sql: &str,
        types: Vec<u32>,
        wire: &mut Wire,
    ) -> Result<(), Stopped> {
        // The nameless one goes, whatever becomes of the one in its place.
        if name.is_empty() {
            self.statements.remove(&name);
        }
        self.vacant(&name)?;
        self.keep(name, sql, types).await?;
        wire.replies.parse_complete();
        Ok(())
    }

    /// Refuses a name that a statement has.
    pub(super) fn vacant(&self, name: &str) -> Result<(), Failure> {
        match self.statements.contains_key(name) {
            false => Ok(()),
            true => Err(Failure::new(
                state::STATEMENT_EXISTS,
                format!("prepared statement \"{name}\" already exists"),
            )),
        }
    }

    /// Keeps a statement under a name, with what can be told of it.
    pub(super) async fn keep(&mut self, name: String, sql: &str, declared: Vec<u32>) -> Result<(), Failure> {
        if self.statements.len() >= STATEMENTS_MAX {
            let text = format!("a session keeps {STATEMENTS_MAX} statements at most");
            return Err(Failure::new(state::LIMIT, text));
        }
        let found = self.scripts.sentences(sql)?;
        if found.len() > 1 {
            let text = "cannot insert multiple commands into a prepared statement";
            return Err(Failure::new(state::SYNTAX, text));
        }
        let sentence = found.first().cloned();
        let mut kept = Kept {
            parameters: declared.clone(),
            declared,
            columns: None,
            sentence,
            bytes: 0,
        };
        // In a transaction that failed nothing is looked up any more.
        if let (Some(sentence), false) = (&kept.sentence, self.transaction.failed()) {
            let before = sentence.before;
            match &sentence.what {
                What::Query => {
                    let sql = sentence.sql.clone();
                    let told = self.tell(&sql, &kept.declared.clone()).await;
                    let (parameters, columns) = told.map_err(|failure| failure.behind(before))?;
                    kept.parameters = parameters;
                    kept.columns = columns;
                }
                What::Execute { name, values } if self.statements.contains_key(name) => {
                    let (_, sql) = self.filled(name, values)?;
                    kept.columns = self.tell(&sql, &[]).await?.1;
                }
                What::CopyOut(_) | What::Fetch { .. } | What::Execute { .. } => {}
                other => kept.columns = self.own_columns(other)?,
            }
        }
        let text = kept.sentence.as_ref().map_or(0, Sentence::bytes);
        let columns = kept.columns.as_ref().map_or(0, |schema| schema.fields().size());
        let types = (kept.parameters.len() + kept.declared.len()) * size_of::<u32>();
        kept.bytes = name.len() + text + columns + types;
        self.room_for(kept.bytes, None)?;
        self.statements.insert(name, Arc::new(kept));
        Ok(())
    }

    /// Types of parameters, and columns.
    pub(super) async fn tell(&mut self, sql: &str, declared: &[u32]) -> Result<(Vec<u32>, Option<SchemaRef>), Failure> {
        let options = self.options(sql, declared).await?;
        let meant = self.on_path(sql, &options).await?;
        let told = self.service.tell(&self.principal, &meant, &options).await;
        let told = told.map_err(|error| Failure::of(&error, sql))?;
        let count = told.parameters.len().max(declared.len());
        let casts = numbers_of_objects(sql);
        let types = (0..count).map(|at| {
            let said = declared
                .get(at)
                .copied()
                .filter(|oid| !matches!(*oid, 0 | types::UNKNOWN));
            let guessed = || {
                told.parameters
                    .get(at)
                    .and_then(Option::as_ref)
                    .map(|of| PgType::of(of).oid)
            };
            let named = || casts.contains(&(at + 1)).then_some(types::OIDS);
            said.or_else(named).or_else(guessed).unwrap_or(types::TEXT)
        });
        Ok((types.collect(), told.columns))
    }

    pub(super) fn bind(&mut self, sent: Bind, wire: &mut Wire) -> Result<(), Failure> {
        let kept = self.statements.get(&sent.statement).cloned();
        let kept = kept.ok_or_else(|| no_statement(&sent.statement))?;
        if !sent.portal.is_empty() && self.portals.contains_key(&sent.portal) {
            return Err(Failure::new(
                state::CURSOR_EXISTS,
                format!("cursor \"{}\" already exists", sent.portal),
            ));
        }
        if self.portals.len() >= PORTALS_MAX {
            return Err(Failure::new(
                state::LIMIT,
                format!("a session has {PORTALS_MAX} portals at most"),
            ));
        }
        if sent.values.len() != kept.parameters.len() {
            let text = format!(
                "bind message supplies {} parameters, but prepared statement \"{}\" requires {}",
                sent.values.len(),
                sent.statement,
                kept.parameters.len()
            );
            return Err(Failure::protocol(text));
        }
        for format in sent.value_formats.iter().chain(&sent.result_formats) {
            if !matches!(format, 0 | 1) {
                return Err(Failure::protocol(format!("values have no format {format}")));
            }
        }
        let pairs = kept.parameters.iter().zip(&sent.values).enumerate();
        let zone = self.settings.zone().name();
        let order = DateOrder::of(self.settings.get(DATE_STYLE));
        let values = pairs.map(|(at, (oid, value))| {
            let binary = format_of(&sent.value_formats, at) == 1;
            let ordered = match binary {
                true => None,
                false => bind::in_order(*oid, value.as_ref(), order),
            };
            bind::value(*oid, binary, ordered.as_ref().or(value.as_ref()), zone.as_deref())
        });
        let values = values.collect::<Result<Vec<ScalarValue>, Failure>>()?;
        let bytes = sent.portal.len() + kept.bytes + ScalarValue::size_of_vec(&values);
        self.room_for(bytes, Some(&sent.portal))?;
        let portal = Portal {
            kept,
            values,
            style: Style {
                formats: sent.result_formats,
                zone: self.settings.zone(),
            },
            progress: Progress::Bound,
            bytes,
        };
        self.portals.insert(sent.portal, portal);
        wire.replies.bind_complete();
        Ok(())
    }

    pub(super) fn describe(&mut self, target: &Target, wire: &mut Wire) -> Result<(), Failure> {
        let (kept, formats) = match target {
            Target::Statement(name) => {
                let kept = self.statements.get(name).cloned().ok_or_else(|| no_statement(name))?;
                wire.replies.parameters(&kept.parameters);
                (kept, Vec::new())
            }
            Target::Portal(name) => {
                let portal = self.portals.get(name);
                // A cursor is a portal too.
                if let (None, Some(declared)) = (portal, self.cursors.get(name)) {
                    wire.replies.columns(&columns(&declared.cursor.schema), &[]);
                    return Ok(());
                }
                let portal = portal.ok_or_else(|| no_cursor(name))?;
                (Arc::clone(&portal.kept), portal.style.formats.clone())
            }
        };
        let schema = match kept.sentence.as_ref().map(|sentence| &sentence.what) {
            Some(what @ (What::Fetch { .. } | What::Execute { .. })) if kept.columns.is_none() => {
                self.own_columns(what)?
            }
            _ => kept.columns.clone(),
        };
        match schema {
            Some(schema) => wire.replies.columns(&columns(&schema), &formats),
            None => wire.replies.no_data(),
        }
        Ok(())
    }

    pub(super) async fn execute(&mut self, name: &str, rows_max: usize, wire: &mut Wire) -> Result<(), Stopped> {
        let portal = match self.portals.remove(name) {
            Some(portal) => portal,
            None => return Err(no_cursor(name).into()),
        };
        let limit = self.settings.duration("statement_timeout");
        let id = match &portal.progress {
            Progress::Rows(_, id, _) => *id,
            Progress::Bound | Progress::Done => self.service.fresh_id(),
        };
        let late = super::late(self.service.clone(), id, limit);
        let kept = Arc::clone(&portal.kept);
        let done = tokio::select! {
            done = self.portal(id, portal, rows_max, wire) => done,
            () = late => Err(super::timed_out().into()),
        };
        if let (Err(_), Some(sentence)) = (&done, &kept.sentence) {
            self.spoil(&sentence.what);
        }
        let portal = done?;
        self.place.works_on(None);
        // What ended the transaction ended its portals.
        self.portals.insert(name.to_owned(), portal);
        Ok(())
    }

    async fn portal(
        &mut self,
        id: Uuid,
        mut portal: Portal,
        rows_max: usize,
        wire: &mut Wire,
    ) -> Result<Portal, Stopped> {
        let kept = Arc::clone(&portal.kept);
        let Some(sentence) = &kept.sentence else {
            wire.replies.empty_query();
            return Ok(portal);
        };
        if let Progress::Bound = portal.progress {
            let values = std::mem::take(&mut portal.values);
            let answer = self.answer(id, sentence, Some(&kept), values, wire).await;
            let answer = answer.map_err(|failure| failure.behind(sentence.before))?;
            portal.progress = match answer {
                Answer::Tag(tag) => {
                    wire.replies.complete(&tag);
                    Progress::Done
                }
                Answer::Copy(results, how) => {
                    let count = copy::send(results, &how, portal.style.clone(), wire, &sentence.sql).await?;
                    wire.replies.complete(&format!("COPY {count}"));
                    Progress::Done
                }
                Answer::Rows(results, "MOVE") => {
                    let mut rows = Sending::new(results.batches, portal.style.clone());
                    let count = rows.skip(&sentence.sql).await?;
                    wire.replies.complete(&super::tagged("MOVE", count));
                    Progress::Done
                }
                Answer::Rows(results, tag) => {
                    let told = match &sentence.what {
                        What::Query => kept.columns.clone(),
                        what @ What::Execute { .. } if kept.columns.is_none() => self.own_columns(what)?,
                        What::Execute { .. } => kept.columns.clone(),
                        _ => None,
                    };
                    if let Some(told) = told {
                        // How many digits a decimal has may depend on values.
                        same_columns(&told, &results.schema, kept.parameters.is_empty())?;
                    }
                    // A cursor's rows come of the statement that it was declared with.
                    let id = match &sentence.what {
                        What::Fetch { name, .. } => self.cursors.get(name).map_or(id, |declared| declared.id),
                        _ => id,
                    };
                    let rows = Sending::new(results.batches, portal.style.clone());
                    Progress::Rows(Box::new(rows), id, tag)
                }
            };
            if let Progress::Done = portal.progress {
                return Ok(portal);
            }
        } else if let Progress::Rows(..) = portal.progress {
            // As FETCH asks.
            let lets = self.service.authenticator().still_lets(&self.principal);
            lets.map_err(|error| Failure::of(&error.into(), &sentence.sql).behind(sentence.before))?;
        }
        match &mut portal.progress {
            Progress::Rows(rows, id, tag) => {
                self.place.works_on(Some(*id));
                let before = rows.sent;
                if rows.send(rows_max, wire, &sentence.sql).await? {
                    wire.replies.complete(&super::tagged(tag, rows.sent - before));
                    portal.progress = Progress::Done;
                } else {
                    wire.replies.portal_suspended();
                }
            }
            // All its rows were sent.
            _ => wire.replies.complete("SELECT 0"),
        }
        Ok(portal)
    }
}

/// Refuses rows under other names or of other types than the client was told of, also of decimals with other digits if they have to be
/// `exactly` the same: since then a table, a view or `search_path` has changed. PostgreSQL refuses them in these words, by which drivers
/// know to prepare again.
pub(super) fn same_columns(told: &SchemaRef, now: &SchemaRef, exactly: bool) -> Result<(), Failure> {
    let known = |schema: &SchemaRef| {
        let columns = columns(schema).into_iter();
        let known = columns.map(|column| (column.name, column.of.oid, exactly.then_some(column.of.modifier)));
        known.collect::<Vec<_>>()
    };
    if known(told) == known(now) {
        return Ok(());
    }
    Err(Failure::new(
        state::NOT_SUPPORTED,
        "cached plan must not change result type",
    ))
}

/// The parameters that are cast to an array of object numbers. Plans know it as one of whole numbers, which some drivers ask about with
/// this very statement.
fn numbers_of_objects(sql: &str) -> BTreeSet<usize> {
    let lower = sql.to_ascii_lowercase();
    let before = lower.match_indices("::oid[]").filter_map(|(at, _)| lower.get(..at));
    let numbers = before.filter_map(|before| {
        let name = before.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let number = before.get(name.len()..).filter(|_| name.ends_with('$'));
        number?.parse().ok()
    });
    numbers.collect()
}

#[cfg(test)]
mod tests {
    use super::numbers_of_objects;

    // Goal: the parameters that are cast to arrays of object numbers are found, and no others. Method: casts of some, of others and of none.
    #[test]
    fn casts_to_numbers_of_objects_are_found() {
        for (sql, numbers) in [
            ("SELECT $1", vec![]),
            ("SELECT $1, $12::OID[], x::oid[], $3::int[]", vec![12]),
            ("SELECT any($2::oid[]), '$é::oid[]', $10::oid[]", vec![2, 10]),
        ] {
            assert_eq!(
                numbers_of_objects(sql).into_iter().collect::<Vec<_>>(),
                numbers,
                "{sql}"
            );
        }
    }
}
