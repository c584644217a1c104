use tidewater_core::{Rng, SeededRng};

use super::*;
use crate::policy::{Grant, Membership, PUBLIC};

/// A random world: three levels of namespaces, tables in them, roles of roles, grants anywhere.
struct World {
    policy: Policy,
    namespaces: Vec<Vec<String>>,
}

const USERS: [&str; 4] = ["ana", "bob", "eve", "dan"];

fn pick<'a, T>(rng: &SeededRng, of: &'a [T]) -> &'a T {
    &of[usize::try_from(rng.below(of.len() as u64)).expect("an index")]
}

impl World {
    fn new(rng: &SeededRng) -> Self {
        let names = ["a", "b", "ab"];
        let mut namespaces: Vec<Vec<String>> = Vec::new();
        for _ in 0..1 + rng.below(6) {
            let depth = 1 + rng.below(3);
            namespaces.push((0..depth).map(|_| (*pick(rng, &names)).to_owned()).collect());
        }
        let mut policy = Policy {
            version: 1,
            in_force: true,
            roles: (0..1 + rng.below(5)).map(|at| format!("r{at}")).collect(),
            ..Policy::default()
        };
        for _ in 0..rng.below(8) {
            let object = Object {
                id: rng.uuid(),
                uuid: rng.uuid(),
                namespace: pick(rng, &namespaces).clone(),
                name: format!("t{}", rng.below(3)),
            };
            let taken = |other: &Object| other.namespace == object.namespace && other.name == object.name;
            if !policy.objects.iter().any(taken) {
                policy.objects.push(object);
            }
        }
        let roles: Vec<String> = policy.roles.iter().cloned().collect();
        let grantee = |rng: &SeededRng| match rng.below(5) {
            0 => Grantee::Role(PUBLIC.into()),
            1 | 2 => Grantee::Role(pick(rng, &roles).clone()),
            _ => Grantee::User((*pick(rng, &USERS)).into()),
        };
        for _ in 0..rng.below(8) {
            let (role, member) = (pick(rng, &roles).clone(), grantee(rng));
            if member.name() != PUBLIC && !policy.closes_circle(&role, &member) {
                policy.members.insert(Membership { role, member });
            }
        }
        for _ in 0..rng.below(10) {
            let privileges = (0..1 + rng.below(2)).map(|_| *pick(rng, &Privilege::ALL)).collect();
            let on = match (rng.below(8), policy.objects.as_slice()) {
                (0, _) => Resource::Warehouse,
                (1..=3, _) | (_, []) => Resource::Namespace(pick(rng, &namespaces).clone()),
                (4 | 5, objects) => Resource::Object(pick(rng, objects).id),
                (_, objects) => Resource::Column {
                    object: pick(rng, objects).id,
                    field: i32::try_from(rng.below(4)).expect("small"),
                },
            };
            let privileges = match on {
                Resource::Column { .. } => Privilege::Select.into(),
                _ => privileges,
            };
            policy.grants.push(Grant {
                to: grantee(rng),
                on,
                privileges,
            });
        }
        Self { policy, namespaces }
    }

    /// Whether somebody is, or has by way of roles, what a grant names. Searched anew for each question.
    fn is(&self, who: &Grantee, wanted: &Grantee) -> bool {
        who == wanted
            || *wanted == Grantee::Role(PUBLIC.into())
            || self.policy.members.iter().any(|found| {
                (found.member == *who || found.member == Grantee::Role(PUBLIC.into()))
                    && self.is(&Grantee::Role(found.role.clone()), wanted)
            })
    }

    /// The oracle: whether any grant to somebody gives this privilege on this resource or above it.
    fn may(&self, user: &str, one: Privilege, on: &Resource) -> bool {
        let who = Grantee::User(user.into());
        self.policy.grants.iter().any(|grant| {
            let given: Vec<Privilege> = grant.privileges.into();
            (given.contains(&one) || given.contains(&Privilege::Admin))
                && self.lies_in(on, &grant.on)
                && self.is(&who, &grant.to)
        })
    }

