//! Who a request speaks for.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::authenticator::Role;
use crate::policy::UserRow;

/// An authenticated user, or the one local user of an installation without users.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Principal {
    /// The name policies and the audit log know.
    pub name: String,
    /// Who of those that had the name, for a user whom the catalog keeps.
    #[serde(skip)]
    account: Option<Account>,
    /// What another issuer vouched for, where one did.
    #[serde(skip)]
    vouched: Option<Arc<Vouched>>,
}

/// A user of the catalog, as of the last time that they were enabled: who came in before that has to come in anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Account {
    id: Uuid,
    enabled_ms: Option<i64>,
}

impl Account {
    fn of(row: &UserRow) -> Self {
        Self {
            id: row.id,
            enabled_ms: row.enabled_ms,
        }
    }
}

/// What somebody is by the word of an issuer that is believed, and not by the configuration.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Vouched {
    role: Role,
    roles: BTreeSet<String>,
}

impl Principal {
    /// Whoever is on this machine, where no users are configured.
    pub fn local() -> Self {
        Self::named("local")
    }

    /// A user of the configuration.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            account: None,
            vouched: None,
        }
    }

    /// A user whom the catalog keeps as this one.
    pub(crate) fn kept(name: impl Into<String>, row: &UserRow) -> Self {
        Self {
            account: Some(Account::of(row)),
            ..Self::named(name)
        }
    }

    /// Whether they are whom the catalog keeps as this one, and came in since they were enabled.
    pub(crate) fn is(&self, row: &UserRow) -> bool {
        self.account == Some(Account::of(row))
    }

    /// The id that the catalog keeps them under; none for users of the configuration, and of other issuers.
    pub(crate) fn account(&self) -> Option<Uuid> {
        self.account.map(|account| account.id)
    }

    /// Somebody for whom an issuer vouches, with what their groups make of them.
    pub(crate) fn vouched(name: String, role: Role, roles: BTreeSet<String>) -> Self {
        Self {
            name,
            account: None,
            vouched: Some(Arc::new(Vouched { role, roles })),
        }
    }

    /// Whether another issuer vouches for them: they are not in the configuration.
    pub fn is_vouched(&self) -> bool {
        self.vouched.is_some()
    }

    /// What they may do by an issuer's word as long as no grant decides; none for users of the configuration.
    pub fn role(&self) -> Option<Role> {
        self.vouched.as_ref().map(|vouched| vouched.role)
    }

    /// The roles that they have by an issuer's word, beside those that were granted to them.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        let roles = self.vouched.iter().flat_map(|vouched| &vouched.roles);
        roles.map(String::as_str)
    }
}
