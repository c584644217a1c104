//! The connections of this front, so that one of them can end what another one does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use tidewater_core::SharedRng;
use tidewater_security::Principal;
use tokio_util::sync::CancellationToken;

use crate::handle::Statement;
use crate::service::QueryService;

/// All connections that were let in.
#[derive(Debug, Clone, Default)]
pub(super) struct Registry(Arc<Mutex<BTreeMap<i32, Entry>>>);

#[derive(Debug)]
struct Entry {
    secret: i32,
    principal: Principal,
    /// The statement that is at work.
    statement: Option<Uuid>,
    /// Ends the connection.
    end: CancellationToken,
}

impl Registry {
    /// A place for a connection, given back when what is returned is dropped. `None` when there are as many as may be.
    pub(super) fn enter(&self, principal: &Principal, rng: &SharedRng, connections_max: usize) -> Option<Place> {
        let mut entries = self.lock();
        if entries.len() >= connections_max {
            return None;
        }
        let random = rng.uuid().as_u128().to_be_bytes();
        let number = |at: usize| {
            random
                .get(at..at + 4)
                .map_or(0, |bytes| bytes.iter().fold(0_i32, |n, b| (n << 8) | i32::from(*b)))
        };
        let mut pid = number(0).unsigned_abs() >> 1;
        // Process ids are positive, and one stands for one connection.
        let pid = loop {
            let candidate = i32::try_from(pid).unwrap_or(1).max(1);
            if !entries.contains_key(&candidate) {
                break candidate;
            }
            pid = pid.wrapping_add(1);
        };
        let end = CancellationToken::new();
        let secret = number(12);
        let entry = Entry {
            secret,
            principal: principal.clone(),
            statement: None,
            end: end.clone(),
        };
        entries.insert(pid, entry);
        Some(Place {
            registry: self.clone(),
            pid,
            secret,
            end,
        })
    }

    /// Ends the statement of the connection that was given this secret.
    pub(super) fn cancel(&self, service: &QueryService, pid: i32, secret: i32) {
        let found = self
            .lock()
            .get(&pid)
            .filter(|entry| entry.secret == secret)
            .map(Entry::at_work);
        end(service, found);
    }

    /// Ends the statement of a connection of this principal. False where there is no such connection.
    pub(super) fn cancel_own(&self, service: &QueryService, pid: i32, principal: &Principal) -> bool {
        let found = self
            .lock()
            .get(&pid)
            .filter(|entry| entry.principal == *principal)
            .map(Entry::at_work);
        end(service, found)
    }

    /// Ends a connection of this principal. False where there is none.
    pub(super) fn terminate_own(&self, service: &QueryService, pid: i32, principal: &Principal) -> bool {
        let found = self
            .lock()
            .get(&pid)
            .filter(|entry| entry.principal == *principal)
            .map(|entry| entry.end.clone());
        let ended = self.cancel_own(service, pid, principal);
        if let Some(end) = found {
            end.cancel();
        }
        ended
    }

    /// The connections of this principal.
    pub(super) fn pids_of(&self, principal: &Principal) -> BTreeMap<i32, String> {
        let entries = self.lock();
        let own = entries.iter().filter(|(_, entry)| entry.principal == *principal);
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
    pub(super) pid: i32,
    pub(super) secret: i32,
    /// Cancelled when the connection is to end.
    pub(super) end: CancellationToken,
}

impl Place {
    /// What it does now.
    pub(super) fn works_on(&self, statement: Option<Uuid>) {
        if let Some(entry) = self.registry.lock().get_mut(&self.pid) {
            entry.statement = statement;
        }
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.pid);
    }
}
