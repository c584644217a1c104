//! What a principal may see, as far as answers depend on it.

use tidewater_engine::RowPolicies;
use tidewater_security::{Access, Authenticator, Principal};

/// The same for principals whose statements, planned alike, are answered alike. Those of others never share an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PolicyFingerprint(Vec<u8>);

/// What the bytes are of: a configured role, what grants make of it, and what policies leave of rows.
const DOMAIN: &[u8] = b"policies-1";

impl PolicyFingerprint {
    /// Of a principal as they are known now.
    pub fn of(
        principal: &Principal,
        authenticator: &Authenticator,
        access: Option<&Access>,
        policies: Option<&dyn RowPolicies>,
    ) -> Self {
        let mut bytes = DOMAIN.to_vec();
        bytes.push(u8::from(authenticator.may_write(principal)));
        for part in [
            access.map(Access::fingerprint),
            policies.map(|policies| policies.fingerprint()),
        ] {
            bytes.push(u8::from(part.is_some()));
            bytes.extend(part.into_iter().flatten());
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
    use tidewater_engine::RowPolicy;
    use tidewater_security::authenticator::hash_password;
    use tidewater_security::{Role, TokenKey, UserSettings};
    use tidewater_table::LoadedTable;

    use super::*;

    #[derive(Debug)]
    struct Left([u8; 32]);

    impl RowPolicies for Left {
        fn fingerprint(&self) -> [u8; 32] {
            self.0
        }

        fn of(&self, _: &LoadedTable) -> Option<RowPolicy> {
            None
        }
    }

    // Goal: principals with other rights never share an answer, those with the same do. Method: two readers and a writer; one of the
    // readers with grants, with policies, and with both, of which the bytes are the same.
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
        let of = |name: &str| PolicyFingerprint::of(&Principal::named(name), &authenticator, None, None);
        assert_eq!(of("ana"), of("eva"));
        assert_ne!(of("ana"), of("ben"));
        let access = Access::everything();
        let (same, other) = (Left(access.fingerprint()), Left([7; 32]));
        let with = |access, policies| PolicyFingerprint::of(&Principal::named("ana"), &authenticator, access, policies);
        let all = [
            with(None, None),
            with(Some(&access), None),
            with(None, Some(&same)),
            with(Some(&access), Some(&same)),
            with(None, Some(&other)),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|next| next != one), "{at}");
        }
    }
}
