//! How clients reach the files of a table: credentials for its folder, or requests signed one at a time.
//!
//! Everything here begins with a [`TableScope`], which can only be made of a location that was checked; a credential without one cannot be
//! written down. What is given out always ends.

mod delegate;
mod delegated_request;
mod policy;
mod scope;
mod sigv4;
mod sts;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use delegate::{Delegate, Grant, Wish};
pub(crate) use delegated_request::SignRequest;
use tidewater_table::S3Options;

/// How long a credential is good when nothing else is said: what STS gives by default.
const LIFETIME_DEFAULT: Duration = Duration::from_secs(3_600);

/// A pair of keys, and a token when they are temporary.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKeys {
    /// Key id.
    pub access_key_id: String,
    /// Secret key.
    pub secret_access_key: String,
    /// Token of temporary keys.
    #[serde(default)]
    pub session_token: Option<String>,
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessKeys({}, secret)", self.access_key_id)
    }
}

/// Which credentials clients get.
#[derive(Debug, Clone, Default)]
pub enum Vending {
    /// None.
    #[default]
    Nothing,
    /// The same keys for every table: for stores without STS. They reach whatever their owner lets them reach.
    Static(AccessKeys),
    /// Temporary keys of a role, narrowed to the folder of one table.
    AssumeRole {
        /// Where STS is; none means Amazon's of the region.
        endpoint: Option<String>,
        /// The role. Stores that have no roles take any.
        role_arn: String,
        /// What the role's owner demands from others.
        external_id: Option<String>,
    },
}

/// What clients may be given.
#[derive(Debug, Clone)]
pub struct DelegationOptions {
    /// How the catalog itself reaches the store. Its keys sign requests and assume the role; they never leave the catalog.
    pub s3: S3Options,
    /// Which credentials clients get.
    pub vending: Vending,
    /// Whether requests of clients are signed.
    pub remote_signing: bool,
    /// Whether the store at an endpoint of its own refuses a request with a header that changes what it does and is not signed, as Amazon
    /// does. Without that, only requests that read are signed for it.
    pub store_refuses_unsigned_headers: bool,
    /// How long a credential is good; at least 15 minutes, at most 12 hours.
    pub lifetime: Duration,
}

impl DelegationOptions {
    /// Nothing is given out yet.
    pub fn new(s3: S3Options) -> Self {
        Self {
            s3,
            vending: Vending::Nothing,
            remote_signing: false,
            store_refuses_unsigned_headers: false,
            lifetime: LIFETIME_DEFAULT,
        }
    }
}

#[cfg(test)]
mod tests;
