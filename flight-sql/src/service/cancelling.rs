//! Statements that their owners end, here or in whichever other process runs them.

use std::collections::BTreeMap;

use uuid::Uuid;

use tidewater_security::Principal;

use super::QueryService;
use super::running::Fate;
use crate::error::QueryError;
use crate::fleet::Fleet;
use crate::handle::Statement;
use crate::history::KNOWN_BYTES_MAX;
use crate::postgres::{CancelKey, Registry};
use crate::siblings::{Answer, Ask, Found, Heard};

impl QueryService {
    /// Ends a statement that this principal runs, wherever its rows come from. False when there is none of theirs here that
    /// could be ended.
    pub fn cancel(&self, principal: &Principal, statement: &Statement) -> bool {
        self.0.running.cancel(statement.id, &principal.name) != Fate::Over
    }

    /// The same in whichever process it runs. Where it has not begun in any that answers, it begins in none of them any more.
    pub async fn cancel_anywhere(&self, principal: &Principal, statement: &Statement) -> bool {
        let (id, owner) = (statement.id, principal.name.clone());
        let here = self.0.running.cancel(id, &owner);
        // A prepared statement has no name, by which another process could find it.
        if here == Fate::Ended || id.is_nil() {
            return here == Fate::Ended;
        }
        match self.ask(&Ask::Statement { id, owner }).await.found {
            Found::Ended => true,
            Found::Over => false,
            Found::Nothing => here == Fate::NotBegun,
        }
    }

    /// Ends a query that this principal polls, or that has ended by being cancelled.
    pub fn cancel_polled(&self, principal: &Principal, id: Uuid) -> bool {
        if self.held().cancel(principal, id).is_ok() {
            self.0.running.is_cancelled_by(id, principal);
        }
        self.0.running.was_cancelled_by(id, principal)
    }

    /// The same in whichever process holds it.
    pub async fn cancel_polled_anywhere(&self, principal: &Principal, id: Uuid) -> bool {
        let owner = principal.name.clone();
        self.cancel_polled(principal, id) || self.ask(&Ask::Polled { id, owner }).await.found == Found::Ended
    }

    /// Ends a statement whose result is held for this principal, or forgets the result, in whichever process holds it.
    ///
    /// # Errors
    /// [`QueryError::NotHeld`] when none does.
    pub(crate) async fn forget_anywhere(&self, principal: &Principal, id: Uuid) -> Result<(), QueryError> {
        let owner = principal.name.clone();
        let known = self.forget(principal, id) || self.ask(&Ask::Held { id, owner }).await.found == Found::Ended;
        match known {
            true => Ok(()),
            false => Err(QueryError::NotHeld { id }),
        }
    }

    /// Whether it was held here.
    fn forget(&self, principal: &Principal, id: Uuid) -> bool {
        let forgotten = self.held().forget(principal, id);
        if let Ok(true) = forgotten {
            self.end(id);
        }
        forgotten.is_ok()
    }

    /// Ends a statement, whoever runs it. False: it is not at work here.
    pub fn end(&self, id: Uuid) -> bool {
        self.0.running.end(id)
    }

    /// The same in whichever process it is at work. False: in none that answers.
    pub async fn end_anywhere(&self, id: Uuid) -> bool {
        self.end(id) || self.ask(&Ask::Any { id }).await.found == Found::Ended
    }

    /// Ends the statement of the connection that was given this key, in whichever process it is.
    pub(crate) async fn cancel_by_key(&self, key: CancelKey) {
        // One that no process of ours made is asked of nobody: who guesses need not be let in for it.
        if !self.connections().cancel(self, key) && key.is_genuine(self.key()) {
            self.ask(&Ask::Key(key)).await;
        }
    }

    /// Whether there are other processes.
    pub(crate) fn has_siblings(&self) -> bool {
        self.0.siblings.is_some()
    }

    /// The connections of the PostgreSQL wire that this principal has in other processes, and what each does; and how many of these
    /// processes did not say.
    pub(crate) async fn backends_elsewhere(&self, principal: &Principal) -> (BTreeMap<i32, String>, usize) {
        let owner = principal.name.clone();
        let Some(siblings) = &self.0.siblings else {
            return (BTreeMap::new(), 0);
        };
        let Heard { answers, silent } = siblings.hear(&Ask::Backends { owner }).await;
        let backends = answers.into_iter().flat_map(|answer| answer.backends);
        (backends.collect(), silent.len())
    }

    /// The statements of all processes, for those who may know of everybody's.
    pub fn fleet(&self) -> Fleet {
        Fleet::new(self.0.history.clone(), self.0.siblings.clone())
    }

    /// Asks the other processes without waiting for what they say. False when there are none, or too much is asked of them.
    pub(crate) fn tell_siblings(&self, ask: Ask) -> bool {
        self.0.siblings.as_ref().is_some_and(|siblings| siblings.tell(ask))
    }

    /// The connections of the PostgreSQL wire in this process.
    pub(crate) fn connections(&self) -> &Registry {
        &self.0.connections
    }

    async fn ask(&self, ask: &Ask) -> Answer {
        match &self.0.siblings {
            Some(siblings) => siblings.ask(ask).await,
            None => Answer::default(),
        }
    }

    /// Does and tells what another process asks, as far as it is of this one: nobody else is asked. Who asks has to be a process of this
    /// installation, as the owners that it names are believed.
    pub fn heed(&self, ask: &Ask) -> Answer {
        let answer = match ask {
            Ask::Statement { id, owner } => Answer::from(match self.0.running.cancel(*id, owner) {
                Fate::Ended => Found::Ended,
                Fate::Over => Found::Over,
                Fate::NotBegun => Found::Nothing,
            }),
            Ask::Polled { id, owner } => Answer::ended(self.cancel_polled(&Principal::named(owner), *id)),
            Ask::Held { id, owner } => Answer::ended(self.forget(&Principal::named(owner), *id)),
            Ask::Any { id } => Answer::ended(self.end(*id)),
            Ask::Key(key) => Answer::ended(self.connections().cancel(self, *key)),
            Ask::Backend { pid, owner, connection } => Answer::ended(match connection {
                true => self.connections().terminate_of(self, *pid, owner),
                false => self.connections().cancel_of(self, *pid, owner),
            }),
            Ask::Backends { owner } => Answer {
                backends: self.connections().pids_of(owner),
                ..Answer::default()
            },
            Ask::History { at_work } => Answer {
                known: Some(self.0.history.known(*at_work).bounded(KNOWN_BYTES_MAX)),
                ..Answer::default()
            },
        };
        if answer.found == Found::Ended {
            tracing::info!("ended what another process was asked to end");
        }
        answer
    }
}
