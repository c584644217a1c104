//! What must always hold, by id. Tests, assertions and documents refer to these ids.

/// One thing that must always hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invariant {
    /// Stable id, such as `INV-ING-1`.
    pub id: &'static str,
    /// The statement.
    pub says: &'static str,
}

/// Every invariant of tidewater.
pub const ALL: &[Invariant] = &[
    Invariant {
        id: "INV-CAT-1",
        says: "an acknowledged write survives the loss of any minority of nodes",
    },
    Invariant {
        id: "INV-CAT-2",
        says: "a read that began after a write was acknowledged sees it",
    },
    Invariant {
        id: "INV-CAT-3",
        says: "applying the same log gives the same state on every node",
    },
    Invariant {
        id: "INV-CAT-4",
        says: "a commit over several tables is visible in all of them or in none",
    },
    Invariant {
        id: "INV-TBL-1",
        says: "a snapshot never names a file that was not written and synced before it was committed",
    },
    Invariant {
        id: "INV-TBL-2",
        says: "a commit that lost its race is planned again from the new head, never applied again",
    },
    Invariant {
        id: "INV-ING-1",
        says: "every record between two committed offsets is in bronze or in the dead letters, once",
    },
    Invariant {
        id: "INV-ING-2",
        says: "offsets and the rows they cover are committed in one log entry",
    },
    Invariant {
        id: "INV-ING-3",
        says: "a range that a producer appends is in the table once when it was acknowledged, and never twice",
    },
    Invariant {
        id: "INV-PIP-1",
        says: "an incremental run gives the rows a full refresh would give",
    },
    Invariant {
        id: "INV-PIP-2",
        says: "a model's watermark is committed together with the rows it covers",
    },
    Invariant {
        id: "INV-JOB-1",
        says: "a job that runs twice commits once",
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    // Goal: an id names one invariant. Method: count them.
    #[test]
    fn ids_are_unique() {
        let ids: BTreeSet<_> = ALL.iter().map(|i| i.id).collect();
        assert_eq!(ids.len(), ALL.len());
    }
}
