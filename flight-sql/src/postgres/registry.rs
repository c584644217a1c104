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
    /// A place for a connection, given back when what is returned is dropped. `None` when there are as many as may be.
    pub(super) fn enter(
        &self,
        principal: &Principal,
        rng: &SharedRng,
        key: &TokenKey,
        connections_max: usize,
    ) -> Option<Place> {
        let mut entries = self.lock();
        if entries.len() >= connections_max {
            return None;
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
        Some(Place {
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
