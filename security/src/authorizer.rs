//! Who may do what, for every front of a process: the policy as it was last heard of, compiled for each principal once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::authenticator::{Authenticator, Role};
use crate::policy::Policy;
use crate::principal::Principal;

/// Principals that are held compiled; with more, all are compiled anew.
const COMPILED_MAX: usize = 1_000;

/// From when on what is not granted is denied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grants {
    /// Once the first role or grant was made; until then configured roles decide.
    WhenMade,
    /// Always.
    #[default]
    Required,
}

/// Decides from what it was told last. It asks nobody.
#[derive(Debug)]
pub struct Authorizer {
    /// Whether anybody has to say who they are: otherwise there is nobody to tell apart.
    required: bool,
    grants: Grants,
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
            grants: users.grants(),
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
        self.required && self.binds(&self.policy())
    }

    fn binds(&self, policy: &Policy) -> bool {
        policy.in_force || self.grants == Grants::Required
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
            false if policy.in_force => Access::granted(policy, &principal.name, principal.roles()),
            false if self.binds(policy) => Access::nothing_yet(),
            false => Access::everything(),
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

#[cfg(test)]
mod tests {
    use tidewater_core::ManualClock;

    use super::*;
    use crate::authenticator::UserSettings;
    use crate::policy::{Grant, Grantee, Privilege, Resource};
    use crate::token::TokenKey;

    // Goal: where grants are required, as they are where nobody says otherwise, nobody but an administrator may do anything before the first
    // one is made, and that this is why is known; a grant gives what it says; else all is as roles say. Method: a reader, a writer, an
    // administrator and a stranger under both settings, before and after a grant to the reader.
    #[test]
    fn required_grants_bind_before_the_first_is_made() {
        let user = |name: &str, role| UserSettings {
            name: name.into(),
            password_hash: String::new(),
            scram: None,
            role,
        };
        let gold = ["gold".to_owned()];
        assert_eq!(Grants::default(), Grants::Required);
        for (grants, binds) in [(Grants::WhenMade, false), (Grants::Required, true)] {
            let users = vec![
                user("ana", Role::Reader),
                user("ben", Role::Writer),
                user("root", Role::Admin),
            ];
            let users = Authenticator::new(users, TokenKey::derive(b"k"), Arc::new(ManualClock::new(0)));
            let users = users.expect("good users").binding_by(grants);
            let decides = Authorizer::new(&users);
            assert_eq!(decides.in_force(), binds);
            for name in ["ana", "ben", "nobody"] {
                let access = decides.access(&Principal::named(name));
                assert_eq!(access.is_everything(), !binds, "{name}");
                assert_eq!(access.sees_namespace(&gold), !binds, "{name}");
                assert_eq!(access.on_warehouse().is_empty(), binds, "{name}");
                assert_eq!(access.is_nothing_yet(), binds, "{name}");
            }
            assert!(decides.access(&Principal::named("root")).is_everything());
            decides.update(Policy {
                version: 1,
                in_force: true,
                grants: vec![Grant {
                    to: Grantee::User("ana".into()),
                    on: Resource::Namespace(gold.to_vec()),
                    privileges: Privilege::Select.into(),
                }],
                ..Policy::default()
            });
            assert!(decides.in_force());
            assert!(decides.access(&Principal::named("ana")).sees_namespace(&gold));
            let ben = decides.access(&Principal::named("ben"));
            assert!(!ben.sees_namespace(&gold) && !ben.is_nothing_yet());
            assert!(decides.access(&Principal::named("root")).is_everything());
        }
    }

    // Goal: without users nobody is bound, whatever is required. Method: no users, and grants required in so many words.
    #[test]
    fn without_users_nothing_binds() {
        let users = Authenticator::new(Vec::new(), TokenKey::derive(b"k"), Arc::new(ManualClock::new(0)));
        let decides = Authorizer::new(&users.expect("no users").binding_by(Grants::Required));
        assert!(!decides.in_force());
        assert!(decides.access(&Principal::local()).is_everything());
    }
}
