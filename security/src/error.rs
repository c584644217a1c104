//! The errors of this crate.

use std::net::SocketAddr;

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
    /// A port would be open to the network without authentication.
    #[error("refusing to listen on {address} without authentication")]
    OpenWithoutAuthentication {
        /// The address.
        address: SocketAddr,
    },
}

impl Coded for SecurityError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::BadCredentials | Self::BadToken | Self::ExpiredToken => ErrorKind::Denied,
            Self::BadHash { .. } | Self::OpenWithoutAuthentication { .. } => ErrorKind::Invalid,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::BadCredentials => "SEC-0001",
            Self::BadToken => "SEC-0002",
            Self::ExpiredToken => "SEC-0003",
            Self::BadHash { .. } => "SEC-0004",
            Self::OpenWithoutAuthentication { .. } => "SEC-0005",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::ExpiredToken => Some("log in again".into()),
            Self::BadHash { .. } => Some("make one with: tidewater user hash".into()),
            Self::OpenWithoutAuthentication { .. } => {
                Some("listen on 127.0.0.1, or configure [[security.users]]".into())
            }
            _ => None,
        }
    }
}
