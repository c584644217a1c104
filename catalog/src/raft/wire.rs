//! What nodes say to one another: length, then a sealed record; one request, one answer.

use std::io;

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::record::{seal, unseal};
use super::types::{SnapshotMeta, TypeConfig, Vote};

/// One message: about 1 MiB of log entries, or one entry, with room for the largest command.
const FRAME_BYTES_MAX: usize = 16 << 20;

/// Memory is taken as bytes arrive, in pieces of this size, never on the word of a peer.
const PIECE_BYTES: usize = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    Append(AppendEntriesRequest<TypeConfig>),
    Vote(VoteRequest<u64>),
    /// Followed by the state in pieces: see `snapshot_stream.rs`.
    Snapshot {
        vote: Vote,
        meta: SnapshotMeta,
    },
    /// Asked by nodes that begin: see `bootstrap.rs`.
    Probe,
    /// Asked by followers for a linearizable read: see `read_barrier.rs`.
    ReadIndex,
    /// From the leader of this reign: stand for election now. See `transfer.rs`.
    TakeOver {
        vote: Vote,
        last_log: u64,
    },
    /// Asked by a node that hears from no leader: does the group still know it? See `standing.rs`.
    Standing,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Append(AppendEntriesResponse<u64>),
    Vote(VoteResponse<u64>),
    Snapshot(SnapshotResponse<u64>),
    Probe(Probe),
    /// Everything acknowledged before the question stands at or before this entry.
    ReadIndex(u64),
    /// An election was asked for.
    TakingOver,
    Standing(Standing),
    /// The node does not take part now.
    Refused(String),
}

/// What a node knows about the group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Probe {
    /// It has a log or has voted.
    pub(super) begun: bool,
    /// It has made sure that it is not a voter that lost its files.
    pub(super) admitted: bool,
    /// The voters it knows of.
    pub(super) voters: Vec<u64>,
}

/// What one node knows of another's place in the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Standing {
    /// It takes part, or this node cannot tell.
    Open,
    /// It was removed for good by a committed change.
    Removed,
}

/// The whole frame is on its way when this answers: under TLS only a flush sees to that.
pub(super) async fn write_frame<T: Serialize>(stream: &mut (impl AsyncWrite + Unpin), value: &T) -> io::Result<()> {
    let record = seal(value)?;
    let length = u32::try_from(record.len())
        .ok()
        .filter(|_| record.len() <= FRAME_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::other(format!("a message of {} bytes is too long", record.len())))?;
    let mut frame = Vec::with_capacity(record.len() + 4);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&record);
    stream.write_all(&frame).await?;
    stream.flush().await
}

pub(super) async fn read_frame<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let length = stream.read_u32_le().await? as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a message of {length} bytes is too long"),
        ));
    }
    unseal(&read_bytes(stream, length).await?)
}

pub(super) async fn read_bytes(stream: &mut (impl AsyncRead + Unpin), length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length.min(PIECE_BYTES));
    let mut rest = stream.take(length as u64);
    while bytes.len() < length {
        bytes.reserve((length - bytes.len()).min(PIECE_BYTES));
        if rest.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(bytes)
}
