//! Who may come in: principals, passwords, signed tokens, and the rule that an open port needs authentication.
//!
//! It knows no protocol; the fronts (Flight SQL, REST) carry what it gives and takes. Row and column policies are not here yet.
//!
//! Main types: [`Principal`], [`Authenticator`], [`TokenKey`], [`ListenPolicy`].
//!
//! Invariants: a password is never kept, only its Argon2 hash; a token that was altered or is over names nobody.

pub mod authenticator;
pub mod error;
pub mod listen;
pub mod principal;
pub mod token;

pub use authenticator::{Authenticator, Role, UserSettings};
pub use error::SecurityError;
pub use listen::ListenPolicy;
pub use principal::Principal;
pub use token::TokenKey;
