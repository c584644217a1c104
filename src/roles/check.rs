//! What of a configuration a start refuses before it opens anything. `tidewater doctor` asks the same.

use std::collections::BTreeSet;

use tidewater_catalog::raft::GroupIdentity;
use tidewater_catalog_client::CatalogClient;
use tidewater_core::{SystemClock, SystemRng};
use tidewater_security::{Tls, TokenKey};
use tidewater_table::file_store::Location;

use super::{Role, audit, catalog, compute, ingest, issuers, local_secret, ports, storage, users};
use crate::cli::failure::Failure;
use crate::settings::Settings;

type Look = fn(&Settings, &BTreeSet<Role>) -> Result<(), Failure>;

/// The parts of a configuration, and how each is looked at.
const PARTS: [(&str, Look); 8] = [
    ("addresses", addresses),
    ("warehouse", warehouse),
    ("catalog", catalog_settings),
    ("executor", executor),
    ("ingest", ingest::check),
    ("users", known_users),
    ("TLS", tls),
    ("audit", audit::check),
];

/// What is found in each part, for a process of these roles.
pub(crate) fn parts(
    settings: &Settings,
    roles: &BTreeSet<Role>,
) -> impl Iterator<Item = (&'static str, Result<(), Failure>)> {
    PARTS.into_iter().map(move |(part, look)| (part, look(settings, roles)))
}

/// Refuses what could not be run.
pub(super) fn check(settings: &Settings, roles: &BTreeSet<Role>) -> Result<(), Failure> {
    // First: what is read in a folder that is none says so in odd words.
    storage::check_data_dir(&settings.data_dir)?;
    PARTS.into_iter().try_for_each(|(_, look)| look(settings, roles))
}

fn addresses(settings: &Settings, roles: &BTreeSet<Role>) -> Result<(), Failure> {
    ports::check(settings, |role| roles.contains(&role))
}

/// Tables have to lie where files can be read and written.
fn warehouse(settings: &Settings, _: &BTreeSet<Role>) -> Result<(), Failure> {
    let warehouse = catalog::warehouse(settings)?;
    let others = settings.catalog.locations.iter().map(String::as_str);
    for location in std::iter::once(warehouse.location()).chain(others) {
        Location::parse(location)?;
    }
    Ok(())
}

fn catalog_settings(settings: &Settings, roles: &BTreeSet<Role>) -> Result<(), Failure> {
    CatalogClient::new(settings.catalog_client()?)?;
    if !roles.contains(&Role::Catalog) {
        return Ok(());
    }
    if settings.security.knows_users() {
        local_secret::check(settings)?;
    }
    let identity = GroupIdentity::read(&settings.raft_dir())?;
    catalog::raft_options(settings, None, identity.as_ref())?;
    catalog::delegation(settings).map(drop)
}

fn executor(settings: &Settings, roles: &BTreeSet<Role>) -> Result<(), Failure> {
    match roles.contains(&Role::Executor) {
        true => compute::scheduler_address(settings).map(drop),
        false => Ok(()),
    }
}

fn known_users(settings: &Settings, _: &BTreeSet<Role>) -> Result<(), Failure> {
    let clock = SystemClock::shared();
    let oidc = issuers::believed(settings, &clock)?;
    // Looked at, and not made: doctor leaves everything as it is.
    let kept = settings.token_key_dir().map(|dir| TokenKey::kept(&dir)).transpose()?;
    let key = kept
        .flatten()
        .unwrap_or_else(|| settings.user_key(&SystemRng::shared()));
    users::known(&settings.security, key, oidc, &clock).map(drop)
}

