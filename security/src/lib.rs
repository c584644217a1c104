//! Who may come in and what they may do: principals, passwords, signed tokens of our own and of issuers that are believed, certificates,
//! roles and grants, TLS with clients and between nodes, and the rule that an open port needs authentication.
//!
//! It knows no protocol; the fronts (Flight SQL, the PostgreSQL wire, REST) carry what it gives and takes. It keeps nothing but
//! lines of who did what ([`AuditLog`]) and, where nobody set a secret, the key of tokens ([`TokenKey::kept_or_made`]): the catalog's log
//! holds the [`Policy`], and whoever decides is told it. Row filters and masks are not here yet.
//!
//! Main types: [`Principal`], [`Authenticator`], [`Oidc`], [`ScramVerifier`], [`Claims`], [`TokenKey`], [`Policy`], [`Access`],
//! [`Authorizer`], [`GrantStatement`], [`AuditLog`], [`Tls`], [`NodeTls`], [`ListenPolicy`].
//!
//! Invariants: a password is never kept, only its Argon2 hash and what SCRAM needs; a token that was altered, is over or was taken back
//! names nobody; once a role or grant was made, and always where grants are
//! required, what is not granted is denied; a certificate without the name of nodes is no node's, whoever issued it.

pub mod access;
pub mod attempts;
pub mod audit;
pub mod authenticator;
pub mod authorizer;
pub mod error;
pub mod listen;
pub mod logins;
pub mod node_tls;
pub mod oidc;
pub mod policy;
pub mod principal;
pub mod same;
pub mod scram;
pub mod statement;
pub mod tls;
pub mod token;

pub use access::{Access, Readable};
pub use attempts::Attempts;
pub use audit::{AuditCounts, AuditFilter, AuditLines, AuditLog, AuditOptions};
pub use authenticator::{Authenticator, Role, UserSettings};
pub use authorizer::{Authorizer, Grants};
pub use error::SecurityError;
pub use listen::ListenPolicy;
pub use logins::{Logins, Outcome, Way};
pub use node_tls::{Authority, NODE_NAME, NodePem, NodeStream, NodeTls, NodeTlsSettings};
pub use oidc::{Oidc, OidcSettings};
pub use policy::{
    Grant, Grantee, Membership, Object, Policy, Privilege, PrivilegeSet, Resource, StoredPassword, TokenRow,
    UserAction, UserChange, UserRow,
};
pub use principal::Principal;
pub use same::same_secret;
pub use scram::{ScramExchange, ScramVerifier};
pub use statement::{GrantStatement, PolicyChange, Target, Whom};
pub use tls::{Peer, Tls, TlsSettings};
pub use token::{Claims, TOKEN_TTL_MS_MAX, TokenKey};
