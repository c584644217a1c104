//! A state on its way from one node to another: in pieces, each with its checksum, encoded and decoded as they travel.
//!
//! Neither end holds the state as bytes, so its size has no limit but memory for the state itself. What is bounded is
//! silence: a transfer that makes no headway for a while ends.

use std::io::{self, Read, Write};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::record::{read_sealed, write_sealed};
use super::wire::read_bytes;
use crate::state::State;

/// One piece.
const PIECE_BYTES: usize = 1 << 20;

/// Pieces between the encoder or decoder and the socket.
const PIECES_AHEAD: usize = 4;

/// Longest time for one piece: a slow disk or network, and a decoder that has to catch up.
const PIECE_DEADLINE: Duration = Duration::from_secs(30);

/// Writes `state` to the peer.
pub(super) async fn send(stream: &mut (impl AsyncWrite + Unpin), state: State) -> io::Result<()> {
    let (pieces, mut encoded) = mpsc::channel(PIECES_AHEAD);
    let encoder = tokio::task::spawn_blocking(move || {
        let mut out = Pieces {
            pieces,
            piece: Vec::with_capacity(PIECE_BYTES),
        };
        write_sealed(&state, &mut out)?;
        out.flush()
    });
    while let Some(piece) = encoded.recv().await {
        within(send_piece(stream, &piece)).await?;
    }
    encoder.await.map_err(io::Error::other)??;
    // Only after the encoder has ended well: a state that was cut never looks whole.
    within(stream.write_all(&0_u32.to_le_bytes())).await?;
    within(stream.flush()).await
}

async fn send_piece(stream: &mut (impl AsyncWrite + Unpin), piece: &[u8]) -> io::Result<()> {
    let length = u32::try_from(piece.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_le_bytes()).await?;
    stream.write_all(&crc32c::crc32c(piece).to_le_bytes()).await?;
    stream.write_all(piece).await
}

/// Reads a state from the peer. After an error the connection is of no more use.
pub(super) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<State> {
    let (pieces, received) = mpsc::channel(PIECES_AHEAD);
    let decoder = tokio::task::spawn_blocking(move || {
        read_sealed(FromPieces {
            pieces: received,
            piece: Vec::new(),
            at: 0,
        })
    });
    while let Some(piece) = within(receive_piece(stream)).await? {
        match timeout(PIECE_DEADLINE, pieces.send(piece)).await {
            Ok(Ok(())) => {}
            // The decoder has ended early and says why.
            Ok(Err(_)) => break,
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
    drop(pieces);
    decoder.await.map_err(io::Error::other)?
}

async fn receive_piece(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let length = stream.read_u32_le().await? as usize;
    if length == 0 {
        return Ok(None);
    }
    if length > PIECE_BYTES {
        return Err(invalid(format!("a piece of {length} bytes is too long")));
    }
    let sum = stream.read_u32_le().await?;
    let piece = read_bytes(stream, length).await?;
    if crc32c::crc32c(&piece) != sum {
        return Err(invalid("checksum mismatch in a piece of a snapshot".into()));
    }
    Ok(Some(piece))
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PIECE_DEADLINE, work)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// Cuts what is written into pieces.
pub(super) struct Pieces {
    pub(super) pieces: mpsc::Sender<Vec<u8>>,
    pub(super) piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE_BYTES - self.piece.len();
        let (taken, _) = bytes.split_at(bytes.len().min(room));
        self.piece.extend_from_slice(taken);
        if self.piece.len() == PIECE_BYTES {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let sent = self.pieces.blocking_send(piece);
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Puts pieces together again.
struct FromPieces {
    pieces: mpsc::Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for FromPieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            match self.pieces.blocking_recv() {
                Some(piece) => (self.piece, self.at) = (piece, 0),
                None => return Ok(0),
            }
        }
        let rest = self.piece.get(self.at..).unwrap_or_default();
        let taken = rest.len().min(out.len());
        let (into, _) = out.split_at_mut(taken);
        into.copy_from_slice(rest.get(..taken).unwrap_or_default());
        self.at += taken;
        Ok(taken)
    }
}
