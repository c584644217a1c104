//! `tidewater user hash`

use std::io::BufRead;

use clap::Subcommand;

use tidewater_core::SystemRng;
use tidewater_security::authenticator::hash_password;

use super::failure::Failure;
use super::output::Output;

#[derive(Debug, Subcommand)]
pub(super) enum UserVerb {
    /// Read a password from standard input and print its hash for [[security.users]]
    Hash,
}

pub(super) fn run(verb: UserVerb, output: &Output) -> Result<(), Failure> {
    let UserVerb::Hash = verb;
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
    output.line(&hash_password(password, &SystemRng::shared())?)
}