fn tls(settings: &Settings, _: &BTreeSet<Role>) -> Result<(), Failure> {
    if let Some(wanted) = &settings.security.tls {
        Tls::load(wanted.clone(), SystemClock::shared())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tidewater_core::Secret;
    use tidewater_security::UserSettings;

    use super::*;
    use crate::settings::SourceSettings;

    /// The parts in which something is found, of a process that has every role.
    fn refused(change: impl FnOnce(&mut Settings)) -> Vec<&'static str> {
        let mut settings = Settings::default();
        change(&mut settings);
        let roles: BTreeSet<Role> = Role::ALL.into_iter().collect();
        let found: Vec<&str> = parts(&settings, &roles)
            .filter_map(|(part, found)| found.err().map(|_| part))
            .collect();
        assert_eq!(check(&settings, &roles).is_err(), !found.is_empty());
        found
    }

    // Goal: a configuration that cannot be run is refused before anything is opened, and the part that is wrong is named. Method: the defaults,
    // and one mistake in each part.
    #[test]
    fn mistakes_are_found_before_a_start() {
        assert!(refused(|_| ()).is_empty());
        for address in ["nowhere", "lake:x", ":50050", "http://lake:50050"] {
            assert_eq!(
                refused(|all| all.executor.scheduler = address.into()),
                ["executor"],
                "{address}"
            );
        }
        assert!(refused(|all| all.executor.scheduler = "leader".into()).is_empty());
        assert_eq!(refused(|all| all.http.listen = all.catalog.listen), ["addresses"]);
        assert_eq!(
            refused(|all| all.executor.grpc_port = all.executor.listen.port()),
            ["addresses"]
        );
        for place in ["ftp://lake/x", "lake", "gs://bucket/x"] {
            assert_eq!(
                refused(|all| all.catalog.warehouse = place.into()),
                ["warehouse"],
                "{place}"
            );
        }
        assert!(refused(|all| all.catalog.warehouse = "s3://bucket/lake".into()).is_empty());
        assert_eq!(refused(|all| all.catalog.endpoints = vec!["lake".into()]), ["catalog"]);
        assert_eq!(refused(|all| all.security.login_token_ttl_s = Some(1)), ["users"]);
        let twice = |all: &mut Settings| {
            let path = "changes".into();
            all.ingest.sources = vec![SourceSettings::File { path }; 2];
        };
        assert_eq!(refused(twice), ["ingest"]);
        assert_eq!(refused(|all| all.audit.bytes_max = 1), ["audit"]);
        let unkept = |all: &mut Settings| (all.audit.required, all.audit.enabled) = (true, false);
        assert_eq!(refused(unkept), ["audit"]);
    }

    // Goal: a key of tokens that is damaged is found before anything is opened, and only where it would be used. Method: with users and
    // without a key; with one that is torn; the same with a secret, and without users.
    #[test]
    fn a_damaged_key_of_tokens_is_found_before_a_start() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let with_users = |all: &mut Settings| {
            all.data_dir = temp.path().to_owned();
            all.security.users = vec![UserSettings {
                name: "robot".into(),
                password_hash: String::new(),
                scram: None,
                role: tidewater_security::Role::Reader,
            }];
        };
        assert!(refused(with_users).is_empty());
        let dir = temp.path().join("security");
        assert!(
            !dir.try_exists().expect("a readable directory"),
            "nothing is made by looking"
        );
        fs::create_dir(&dir).expect("a writable directory");
        fs::write(dir.join("token.key"), "torn").expect("a writable directory");
        assert_eq!(refused(with_users), ["users"]);
        let with_secret = |all: &mut Settings| {
            with_users(all);
            all.security.token_secret = Some(Secret::new("a secret"));
        };
        assert!(refused(with_secret).is_empty());
        assert!(refused(|all| all.data_dir = temp.path().to_owned()).is_empty());
    }

    // Goal: what is another process's is not asked of this one. Method: a mistake in the settings of a role, with and without it.
    #[test]
    fn other_roles_are_not_looked_at() {
        let mut settings = Settings::default();
        settings.executor.scheduler = "nowhere".into();
        settings.http.listen = settings.postgres.listen;
        assert!(check(&settings, &BTreeSet::from([Role::Catalog])).is_ok());
        assert!(check(&settings, &BTreeSet::from([Role::FlightSql])).is_err());
        assert!(check(&settings, &BTreeSet::from([Role::Executor])).is_err());
    }
}
