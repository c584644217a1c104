//! Who may do what, for every front of a process: the policy as it was last heard of, compiled for each principal once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::access::Access;
use crate::authenticator::{Authenticator, Role};
use crate::policy::Policy;
use crate::principal::Principal;

/// Principals that are held compiled; with more, all are compiled anew.
const COMPILED_MAX: usize = 1_000;

/// Decides from what it was told last. It asks nobody.
#[derive(Debug)]
pub struct Authorizer {
    /// Whether anybody has to say who they are: otherwise there is nobody to tell apart.
    required: bool,
    admins: BTreeSet<String>,
    known: RwLock<Arc<Policy>>,
    compiled: Mutex<Compiled>,
}

#[derive(Debug, Default)]
struct Compiled {
    version: u64,
    by_principal: HashMap<Principal, Arc<Access>>,
}

impl Authorizer {
    /// For these users: those whose configured role is `admin` may do everything, whatever was granted.
    pub fn new(users: &Authenticator) -> Self {
        Self {
            required: users.required(),
            admins: users.with_role(Role::Admin).map(str::to_owned).collect(),
            known: RwLock::default(),
            compiled: Mutex::default(),
        }
    }

    /// From now on this policy counts. One that is older than what is known changes nothing.
    pub fn update(&self, policy: Policy) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if policy.version >= known.version {
            *known = Arc::new(policy);
        }
    }

    /// What is known.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether grants decide. Without users they bind nobody.
    pub fn in_force(&self) -> bool {
        self.required && self.policy().in_force
    }

    /// What a principal may do.
    pub fn access(&self, principal: &Principal) -> Arc<Access> {
        self.access_by(&self.policy(), principal)
    }

    /// The same by a policy that the caller has at hand.
    pub fn access_by(&self, policy: &Policy, principal: &Principal) -> Arc<Access> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if compiled.version != policy.version || compiled.by_principal.len() >= COMPILED_MAX {
            *compiled = Compiled {
                version: policy.version,
                by_principal: HashMap::new(),
            };
        }
        if let Some(access) = compiled.by_principal.get(principal) {
            return Arc::clone(access);
        }
        let access = Arc::new(match self.is_admin(principal) {
            true => Access::everything(),
            false => Access::compile_with(policy, &principal.name, principal.roles()),
        });
        compiled.by_principal.insert(principal.clone(), Arc::clone(&access));
        access
    }

    /// Whether no grant binds this principal: the configuration or an issuer says so, or there are no users.
    pub fn is_admin(&self, principal: &Principal) -> bool {
        !self.required
            || match principal.role() {
                Some(role) => role == Role::Admin,
                None => self.admins.contains(&principal.name),
            }
    }

    /// See [`Access::fingerprint`].
    pub fn fingerprint(&self, principal: &Principal) -> [u8; 32] {
        self.access(principal).fingerprint()
    }
}
