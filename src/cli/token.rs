//! `tidewater token issue|ls|revoke`

use std::sync::Arc;

use clap::Subcommand;
use serde::Serialize;
use uuid::Uuid;

use tidewater_core::{SystemClock, SystemRng};
use tidewater_security::{Authenticator, Policy, PolicyChange, TOKEN_TTL_MS_MAX, TokenRow};

use super::block_on;
use super::failure::Failure;
use super::output::Output;
use super::revoke;
use super::role::{client, policy};
use crate::settings::Settings;

/// Milliseconds of an hour.
const HOUR_MS: i64 = 60 * 60 * 1000;

#[derive(Debug, Subcommand)]
pub(super) enum TokenVerb {
    /// Print a token for a user or service account
    Issue {
        /// Whom it speaks for
        name: String,
        /// How long it is good, in hours
        #[arg(long, default_value_t = 720, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=8_784))]
        hours: i64,
    },
    /// List tokens that were issued here or taken back, until their end
    Ls,
    /// Take a token back, or all that a user has
    #[command(group = clap::ArgGroup::new("which").required(true))]
    Revoke {
        /// As `token ls` prints it
        #[arg(group = "which")]
        id: Option<Uuid>,
        /// Every token that this user was given until now
        #[arg(long, group = "which", value_name = "NAME")]
        user: Option<String>,
    },
}

#[derive(Debug, Serialize)]
struct Issued {
    id: Uuid,
    token: String,
    until_ms: i64,
}

#[derive(Debug, Serialize)]
struct TokenLine {
    id: String,
    subject: String,
    issued_ms: i64,
    until_ms: i64,
    state: &'static str,
}

pub(super) fn run(settings: &Settings, verb: TokenVerb, output: &Output) -> Result<(), Failure> {
    match verb {
        TokenVerb::Issue { name, hours } => issue(settings, name, hours, output),
        TokenVerb::Ls => list(settings, output),
        TokenVerb::Revoke { id: Some(id), .. } => revoke::token(settings, id, output),
        TokenVerb::Revoke { user, .. } => revoke::tokens_of(settings, user.unwrap_or_default(), output),
    }
}

fn issue(settings: &Settings, name: String, hours: i64, output: &Output) -> Result<(), Failure> {
    let security = &settings.security;
    if security.token_secret.is_none() && security.node_secret.is_none() {
        return Err(Failure::new(
            "neither security.token_secret nor security.node_secret is set: each data directory has a key of its own, for logins",
        )
        .hint("set security.token_secret to the same text on all nodes")
        .exit(2));
    }
    let key = settings.user_key(&SystemRng::shared());
    let users = Authenticator::new(security.users.clone(), key, SystemClock::shared())?;
    let client = client(settings)?;
    users.heed(Arc::new(policy(&client)?));
    let Some(principal) = users.principal(&name) else {
        let says = match users.knows(&name) {
            true => format!("{name:?} is disabled"),
            false => format!("{name:?} is no user, neither of security.users nor of the catalog"),
        };
        return Err(Failure::new(says)
            .hint("a service account is made with: tidewater user add NAME --service")
            .exit(2));
    };
    let (claims, token) = users.issue_for(&principal, hours.saturating_mul(HOUR_MS));
    let row = TokenRow {
        id: claims.id,
        subject: claims.subject,
        issued_ms: claims.issued_ms,
        until_ms: claims.until_ms,
        revoked: false,
    };
    // Noted first: a token that nobody can list is not given out.
    block_on(async { Ok(client.change_policy(&PolicyChange::NoteToken(row)).await?) })?;
    if output.is_json() {
        return output.one(&Issued {
            id: claims.id,
            token,
            until_ms: claims.until_ms,
        });
    }
    output.line(&token)
}

fn list(settings: &Settings, output: &Output) -> Result<(), Failure> {
    let policy = policy(&client(settings)?)?;
    let mut lines: Vec<TokenLine> = policy
        .tokens
        .iter()
        .map(|row| TokenLine {
            id: row.id.to_string(),
            subject: row.subject.clone(),
            issued_ms: row.issued_ms,
            until_ms: row.until_ms,
            state: match is_revoked(&policy, row) {
                true => "revoked",
                false => "good",
            },
        })
        .collect();
    lines.extend(policy.tokens_from_ms.iter().map(|(user, from)| TokenLine {
        id: "every earlier one".into(),
        subject: user.clone(),
        issued_ms: *from,
        until_ms: from.saturating_add(TOKEN_TTL_MS_MAX),
        state: "revoked",
    }));
    output.rows(&["id", "subject", "issued_ms", "until_ms", "state"], &lines)
}

fn is_revoked(policy: &Policy, row: &TokenRow) -> bool {
    let from_ms = policy.tokens_from_ms.get(&row.subject);
    row.revoked
        || from_ms.is_some_and(|from_ms| row.issued_ms <= *from_ms)
        || policy
            .users
            .get(&row.subject)
            .is_some_and(|user| !user.heeds_token_of(row.issued_ms))
}
