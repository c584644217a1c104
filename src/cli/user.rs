//! `tidewater user ls|hash|token`

use std::io::BufRead;

use clap::Subcommand;
use serde::Serialize;

use tidewater_core::{SystemClock, SystemRng};
use tidewater_security::authenticator::hash_password;
use tidewater_security::{Principal, Role, ScramVerifier};

use super::failure::Failure;
use super::output::Output;
use crate::settings::Settings;

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[derive(Debug, Subcommand)]
pub(super) enum UserVerb {
    /// List the users and service accounts of the configuration
    Ls,
    /// Read a password from standard input and print its hash and its SCRAM verifier for [[security.users]]
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
    role: Role,
    login: &'static str,
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
    match verb {
        UserVerb::Ls => list(settings, output),
        UserVerb::Hash => hash(output),
        UserVerb::Token { name, days } => token(settings, name, days, output),
    }
}

fn list(settings: &Settings, output: &Output) -> Result<(), Failure> {
    let users = settings.security.users.iter();
    let lines: Vec<UserLine> = users
        .map(|user| UserLine {
            name: user.name.clone(),
            role: user.role,
            login: match user.password_hash.is_empty() {
                true => "tokens",
                false => "password",
            },
        })
        .collect();
    output.rows(&["name", "role", "login"], &lines)
}

/// Needs no configuration.
pub(super) fn hash(output: &Output) -> Result<(), Failure> {
    let mut password = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut password)
        .map_err(|source| Failure::io("read the password", source))?;
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::new("the password is empty")
            .hint("printf '%s' PASSWORD | tidewater user hash")
            .exit(2));
    }
    let rng = SystemRng::shared();
    let password_hash = hash_password(password, &rng)?;
    let scram = ScramVerifier::new(password, &rng).to_string();
    if output.is_json() {
        return output.one(&Hashed { password_hash, scram });
    }
    output.line(&password_hash)?;
    output.line(&scram)
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
