//! `tidewater user add|passwd|disable|enable|drop|ls|hash|token`

use std::io::BufRead;

use clap::Subcommand;
use serde::Serialize;

use tidewater_core::{SystemClock, SystemRng};
use tidewater_security::authenticator::hash_password;
use tidewater_security::{
    Grantee, Policy, PolicyChange, Principal, Role, ScramVerifier, SecurityError, StoredPassword, UserAction,
    UserChange,
};

use super::failure::Failure;
use super::output::Output;
use super::role::{apply, client, policy};
use crate::settings::Settings;

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[derive(Debug, Subcommand)]
pub(super) enum UserVerb {
    /// Make a user or service account that the catalog keeps: no restart, no edit of the configuration
    Add {
        /// The login name
        name: String,
        /// An account that has tokens only (tidewater token issue)
        #[arg(long)]
        service: bool,
        /// A role of theirs, as of `role create`; may be repeated
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Read another password from standard input. Tokens of before stay good
    Passwd {
        /// Whose
        name: String,
    },
    /// Let nobody in as this user, neither by password nor by token
    Disable {
        /// Whom
        name: String,
    },
    /// Let a disabled user in again, by password and by tokens of from now on
    Enable {
        /// Whom
        name: String,
    },
    /// Drop a user with the grants, roles and tokens they have
    Drop {
        /// Whom
        name: String,
    },
    /// List the users and service accounts of the configuration and of the catalog
    Ls,
    /// Read a password from standard input and print its hash and its SCRAM verifier as lines for [[security.users]]
    Hash,
    /// Print a token for clients of the catalog and of the control endpoint, signed with security.node_secret
    Token {
        /// Whom it is for
        name: String,
        /// How long it is good
        #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        days: u16,
    },
}

#[derive(Debug, Serialize)]
struct UserLine {
    name: String,
    /// Where they are kept.
    of: &'static str,
    /// The configuration's own word; roles of `CREATE ROLE` are the next column.
    role: Option<Role>,
    roles: String,
    login: &'static str,
    state: &'static str,
}

#[derive(Debug, Serialize)]
struct Hashed {
    password_hash: String,
    scram: String,
}

#[derive(Debug, Serialize)]
struct Issued {
    token: String,
    until_ms: i64,
}

pub(super) fn run(settings: &Settings, verb: UserVerb, output: &Output) -> Result<(), Failure> {
    let (user, action) = match verb {
        UserVerb::Ls => return list(settings, output),
        UserVerb::Hash => return hash(output),
        UserVerb::Token { name, days } => return token(settings, name, days, output),
        UserVerb::Add {
            name,
            service,
            roles,
            password_stdin,
        } => {
            let password = match (service, password_stdin) {
                (false, true) => Some(stored("tidewater user add NAME --password-stdin")?),
                (true, false) => None,
                _ => {
                    return Err(Failure::new(
                        "a user has a password (--password-stdin), a service account none (--service)",
                    )
                    .hint("give one of the two")
                    .exit(2));
                }
            };
            let id = SystemRng::shared().uuid();
            (name, UserAction::Add { id, password, roles })
        }
        UserVerb::Passwd { name } => {
            let password = stored("tidewater user passwd NAME")?;
            (name, UserAction::SetPassword { password })
        }
        UserVerb::Disable { name } => (name, UserAction::Disable),
        UserVerb::Enable { name } => (name, UserAction::Enable),
        UserVerb::Drop { name } => (name, UserAction::Drop),
    };
    let change = UserChange { user, action };
    // The file of this machine may know more than that of the node that is asked.
    if settings.security.users.iter().any(|known| known.name == change.user) {
        return Err(SecurityError::UserConfigured { user: change.user }.into());
    }
    // It is refused here without a catalog, too.
    change.check_name()?;
    apply(&client(settings)?, &PolicyChange::User(change), output)
}

fn list(settings: &Settings, output: &Output) -> Result<(), Failure> {
    let policy = policy(&client(settings)?)?;
    let users = &settings.security.users;
    let mut lines: Vec<UserLine> = users
        .iter()
        .map(|user| UserLine {
            name: user.name.clone(),
            of: "configuration",
            role: Some(user.role),
            roles: roles_of(&policy, &user.name),
            login: login(!user.password_hash.is_empty()),
            state: "enabled",
        })
        .collect();
    lines.extend(policy.users.iter().map(|(name, row)| UserLine {
        name: name.clone(),
        of: "catalog",
        role: None,
        roles: roles_of(&policy, name),
        login: login(row.password.is_some()),
        state: match row.disabled {
            true => "disabled",
            // The name is the configuration's.
            false if users.iter().any(|user| user.name == *name) => "hidden",
            false => "enabled",
        },
    }));
    output.rows(&["name", "of", "role", "roles", "login", "state"], &lines)
}

fn login(by_password: bool) -> &'static str {
    match by_password {
        true => "password",
        false => "tokens",
    }
}

/// The roles that somebody was given, without those that come with them.
fn roles_of(policy: &Policy, user: &str) -> String {
    let member = Grantee::User(user.to_owned());
    let found = policy.members.iter().filter(|found| found.member == member);
    let roles: Vec<&str> = found.map(|found| found.role.as_str()).collect();
    roles.join(", ")
}

/// What is kept of the password on standard input.
fn stored(verb: &str) -> Result<StoredPassword, Failure> {
    Ok(StoredPassword::new(&read_password(verb)?, &SystemRng::shared())?)
}

/// The first line of standard input.
fn read_password(verb: &str) -> Result<String, Failure> {
    let mut password = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut password)
        .map_err(|source| Failure::io("read the password", source))?;
    let password = password.trim_end_matches(['\r', '\n']);
    match password.is_empty() {
        true => Err(Failure::new("the password is empty")
            .hint(format!("printf '%s' PASSWORD | {verb}"))
            .exit(2)),
        false => Ok(password.to_owned()),
    }
}

/// Needs no configuration.
pub(super) fn hash(output: &Output) -> Result<(), Failure> {
    let password = read_password("tidewater user hash")?;
    let rng = SystemRng::shared();
    let password_hash = hash_password(&password, &rng)?;
    let scram = ScramVerifier::new(&password, &rng).to_string();
    if output.is_json() {
        return output.one(&Hashed { password_hash, scram });
    }
    // As lines of the configuration. Neither has a quote or a backslash: they are Base64, digits and signs.
    output.line(&format!("password_hash = \"{password_hash}\""))?;
    output.line(&format!("scram = \"{scram}\""))
}

fn token(settings: &Settings, name: String, days: u16, output: &Output) -> Result<(), Failure> {
    let key = settings.node_key().ok_or_else(|| {
        Failure::new("security.node_secret is not set, so no token is asked for")
            .hint("set it to the same text on all nodes")
            .exit(2)
    })?;
    let until_ms = SystemClock::shared().now_ms().saturating_add(DAY_MS * i64::from(days));
    let token = key.issue(&Principal::named(name), until_ms);
    if output.is_json() {
        return output.one(&Issued { token, until_ms });
    }
    output.line(&token)
}
