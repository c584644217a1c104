//! The errors of this crate.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use tidewater_core::{Coded, ErrorKind};

/// Why somebody or something is not let in.
#[derive(Debug, Error)]
pub enum SecurityError {
    /// No such user, or another password. Which of the two is not told.
    #[error("user name or password is wrong")]
    BadCredentials,
    /// The token was not signed by this installation, or was altered.
    #[error("the token is not valid")]
    BadToken,
    /// The token was good once.
    #[error("the token has expired")]
    ExpiredToken,
    /// A password hash in the configuration cannot be read.
    #[error("the password hash of user {user:?} is not an Argon2 hash in PHC form")]
    BadHash {
        /// The user.
        user: String,
    },
    /// The token was taken back.
    #[error("the token was revoked")]
    RevokedToken,
    /// Too many wrong passwords before this one, which was not looked at.
    #[error("too many failed logins: the next one is looked at in {seconds} s")]
    TooManyAttempts {
        /// How long to wait.
        seconds: u64,
    },
    /// Somebody lacks a privilege on what they may know of.
    #[error("permission denied: {user} lacks {privilege} on {what}")]
    PermissionDenied {
        /// Who asked.
        user: String,
        /// What they lack.
        privilege: String,
        /// On what.
        what: String,
    },
    /// What is not granted is denied, and nothing was granted to anybody. It is told of whatever takes a grant, there or not.
    #[error("permission denied: nothing was granted to anybody yet, and what is not granted is denied")]
    NothingGranted,
    /// A statement about roles or grants that makes no sense.
    #[error("cannot read the statement: {reason}")]
    BadStatement {
        /// Where it stops making sense.
        reason: String,
    },
    /// Nobody could be asked for too long what users may do.
    #[error("what users may do is not known: the catalog has not told for {seconds} s")]
    PolicyUnknown {
        /// How old what is known is.
        seconds: u64,
    },
    /// A port would be open to the network without authentication.
    #[error("refusing to listen on {address} without authentication")]
    OpenWithoutAuthentication {
        /// The address.
        address: SocketAddr,
    },
    /// A certificate or a key cannot be used.
    #[error("the certificate or key in {file:?} cannot be used")]
    BadCertificate {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Other nodes would not take the certificate of this one.
    #[error("the certificate in {file:?} is not one of a node that the CA in {ca:?} vouches for now")]
    NotANode {
        /// The certificate's file.
        file: PathBuf,
        /// The CA's.
        ca: PathBuf,
        /// Why they would not.
        source: tokio_rustls::rustls::Error,
    },
    /// A file of certificates or keys would be overwritten.
    #[error("{file:?} is there already")]
    CertificateExists {
        /// The file.
        file: PathBuf,
    },
    /// A certificate or key cannot be kept.
    #[error("cannot write {file:?}")]
    CertificateNotWritten {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The CA cannot issue a certificate.
    #[error("cannot issue a certificate for {what:?}")]
    NotIssued {
        /// For whom.
        what: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// One end of a connection between nodes speaks TLS and the other does not.
    #[error("one of two nodes speaks TLS and the other does not: is [node_tls] set on both?")]
    NoNodeTls {
        /// How it ended, if it was not by what it said.
        source: Option<io::Error>,
    },
    /// A SCRAM verifier in the configuration cannot be read.
    #[error("the SCRAM verifier of user {user:?} is not one as PostgreSQL has them")]
    BadVerifier {
        /// The user.
        user: String,
    },
    /// An issuer in the configuration cannot be believed as it is.
    #[error("the issuer {issuer:?} cannot be used: {reason}")]
    BadIssuer {
        /// The issuer.
        issuer: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A token of another issuer does not let its bearer in.
    #[error("the token is not accepted: {reason}")]
    ForeignToken {
        /// Why not.
        reason: &'static str,
    },
    /// An issuer's keys were never had, or not for too long.
    #[error("the keys of the issuer {issuer:?} cannot be had now")]
    KeysUnknown {
        /// The issuer.
        issuer: String,
    },
    /// A certificate names somebody who is no user here.
    #[error("the certificate names {user:?}, who is no user here")]
    UnknownCertificate {
        /// Whom it names.
        user: String,
    },
    /// A password came from another machine where others may read it on its way. It was not looked at.
    #[error("passwords are taken over TLS or on this machine only")]
    PlainPassword,
    /// A user of the configuration was to be made or changed in the catalog.
    #[error("user {user:?} is the configuration's, and is changed there")]
    UserConfigured {
        /// The user.
        user: String,
    },
    /// The catalog keeps somebody of this name already.
    #[error("there is a user {user:?} already")]
    UserExists {
        /// The user.
        user: String,
    },
    /// The catalog keeps nobody of this name.
    #[error("the catalog keeps no user {user:?}")]
    NoSuchUser {
        /// The user.
        user: String,
    },
    /// Nobody could log in by the name, or no more of it is kept.
    #[error("{name:?} is no name for a user or role: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A password was to be set for an account that has tokens only.
    #[error("{user:?} is a service account, which has no password")]
    ServiceAccount {
        /// The account.
        user: String,
    },
    /// Somebody who came in was disabled, or dropped, since; or the name is another's now.
    #[error("user {user:?} was disabled or dropped since the login")]
    UserGone {
        /// The user.
        user: String,
    },
    /// Nobody has to say who they are here, so that a user would be told from nobody.
    #[error(
        "user {user:?} would mean nothing: the configuration has no users, so that everybody on this machine is let in"
    )]
    NobodyIsAsked {
        /// The user.
        user: String,
    },
    /// The key that signs tokens cannot be read, trusted or kept.
    #[error("the key that signs tokens, {file:?}, cannot be used")]
    BadTokenKey {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// A message of a login is not one of the mechanism.
    #[error("a message of the login is not as SCRAM has it: {reason}")]
    BadExchange {
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Coded for SecurityError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::BadCredentials
            | Self::BadToken
            | Self::ExpiredToken
            | Self::RevokedToken
            | Self::ForeignToken { .. }
            | Self::UnknownCertificate { .. }
            | Self::PlainPassword
            | Self::UserGone { .. }
            | Self::NothingGranted
            | Self::PermissionDenied { .. } => ErrorKind::Denied,
            Self::UserConfigured { .. } | Self::UserExists { .. } | Self::ServiceAccount { .. } => ErrorKind::Conflict,
            Self::NoSuchUser { .. } => ErrorKind::NotFound,
            Self::TooManyAttempts { .. } => ErrorKind::Exhausted,
            Self::PolicyUnknown { .. } | Self::KeysUnknown { .. } | Self::NoNodeTls { .. } => ErrorKind::Unavailable,
            Self::BadStatement { .. }
            | Self::BadHash { .. }
            | Self::OpenWithoutAuthentication { .. }
            | Self::BadCertificate { .. }
            | Self::NotANode { .. }
            | Self::CertificateExists { .. }
            | Self::CertificateNotWritten { .. }
            | Self::NotIssued { .. }
            | Self::BadVerifier { .. }
            | Self::BadIssuer { .. }
            | Self::NobodyIsAsked { .. }
            | Self::BadName { .. }
            | Self::BadTokenKey { .. }
            | Self::BadExchange { .. } => ErrorKind::Invalid,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::BadCredentials => "SEC-0001",
            Self::BadToken => "SEC-0002",
            Self::ExpiredToken => "SEC-0003",
            Self::BadHash { .. } => "SEC-0004",
            Self::OpenWithoutAuthentication { .. } => "SEC-0005",
            Self::BadCertificate { .. } => "SEC-0011",
            Self::BadVerifier { .. } => "SEC-0012",
            Self::BadExchange { .. } => "SEC-0013",
            Self::BadIssuer { .. } => "SEC-0014",
            Self::ForeignToken { .. } => "SEC-0015",
            Self::KeysUnknown { .. } => "SEC-0016",
            Self::UnknownCertificate { .. } => "SEC-0017",
            Self::NotANode { .. } => "SEC-0018",
            Self::CertificateExists { .. } => "SEC-0019",
            Self::CertificateNotWritten { .. } => "SEC-0020",
            Self::NotIssued { .. } => "SEC-0021",
            Self::NoNodeTls { .. } => "SEC-0022",
            Self::PlainPassword => "SEC-0023",
            Self::UserConfigured { .. } => "SEC-0024",
            Self::UserExists { .. } => "SEC-0025",
            Self::NoSuchUser { .. } => "SEC-0026",
            Self::UserGone { .. } => "SEC-0027",
            Self::NobodyIsAsked { .. } => "SEC-0028",
            Self::BadName { .. } => "SEC-0029",
            Self::ServiceAccount { .. } => "SEC-0030",
            Self::BadTokenKey { .. } => "SEC-0031",
            Self::NothingGranted => "SEC-0032",
            Self::RevokedToken => "SEC-0006",
            Self::TooManyAttempts { .. } => "SEC-0007",
            Self::PermissionDenied { .. } => "SEC-0008",
            Self::BadStatement { .. } => "SEC-0009",
            Self::PolicyUnknown { .. } => "SEC-0010",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::ExpiredToken | Self::RevokedToken => Some("log in again".into()),
            Self::PermissionDenied { privilege, .. } => Some(format!("ask who manages grants for {privilege}")),
            Self::NothingGranted => Some(
                "an administrator grants it: GRANT SELECT ON SCHEMA gold TO USER ana, or tidewater role grant SELECT --on \"schema gold\" --to \"user ana\"; security.grants = \"when_made\" has roles of the configuration decide until the first grant, as they did before"
                    .into(),
            ),
            Self::PolicyUnknown { .. } => Some("is the catalog running, and does it have a leader?".into()),
            Self::PlainPassword => Some(
                "call by https, or show a token; security.tls.allow_plain lets passwords through, to whoever reads along too"
                    .into(),
            ),
            Self::KeysUnknown { .. } => Some("can this machine reach the issuer? the log tells why not".into()),
            Self::NotANode { .. } => Some("make one with: tidewater cluster node-cert".into()),
            Self::CertificateExists { .. } => Some("move it away first, or name another folder".into()),
            Self::UnknownCertificate { .. } => {
                Some("add the user (tidewater user add --service), or map the name in [security.tls.client_names]".into())
            }
            Self::UserConfigured { .. } => Some("edit [[security.users]], or take another name".into()),
            Self::UserExists { .. } => {
                Some("take another name, or give this one another password: tidewater user passwd".into())
            }
            Self::NoSuchUser { .. } => Some("list them, letter by letter: tidewater user ls".into()),
            Self::UserGone { .. } => Some("log in again, once an operator has enabled them: tidewater user enable".into()),
            Self::NobodyIsAsked { .. } => {
                Some("begin with an administrator in [[security.users]]: tidewater user hash".into())
            }
            Self::BadName { .. } => Some("take another name, such as ana or etl-nightly".into()),
            Self::ServiceAccount { .. } => {
                Some("give it a token: tidewater token issue; who is to log in by password is a user of another name".into())
            }
            Self::BadTokenKey { .. } => Some(
                "put it back as it was, for its owner only (chmod 600), or remove it: a new one is made, and everybody logs in again"
                    .into(),
            ),
            Self::BadHash { .. } | Self::BadVerifier { .. } => Some("make one with: tidewater user hash".into()),
            Self::OpenWithoutAuthentication { .. } => {
                Some("listen on 127.0.0.1, or configure [[security.users]] or [[security.oidc]]".into())
            }
            _ => None,
        }
    }
}
