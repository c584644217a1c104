//! What an error means to whoever has to act on it.

use serde::{Deserialize, Serialize};

/// The coarse kinds every error of tidewater falls into. Edges (REST, Flight, command line) map kinds only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The caller's input is wrong; the same call will fail again.
    Invalid,
    /// What was named does not exist.
    NotFound,
    /// Somebody else was first, or it exists already.
    Conflict,
    /// Not authenticated or not allowed.
    Denied,
    /// A peer or a store does not answer now.
    Unavailable,
    /// A limit was reached: memory, disk, queue, budget.
    Exhausted,
    /// A deadline passed.
    Timeout,
    /// Stored data is not what was written.
    Corrupt,
    /// The caller's lease or leadership is over.
    Fenced,
    /// Understood, and not implemented.
    Unsupported,
    /// Stopped on request.
    Cancelled,
    /// A defect of ours.
    Internal,
}

/// What may be done after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// The same call fails again.
    Never,
    /// Nothing happened: the same call may be sent again.
    Safe,
    /// Nothing happened: load the state anew, plan again, then call.
    AfterRefresh,
    /// It may have happened: look before anything else.
    Unknown,
}

/// Every error enum of tidewater implements this.
pub trait Coded: std::error::Error {
    /// The coarse kind.
    fn kind(&self) -> ErrorKind;

    /// The stable code, such as `CAT-0007`; its page is `docs/errors/CAT-0007.md`.
    fn code(&self) -> &'static str;

    /// What may be done next; by default what the kind suggests.
    fn retry(&self) -> Retry {
        match self.kind() {
            ErrorKind::Unavailable | ErrorKind::Exhausted => Retry::Safe,
            ErrorKind::Conflict => Retry::AfterRefresh,
            ErrorKind::Timeout => Retry::Unknown,
            _ => Retry::Never,
        }
    }

    /// One sentence that tells a person how to go on.
    fn hint(&self) -> Option<String> {
        None
    }
}
