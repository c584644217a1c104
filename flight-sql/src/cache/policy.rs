//! What a principal may see, as far as answers depend on it.

use tidewater_security::{Access, Authenticator, Principal};

/// The same for principals whose statements, planned alike, are answered alike. Those of others never share an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PolicyFingerprint(Vec<u8>);

/// There are no row filters and no masks yet: a configured role and what grants make of it are all that a principal has.
const WITHOUT_POLICIES: &[u8] = b"grants-1";

impl PolicyFingerprint {
    /// Of a principal as they are known now.
    pub fn of(principal: &Principal, authenticator: &Authenticator, access: Option<&Access>) -> Self {
        let mut bytes = WITHOUT_POLICIES.to_vec();
        bytes.push(u8::from(authenticator.may_write(principal)));
        if let Some(access) = access {
            bytes.extend(access.fingerprint());
        }
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidewater_core::{SeededRng, SharedRng, SystemClock};
    use tidewater_security::authenticator::hash_password;
    use tidewater_security::{Role, TokenKey, UserSettings};

    use super::*;

    // Goal: principals with other rights never share an answer, those with the same do. Method: two readers and a writer.
    #[test]
    fn rights_are_told_apart() {
        let rng: SharedRng = Arc::new(SeededRng::new(1));
        let user = |name: &str, role| UserSettings {
            name: name.to_owned(),
            password_hash: hash_password("x", &rng).expect("a hash"),
            scram: None,
            role,
        };
        let users = vec![
            user("ana", Role::Reader),
            user("ben", Role::Writer),
            user("eva", Role::Reader),
        ];
        let key = TokenKey::derive(b"test");
        let authenticator = Authenticator::new(users, key, SystemClock::shared()).expect("good users");
        let of = |name: &str| PolicyFingerprint::of(&Principal::named(name), &authenticator, None);
        assert_eq!(of("ana"), of("eva"));
        assert_ne!(of("ana"), of("ben"));
    }
}