    fn lies_in(&self, resource: &Resource, above: &Resource) -> bool {
        resource == above
            || match resource {
                Resource::Warehouse => false,
                Resource::Namespace(levels) => match levels.split_last() {
                    Some((_, [])) | None => *above == Resource::Warehouse,
                    Some((_, parent)) => self.lies_in(&Resource::Namespace(parent.to_vec()), above),
                },
                Resource::Object(id) => {
                    let object = self.policy.objects.iter().find(|object| object.id == *id);
                    object.is_some_and(|object| self.lies_in(&Resource::Namespace(object.namespace.clone()), above))
                }
                Resource::Column { object, .. } => self.lies_in(&Resource::Object(*object), above),
            }
    }
}

// Goal: what is compiled decides as a search through all grants does, for every privilege on every resource, and shows exactly what
// somebody may do something on. Method: 2,000 random worlds against a naive evaluation.
#[test]
fn decisions_are_those_of_the_oracle() {
    let (mut allowed, mut denied) = (0, 0);
    for seed in 0..2_000 {
        let rng = SeededRng::new(seed);
        let world = World::new(&rng);
        for user in USERS {
            let access = Access::compile(&world.policy, user);
            let mut check = |decided: bool, one: Privilege, on: &Resource| {
                let expected = world.may(user, one, on);
                assert_eq!(
                    decided, expected,
                    "seed {seed}: {user} {one} on {on:?} of {:?}",
                    world.policy
                );
                if expected { allowed += 1 } else { denied += 1 }
            };
            for one in Privilege::ALL {
                check(access.on_warehouse().has(one), one, &Resource::Warehouse);
                for levels in &world.namespaces {
                    check(
                        access.on_namespace(levels).has(one),
                        one,
                        &Resource::Namespace(levels.clone()),
                    );
                }
                for object in &world.policy.objects {
                    let on = access.on_object(&object.namespace, &object.name, Some(object.uuid));
                    check(on.has(one), one, &Resource::Object(object.id));
                }
            }
            for object in &world.policy.objects {
                let readable = access.readable(&object.namespace, &object.name, Some(object.uuid));
                for field in 0..4 {
                    let column = Resource::Column {
                        object: object.id,
                        field,
                    };
                    check(readable.has(field), Privilege::Select, &column);
                }
                let sees = SHOWS_OBJECT
                    .iter()
                    .any(|one| world.may(user, *one, &Resource::Object(object.id)))
                    || (0..4).any(|field| {
                        world.may(
                            user,
                            Privilege::Select,
                            &Resource::Column {
                                object: object.id,
                                field,
                            },
                        )
                    });
                assert_eq!(
                    access.sees_object(&object.namespace, &object.name),
                    sees,
                    "seed {seed}: {user} {object:?}"
                );
            }
            for levels in &world.namespaces {
                let below = world.policy.grants.iter().any(|grant| {
                    let resource = &grant.on;
                    let related = world.lies_in(resource, &Resource::Namespace(levels.clone()))
                        || world.lies_in(&Resource::Namespace(levels.clone()), resource);
                    related && world.is(&Grantee::User(user.into()), &grant.to)
                });
                assert_eq!(
                    access.sees_namespace(levels),
                    below,
                    "seed {seed}: {user} {levels:?} of {:?}",
                    world.policy
                );
            }
        }
    }
    assert!(
        allowed > 10_000 && denied > 100_000,
        "{allowed} allowed, {denied} denied"
    );
}

// Goal: the fingerprint is the same for the same rights and another for others. Method: all pairs of users of random worlds.
#[test]
fn fingerprints_tell_rights_apart() {
    let (mut same, mut other) = (0, 0);
    for seed in 0..300 {
        let world = World::new(&SeededRng::new(seed));
        let rights: Vec<Access> = USERS.iter().map(|user| Access::compile(&world.policy, user)).collect();
        for (at, one) in rights.iter().enumerate() {
            for two in &rights[at + 1..] {
                assert_eq!(one.fingerprint() == two.fingerprint(), one == two, "seed {seed}");
                if one == two { same += 1 } else { other += 1 }
            }
        }
    }
    assert!(same > 50 && other > 50, "{same} {other}");
}

