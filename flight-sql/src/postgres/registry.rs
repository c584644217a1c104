//! The connections of this front, so that one of them can end what another one does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use tidewater_core::SharedRng;
use tidewater_security::{Principal, TokenKey};
use tokio_util::sync::CancellationToken;

use super::key::CancelKey;
use crate::handle::Statement;
use crate::service::QueryService;

/// All connections that were let in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry(Arc<Mutex<BTreeMap<i32, Entry>>>);

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Of everybody.
    pub(super) all: usize,
    /// Of one user; none where nobody says who they are.
    pub(super) user: Option<usize>,
}

/// Why there is no place for another connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// There are as many as may be.
    OfAll,
    /// The user has as many as they may have.
    OfUser,
}

#[derive(Debug)]
struct Entry {
    key: CancelKey,
    principal: Principal,
    /// The statement that is at work.
    statement: Option<Uuid>,
    /// Ends the connection.
    end: CancellationToken,
}

impl Registry {
    /// A place for a connection, given back when what is returned is dropped.
    pub(super) fn enter(
        &self,
        principal: &Principal,
        rng: &SharedRng,
        key: &TokenKey,
        limits: Limits,
    ) -> Result<Place, Full> {
        let mut entries = self.lock();
        if entries.len() >= limits.all {
            return Err(Full::OfAll);
        }
        let own = entries.values().filter(|entry| entry.principal.name == principal.name);
        let own = own.count();
        if limits.user.is_some_and(|most| own >= most) {
            return Err(Full::OfUser);
        }
        let key = CancelKey::new(rng, key, |pid| entries.contains_key(&pid));
        let end = CancellationToken::new();
        let entry = Entry {
            key,
            principal: principal.clone(),
            statement: None,
            end: end.clone(),
        };
        entries.insert(key.pid(), entry);
        Ok(Place {
            registry: self.clone(),
            key,
            end,
        })
    }

    /// Ends the statement of the connection that was given this key. False where there is no such connection.
    pub(crate) fn cancel(&self, service: &QueryService, key: CancelKey) -> bool {
        let found = self
            .lock()
            .get(&key.pid())
            .filter(|entry| entry.key.fits(key))
            .map(Entry::at_work);
        end(service, found)
    }

    /// Ends the statement of a connection of the user of this name. False where there is no such connection.
    pub(crate) fn cancel_of(&self, service: &QueryService, pid: i32, owner: &str) -> bool {
        let found = self
            .lock()
            .get(&pid)
            .filter(|entry| entry.principal.name == owner)
            .map(Entry::at_work);
        end(service, found)
    }

    /// Ends a connection of the user of this name. False where there is none.
    pub(crate) fn terminate_of(&self, service: &QueryService, pid: i32, owner: &str) -> bool {
        let found = self
            .lock()
            .get(&pid)
            .filter(|entry| entry.principal.name == owner)
            .map(|entry| entry.end.clone());
        let ended = self.cancel_of(service, pid, owner);
        if let Some(end) = found {
            end.cancel();
        }
        ended
    }

    /// The connections of the user of this name, and whether they are `active` or `idle`.
    pub(crate) fn pids_of(&self, owner: &str) -> BTreeMap<i32, String> {
        let entries = self.lock();
        let own = entries.iter().filter(|(_, entry)| entry.principal.name == owner);
        own.map(|(pid, entry)| {
            let doing = if entry.statement.is_some() { "active" } else { "idle" };
            (*pid, doing.to_owned())
        })
        .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i32, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn at_work(&self) -> (Principal, Option<Uuid>) {
        (self.principal.clone(), self.statement)
    }
}

fn end(service: &QueryService, found: Option<(Principal, Option<Uuid>)>) -> bool {
    let Some((principal, statement)) = found else {
        return false;
    };
    if let Some(id) = statement {
        let statement = Statement {
            id,
            ..Statement::new("")
        };
        service.cancel(&principal, &statement);
    }
    true
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Place {
    registry: Registry,
    pub(super) key: CancelKey,
    /// Cancelled when the connection is to end.
    pub(super) end: CancellationToken,
}

impl Place {
    /// What it does now.
    pub(super) fn works_on(&self, statement: Option<Uuid>) {
        if let Some(entry) = self.registry.lock().get_mut(&self.key.pid()) {
            entry.statement = statement;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.key.pid());
    }
}

#[cfg(test)]
mod tests {
    use tidewater_core::SeededRng;

    use super::*;

    // Goal: one user leaves places for the others, whoever vouches for them, and gets theirs back; nobody gets more than there are. Method:
    // a user to their limit and beyond, others to the limit of all, then a place that is given back.
    #[test]
    fn one_user_leaves_places_for_others() {
        let registry = Registry::default();
        let rng: SharedRng = Arc::new(SeededRng::new(1));
        let key = TokenKey::derive(b"test");
        let within = |name: &str, user| {
            let limits = Limits { all: 4, user };
            registry.enter(&Principal::named(name), &rng, &key, limits)
        };
        let first = within("ana", Some(2)).expect("a place");
        let _second = within("ana", Some(2)).expect("a second place");
        assert_eq!(within("ana", Some(2)).err(), Some(Full::OfUser));
        let _other = within("eve", Some(2)).expect("a place of another");
        drop(first);
        let _again = within("ana", Some(2)).expect("the place that was given back");
        assert_eq!(within("ana", Some(2)).err(), Some(Full::OfUser));
        let _more = within("ana", None).expect("no limit of a user");
        assert_eq!(within("bob", Some(2)).err(), Some(Full::OfAll));
    }
}
