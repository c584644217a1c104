//! What whoever asks has to know beside the rows of a statement: that something is missing from them. It goes with the statement's session.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::prelude::SessionContext;

/// Warnings that one statement gives at most; what is beyond them is counted.
const WARNINGS_MAX: usize = 64;

/// The warnings of the plans of one session.
#[derive(Debug, Default)]
pub struct Warnings(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    texts: BTreeSet<String>,
    more: usize,
}

impl Warnings {
    /// Of the plans of this session from now on.
    pub fn attach(self: &Arc<Self>, session: &SessionContext) {
        let state = session.state_ref();
        state.write().config_mut().set_extension(Arc::clone(self));
    }

    /// Warns of something. The same is told once.
    pub fn warn(&self, text: String) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.texts.len() < WARNINGS_MAX || told.texts.contains(&text) {
            told.texts.insert(text);
        } else {
            told.more += 1;
        }
    }

    /// All that was warned of, in the order of letters.
    pub fn told(&self) -> Vec<String> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let more = (told.more > 0).then(|| format!("{} more warnings are left out", told.more));
        told.texts.iter().cloned().chain(more).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: what is warned of twice is told once, and what is too much is told to be left out. Method: more warnings than are kept, one of them
    // twice, by way of the session that they go with.
    #[test]
    fn warnings_are_bounded() {
        let session = SessionContext::new();
        let warnings = Arc::new(Warnings::default());
        warnings.attach(&session);
        let found = session.state().config().get_extension::<Warnings>();
        let found = found.expect("it goes with the session");
        for number in 0..WARNINGS_MAX + 3 {
            found.warn(format!("{number:03}"));
        }
        found.warn("000".to_owned());
        let told = warnings.told();
        assert_eq!(told.len(), WARNINGS_MAX + 1);
        assert_eq!(told[0], "000");
        assert_eq!(told[WARNINGS_MAX], "3 more warnings are left out");
    }
}