// Goal: a grant on a table is not one on another table that took its name; before the first grant everything is as it was. Method:
// another uuid under the name; a policy that is not in force.
#[test]
fn names_do_not_inherit() {
    let object = Object {
        id: Uuid::from_u128(1),
        uuid: Uuid::from_u128(2),
        namespace: vec!["gold".into()],
        name: "x".into(),
    };
    let mut policy = Policy {
        in_force: true,
        objects: vec![object],
        grants: vec![Grant {
            to: Grantee::User("ana".into()),
            on: Resource::Object(Uuid::from_u128(1)),
            privileges: Privilege::Select.into(),
        }],
        ..Policy::default()
    };
    let gold = ["gold".to_owned()];
    let access = Access::compile(&policy, "ana");
    assert_eq!(access.readable(&gold, "x", Some(Uuid::from_u128(2))), Readable::All);
    assert_eq!(access.readable(&gold, "x", Some(Uuid::from_u128(3))), Readable::Nothing);
    assert!(access.sees_namespace(&gold) && !access.sees_namespace(&["silver".to_owned()]));
    policy.objects.clear();
    assert!(!Access::compile(&policy, "ana").sees_object(&gold, "x"));
    policy.in_force = false;
    assert!(Access::compile(&policy, "eve").is_everything());
}

// Goal: no grant but ADMIN on the warehouse lets anybody at keys of deleted rows, or know of them, and what else lies in their schema is as it
// was granted. Method: every privilege on the schema, on such a table and on a column of it, and everything but ADMIN on the warehouse, then
// that too; the same questions of a table beside it.
#[test]
fn keys_of_deleted_rows_take_the_warehouse() {
    let object = |id: u128, name: &str| Object {
        id: Uuid::from_u128(id),
        uuid: Uuid::from_u128(id),
        namespace: vec!["ops".into()],
        name: name.into(),
    };
    let (keys, beside) = ("tombstones__silver__patients", "runs");
    let grant = |on: Resource, privileges: PrivilegeSet| Grant {
        to: Grantee::User("ana".into()),
        on,
        privileges,
    };
    let but_admin: PrivilegeSet = Privilege::ALL
        .into_iter()
        .filter(|one| *one != Privilege::Admin)
        .collect();
    let column = Resource::Column {
        object: Uuid::from_u128(1),
        field: 1,
    };
    let mut policy = Policy {
        in_force: true,
        objects: vec![object(1, keys), object(2, beside)],
        grants: vec![
            grant(Resource::Namespace(vec!["ops".into()]), PrivilegeSet::all()),
            grant(Resource::Object(Uuid::from_u128(1)), PrivilegeSet::all()),
            grant(column, Privilege::Select.into()),
            grant(Resource::Warehouse, but_admin),
        ],
        ..Policy::default()
    };
    let ops = ["ops".to_owned()];
    let access = Access::compile(&policy, "ana");
    for uuid in [None, Some(Uuid::from_u128(1))] {
        assert_eq!(access.on_object(&ops, keys, uuid), PrivilegeSet::NONE);
        assert_eq!(access.readable(&ops, keys, uuid), Readable::Nothing);
    }
    assert!(!access.sees_object(&ops, keys) && !access.sees_shape(&ops, keys));
    assert!(access.on_object(&ops, beside, None).has(Privilege::Drop));
    assert_eq!(access.readable(&ops, beside, None), Readable::All);
    policy.grants.push(grant(Resource::Warehouse, Privilege::Admin.into()));
    for access in [Access::compile(&policy, "ana"), Access::everything()] {
        assert!(access.on_object(&ops, keys, None).has(Privilege::Delete));
        assert_eq!(access.readable(&ops, keys, None), Readable::All);
        assert!(access.sees_object(&ops, keys));
    }
}
