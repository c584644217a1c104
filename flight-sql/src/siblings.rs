//! Other processes that answer statements, as behind one address for several: what is to end may run in any of them, and each knows of its own
//! statements and connections.
//!
//! What is asked here goes from process to process by whoever implements [`Siblings`], and each answers for itself alone
//! ([`QueryService::heed`](crate::QueryService::heed)): nothing is asked further.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::history::Known;
use crate::postgres::CancelKey;

/// What a process asks the others. Owners are names of users whom the asking process let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Ask {
    /// To end a statement of this user, or keep it from beginning.
    Statement {
        /// Its name.
        id: Uuid,
        /// Whose it has to be.
        owner: String,
    },
    /// To end a query that this user polls.
    Polled {
        /// Its name.
        id: Uuid,
        /// Whose it has to be.
        owner: String,
    },
    /// To end a statement whose result is held for this user, or to forget the result.
    Held {
        /// Its name.
        id: Uuid,
        /// Whose it has to be.
        owner: String,
    },
    /// To end a statement, whoever runs it, for an operator.
    Any {
        /// Its name.
        id: Uuid,
    },
    /// To end the statement of the connection of the PostgreSQL wire that was given this key.
    Key(CancelKey),
    /// To end the statement of a connection of this user, or the connection itself.
    Backend {
        /// The connection.
        pid: i32,
        /// Whose it has to be.
        owner: String,
        /// Whether the connection ends too.
        connection: bool,
    },
    /// Which connections of the PostgreSQL wire this user has.
    Backends {
        /// Whose they have to be.
        owner: String,
    },
    /// Which statements it has, of all users: who asks has looked whether somebody may know.
    History {
        /// Only those at work.
        at_work: bool,
    },
}

/// What became of what was to end. What counts for more is greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// It is not known.
    #[default]
    Nothing,
    /// It was at work and has ended by itself, or is another's.
    Over,
    /// It was at work, and ends.
    Ended,
}

/// What processes say, each for itself or all together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What became of it.
    pub found: Found,
    /// The connections that were asked for, and what each does (`active`, `idle`).
    #[serde(default)]
    pub backends: BTreeMap<i32, String>,
    /// The statements that were asked for. None of several processes together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Known>,
}

/// What each of several processes says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// What they say, in any order.
    pub answers: Vec<Answer>,
    /// Of each that said nothing, which it is and why.
    pub silent: Vec<String>,
}

impl Answer {
    /// That it ends, or that there is nothing of it.
    pub(crate) fn ended(ended: bool) -> Self {
        Self::from(if ended { Found::Ended } else { Found::Nothing })
    }

    /// Takes in what another process says.
    pub fn join(&mut self, other: Self) {
        self.found = self.found.max(other.found);
        self.backends.extend(other.backends);
    }
}

impl From<Found> for Answer {
    fn from(found: Found) -> Self {
        Self {
            found,
            ..Self::default()
        }
    }
}

/// The other processes that answer statements.
#[async_trait]
pub trait Siblings: std::fmt::Debug + Send + Sync {
    /// Asks all of them at the same time. Who does not answer in time, or is too much to be asked, says nothing.
    async fn ask(&self, ask: &Ask) -> Answer;

    /// Asks all of them at the same time what they know, and tells who did not say it in time.
    async fn hear(&self, ask: &Ask) -> Heard;

    /// The same for who cannot wait, from any thread. False when there is no room for it.
    fn tell(&self, ask: Ask) -> bool;
}
