//! The things that may be done, one by one and together.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tidewater_core::config::nearest;

/// One thing that may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Privilege {
    /// Know that it is there, and what it looks like.
    Usage,
    /// Read rows.
    Select,
    /// Add rows.
    Insert,
    /// Change rows.
    Update,
    /// Remove rows.
    Delete,
    /// Make namespaces, tables and views in it.
    Create,
    /// Change its shape, its properties, its branches, and how its files lie.
    Alter,
    /// Drop it.
    Drop,
    /// Grant privileges on it to others, and take them back.
    ManageGrants,
    /// All of these.
    Admin,
}

impl Privilege {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 10] = [
        Self::Usage,
        Self::Select,
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::Create,
        Self::Alter,
        Self::Drop,
        Self::ManageGrants,
        Self::Admin,
    ];

    /// As statements spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "USAGE",
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Create => "CREATE",
            Self::Alter => "ALTER",
            Self::Drop => "DROP",
            Self::ManageGrants => "MANAGE GRANTS",
            Self::Admin => "ADMIN",
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Privilege {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = text.trim().to_ascii_uppercase().replace('_', " ");
        let known = Self::ALL.into_iter().find(|one| one.name() == wanted);
        known.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.map(Self::name).to_vec();
            let meant = nearest(&wanted, &names).map(|name| format!(": did you mean {name}?"));
            let meant = meant.unwrap_or_default();
            format!("no privilege {text:?}{meant}; there are {}", names.join(", "))
        })
    }
}

/// Several privileges; written out as a list, so that a new one changes nothing that was written before.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<Privilege>", into = "Vec<Privilege>")]
pub struct PrivilegeSet(u16);

impl PrivilegeSet {
    /// None.
    pub const NONE: Self = Self(0);

    /// Every one.
    pub fn all() -> Self {
        Privilege::ALL.into_iter().collect()
    }

    /// Whether nothing may be done.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this may be done.
    pub fn has(self, one: Privilege) -> bool {
        self.0 & (one.bit() | Privilege::Admin.bit()) != 0
    }

    /// Whether all of these may be done.
    pub fn covers(self, others: Self) -> bool {
        others.iter().all(|one| self.has(one))
    }

    /// These and the others.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// These without the others.
    #[must_use]
    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = Privilege> {
        Privilege::ALL.into_iter().filter(move |one| self.0 & one.bit() != 0)
    }

    /// As a number, for hashing.
    pub(crate) fn bits(self) -> u16 {
        self.0
    }
}

impl FromIterator<Privilege> for PrivilegeSet {
    fn from_iter<I: IntoIterator<Item = Privilege>>(privileges: I) -> Self {
        Self(privileges.into_iter().fold(0, |bits, one| bits | one.bit()))
    }
}

impl From<Vec<Privilege>> for PrivilegeSet {
    fn from(privileges: Vec<Privilege>) -> Self {
        privileges.into_iter().collect()
    }
}

impl From<PrivilegeSet> for Vec<Privilege> {
    fn from(set: PrivilegeSet) -> Self {
        set.iter().collect()
    }
}

impl From<Privilege> for PrivilegeSet {
    fn from(one: Privilege) -> Self {
        Self(one.bit())
    }
}

impl fmt::Debug for PrivilegeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl fmt::Display for PrivilegeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Privilege::name).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a set holds what was put in, also after it was written out. Method: every subset of three, and ADMIN.
    #[test]
    fn sets_hold_what_was_put_in() {
        let three = [Privilege::Select, Privilege::Drop, Privilege::ManageGrants];
        for bits in 0..8_usize {
            let chosen: Vec<Privilege> = (0..3).filter(|at| bits & (1 << at) != 0).map(|at| three[at]).collect();
            let set: PrivilegeSet = chosen.iter().copied().collect();
            let written = serde_json::to_string(&set).expect("a list");
            assert_eq!(serde_json::from_str::<PrivilegeSet>(&written).expect("the list"), set);
            for one in Privilege::ALL {
                assert_eq!(set.has(one), chosen.contains(&one), "{one} in {set}");
                assert_eq!(one.name().parse::<Privilege>(), Ok(one));
            }
        }
        let admin = PrivilegeSet::from(Privilege::Admin);
        assert!(admin.covers(PrivilegeSet::all()));
        assert!("select *".parse::<Privilege>().is_err());
    }
}
