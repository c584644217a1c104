//! What one principal may do, compiled from the policy: lookups by name, nothing left to search.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use tidewater_core::reserved::holds_deleted_keys;
use uuid::Uuid;

use crate::policy::{Grantee, Object, Policy, Privilege, PrivilegeSet, Resource};

/// What a table or view shows of itself to those who have one of these on it, or on what it lies in.
const SHOWS_OBJECT: [Privilege; 8] = [
    Privilege::Usage,
    Privilege::Select,
    Privilege::Insert,
    Privilege::Update,
    Privilege::Delete,
    Privilege::Alter,
    Privilege::Drop,
    Privilege::ManageGrants,
];

/// Domain of the fingerprint.
const FINGERPRINT: &str = "tidewater 2026 policy fingerprint v1";

/// Which columns of a table may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readable<'a> {
    /// All, those that are added later among them.
    All,
    /// Those with these field ids.
    Only(&'a BTreeSet<i32>),
    /// None.
    Nothing,
}

impl Readable<'_> {
    /// Whether the column with this field id may be read.
    pub fn has(self, field: i32) -> bool {
        match self {
            Self::All => true,
            Self::Only(fields) => fields.contains(&field),
            Self::Nothing => false,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct OnObject {
    uuid: Uuid,
    privileges: PrivilegeSet,
    columns: BTreeSet<i32>,
}

/// What a principal may do. What is not in it is denied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    everything: bool,
    nothing_yet: bool,
    warehouse: PrivilegeSet,
    namespaces: BTreeMap<Vec<String>, PrivilegeSet>,
    objects: BTreeMap<(Vec<String>, String), OnObject>,
}

impl Access {
    /// For those whom no grant binds: nodes, operators, and, where grants bind when they are made, everybody before the first one.
    pub fn everything() -> Self {
        Self {
            everything: true,
            ..Self::default()
        }
    }

    /// For those whom grants bind before any is made: nothing.
    pub(crate) fn nothing_yet() -> Self {
        Self {
            nothing_yet: true,
            ..Self::default()
        }
    }

    /// What this user may do by the policy, where grants bind when they are made.
    pub fn compile(policy: &Policy, user: &str) -> Self {
        Self::compile_with(policy, user, [])
    }

    /// The same for a user who has these roles beside what was granted.
    pub fn compile_with<'a>(policy: &Policy, user: &str, more: impl IntoIterator<Item = &'a str>) -> Self {
        match policy.in_force {
            true => Self::granted(policy, user, more),
            false => Self::everything(),
        }
    }

    /// What grants give, and nothing else, whether or not any was ever made.
    pub(crate) fn granted<'a>(policy: &Policy, user: &str, more: impl IntoIterator<Item = &'a str>) -> Self {
        let roles = policy.roles_with(user, more);
        let mut access = Self::default();
        let objects: BTreeMap<Uuid, &Object> = policy.objects.iter().map(|object| (object.id, object)).collect();
        for grant in &policy.grants {
            let concerns = match &grant.to {
                Grantee::User(name) => name == user,
                Grantee::Role(role) => roles.contains(role),
            };
            if !concerns || grant.privileges.is_empty() {
                continue;
            }
            match &grant.on {
                Resource::Warehouse => access.warehouse = access.warehouse.and(grant.privileges),
                Resource::Namespace(levels) => {
                    let of = access.namespaces.entry(levels.clone()).or_default();
                    *of = of.and(grant.privileges);
                }
                Resource::Object(id) => {
                    if let Some(of) = objects.get(id).map(|object| access.on(object)) {
                        of.privileges = of.privileges.and(grant.privileges);
                    }
                }
                Resource::Column { object, field } => {
                    if let Some(of) = objects.get(object).map(|object| access.on(object)) {
                        of.columns.insert(*field);
                    }
                }
            }
        }
        access
    }

    fn on(&mut self, object: &Object) -> &mut OnObject {
        let key = (object.namespace.clone(), object.name.clone());
        let of = self.objects.entry(key).or_default();
        of.uuid = object.uuid;
        of
    }

    /// Whether no grant binds.
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// Whether nothing may be done because nothing was granted to anybody. Who is refused may be told so: it says nothing of what
    /// there is.
    pub fn is_nothing_yet(&self) -> bool {
        self.nothing_yet
    }

    /// What may be done on everything.
    pub fn on_warehouse(&self) -> PrivilegeSet {
        match self.everything {
            true => PrivilegeSet::all(),
            false => self.warehouse,
        }
    }

    /// What may be done on a namespace, by grants on it and on what it lies in.
    pub fn on_namespace(&self, levels: &[String]) -> PrivilegeSet {
        let above = (1..=levels.len()).filter_map(|depth| self.namespaces.get(levels.get(..depth)?));
        above.fold(self.on_warehouse(), |all, one| all.and(*one))
    }

    /// What may be done on a table or view. With its uuid, grants on it count only if they were made on this one; without, on
    /// whatever bears the name now. Keys of deleted rows are nobody's but of who may do everything everywhere, whatever was granted on them
    /// or on their schema.
    pub fn on_object(&self, levels: &[String], name: &str, uuid: Option<Uuid>) -> PrivilegeSet {
        if holds_deleted_keys(levels, name) {
            let on = self.on_warehouse();
            return match on.has(Privilege::Admin) {
                true => on,
                false => PrivilegeSet::NONE,
            };
        }
        let inherited = self.on_namespace(levels);
        match self.object(levels, name, uuid) {
            Some(of) => inherited.and(of.privileges),
            None => inherited,
        }
    }

    /// Which columns of a table may be read.
    pub fn readable(&self, levels: &[String], name: &str, uuid: Option<Uuid>) -> Readable<'_> {
        if self.on_object(levels, name, uuid).has(Privilege::Select) {
            return Readable::All;
        }
        match self.object(levels, name, uuid) {
            Some(of) if !of.columns.is_empty() => Readable::Only(&of.columns),
            _ => Readable::Nothing,
        }
    }

    /// Whether a table or view of this name is there for this principal, if it is there at all.
    pub fn sees_object(&self, levels: &[String], name: &str) -> bool {
        let privileges = self.on_object(levels, name, None);
        SHOWS_OBJECT.into_iter().any(|one| privileges.has(one))
            || self.readable(levels, name, None) != Readable::Nothing
    }

    /// Whether the shape of a table, all of its columns, may be known.
    pub fn sees_shape(&self, levels: &[String], name: &str) -> bool {
        let privileges = self.on_object(levels, name, None);
        SHOWS_OBJECT.into_iter().any(|one| privileges.has(one))
    }

    /// Whether a namespace is there for this principal: something may be done on it, or on something in it.
    pub fn sees_namespace(&self, levels: &[String]) -> bool {
        if !self.on_namespace(levels).is_empty() {
            return true;
        }
        let from = (Bound::Included(levels.to_vec()), Bound::Unbounded);
        let below = self.namespaces.range::<Vec<String>, _>(from).next();
        if below.is_some_and(|(found, _)| found.starts_with(levels)) {
            return true;
        }
        let from = Bound::Included((levels.to_vec(), String::new()));
        let object = self.objects.range((from, Bound::Unbounded)).next();
        object.is_some_and(|((found, _), _)| found.starts_with(levels))
    }

    fn object(&self, levels: &[String], name: &str, uuid: Option<Uuid>) -> Option<&OnObject> {
        // Without a copy for the lookup where nothing was granted on a single table.
        if self.objects.is_empty() || holds_deleted_keys(levels, name) {
            return None;
        }
        let of = self.objects.get(&(levels.to_vec(), name.to_owned()))?;
        (uuid.is_none_or(|uuid| uuid == of.uuid)).then_some(of)
    }

    /// Tells two principals apart if answers to them may differ: whoever keeps answers keeps them under it. Principals with the
    /// same rights share one.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key(FINGERPRINT);
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        part(&[u8::from(self.everything)]);
        part(&self.warehouse.bits().to_le_bytes());
        part(&(self.namespaces.len() as u64).to_le_bytes());
        for (levels, privileges) in &self.namespaces {
            part(&(levels.len() as u64).to_le_bytes());
            levels.iter().for_each(|level| part(level.as_bytes()));
            part(&privileges.bits().to_le_bytes());
        }
        for ((levels, name), of) in &self.objects {
            part(&(levels.len() as u64).to_le_bytes());
            levels.iter().for_each(|level| part(level.as_bytes()));
            part(name.as_bytes());
            part(of.uuid.as_bytes());
            part(&of.privileges.bits().to_le_bytes());
            part(&(of.columns.len() as u64).to_le_bytes());
            of.columns.iter().for_each(|field| part(&field.to_le_bytes()));
        }
        *hasher.finalize().as_bytes()
    }
}
