//! A new group with one voter, made out of a state: of a backup, or of what one node of a lost group holds.
//!
//! The new group's history is another one from here on, whatever the old group had acknowledged beyond. So it begins far
//! behind the old log's end, everybody who follows changes is told that he lost the thread, and the voter has a number
//! that the old group never had: nodes of the old group that come back do not take it for one of theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use openraft::CommittedLeaderId;

use super::data_dir::{DataDir, replace_file};
use super::error::ConsensusError;
use super::export::ImportedState;
use super::identity::GroupIdentity;
use super::log_store;
use super::options::PeerAddress;
use super::record::write_sealed;
use super::state_store::Machine;
use super::types::{LogId, Membership, Vote};
use crate::command::{Command, Op, Outcome};
use tidewater_core::{NodeId, Rng};

/// Entries left out: far more than the old log can have got beyond the backup (two years at a thousand a second), so that
/// no cursor of the old history points into the new one.
const ENTRIES_LEFT_OUT: u64 = 1 << 36;

/// Who begins the new group, and where.
#[derive(Debug, Clone)]
pub struct Founder {
    /// The directory of the node's Raft, where nothing lies yet.
    pub dir: PathBuf,
    /// Where the node will listen.
    pub address: PeerAddress,
    /// When, for the log.
    pub now_ms: i64,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Founded {
    /// The voter's number, which nothing had before.
    pub node: NodeId,
    /// The entry after which the new log begins.
    pub index: u64,
}

/// Makes the files of a new group out of a backup's state. A node started on them with the number that is answered leads
/// alone; others join it.
///
/// # Errors
/// If files of a node lie there, or they cannot be written.
pub fn restore(state: ImportedState, founder: &Founder, rng: &dyn Rng) -> Result<Founded, ConsensusError> {
    let dir = Arc::new(DataDir::open(&founder.dir)?);
    found(&dir, state.machine, founder, rng)
}

pub(super) fn found(
    dir: &Arc<DataDir>,
    mut machine: Machine,
    founder: &Founder,
    rng: &dyn Rng,
) -> Result<Founded, ConsensusError> {
    if !dir.is_fresh()? {
        return Err(ConsensusError::DirNotEmpty {
            dir: dir.path().to_owned(),
        });
    }
    let (term, index) = machine.applied.map_or((0, 0), |id| (id.leader_id.term, id.index));
    machine.note_members();
    let allocate = Command::new(founder.now_ms, Op::AllocateNode);
    let index = index.saturating_add(ENTRIES_LEFT_OUT);
    let Outcome::Node { id } = machine.state.apply(index, allocate) else {
        return Err(ConsensusError::Membership {
            reason: "no number is left for a node".into(),
        });
    };
    let log_id = LogId::new(CommittedLeaderId::new(term + 1, id), index);
    let voters = vec![BTreeSet::from([id])];
    let nodes = BTreeMap::from([(id, founder.address.clone())]);
    machine.applied = Some(log_id);
    machine.membership = Membership::new(Some(log_id), openraft::Membership::new(voters, nodes));
    machine.note_members();
    machine.state.begin_anew(index);

    // The snapshot first: a log that says that its beginning is in a snapshot must not be there without one.
    let snapshot = dir.snapshot_path();
    replace_file(&snapshot, |file| {
        let mut out = std::io::BufWriter::with_capacity(1 << 20, file);
        write_sealed(&machine, &mut out)?;
        out.into_inner().map_err(std::io::IntoInnerError::into_error).map(drop)
    })
    .map_err(|e| ConsensusError::storage("write", &snapshot, e))?;
    let node = NodeId(id);
    let log = dir.log_path();
    let db = dir.open_log(node, rng)?;
    log_store::begin_at(&db, log_id, Vote::new(term + 1, id)).map_err(|e| ConsensusError::storage("write", &log, e))?;
    drop(db);
    dir.admit()?;
    let identity = GroupIdentity {
        node,
        address: founder.address.clone(),
        members: BTreeMap::new(),
    };
    identity.write(dir.path())?;
    Ok(Founded { node, index })
}
