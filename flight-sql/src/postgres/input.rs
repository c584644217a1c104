//! What a client sends, as far as it has come: little of each connection, and of long messages that are not whole yet only as much as
//! all connections together may have.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadHalf};

use tidewater_core::SharedClock;
use tidewater_security::tls::Stream;

use super::connection::End;
use super::failure::{Failure, state};
use super::message::{self, MESSAGE_BYTES_MAX, Message};
use crate::budget::{Budget, Limits, Share, Taken};

/// What is read at once of short messages, and ahead while a statement runs, to see a client that goes away. No more than this of them
/// is ever held, so nobody who sends short ones is refused: with as many connections as there may be (5,000) that is 320 MB.
pub(super) const READ_BYTES: usize = 64 << 10;

/// The most that is in the middle of being read of longer ones: four of the longest, thousands of usual ones. A connection reads one at
/// a time, which may be as long as any.
pub(super) const READING: Limits = Limits {
    own: READ_BYTES,
    share: MESSAGE_BYTES_MAX,
    all: 4 * MESSAGE_BYTES_MAX,
};

/// How long a longer one may take to come, so that nobody holds for ever what all share: the longest at 220 kilobytes a second.
const LONG_MAX: Duration = Duration::from_secs(300);

/// The half that is read.
#[derive(Debug)]
pub(super) struct Input<R = ReadHalf<Stream>> {
    half: R,
    buffer: BytesMut,
    /// What is taken for what has been read into the buffer.
    taken: Taken,
    clock: SharedClock,
}

impl<R: AsyncRead + Unpin> Input<R> {
    /// The half that goes on behind what is in the buffer.
    pub(super) fn new(half: R, buffer: BytesMut, reading: &Budget, clock: SharedClock) -> Self {
        Self {
            half,
            buffer,
            taken: reading.begin(Share::default()),
            clock,
        }
    }

    /// The next message.
    pub(super) async fn message(&mut self, bytes_max: usize) -> Result<Message, End> {
        let clock = SharedClock::clone(&self.clock);
        let mut until = None;
        loop {
            let came = self.buffer.len();
            if let Some(message) = message::message(&mut self.buffer, bytes_max)? {
                if came > READ_BYTES {
                    // Else the memory of a long message would stay as long as its connection.
                    self.buffer = BytesMut::from(&self.buffer[..]);
                }
                self.taken.keep(self.buffer.len());
                return Ok(message);
            }
            let whole = message::whole_bytes(&self.buffer).unwrap_or_default();
            let filling = self.fill(whole.max(bytes_max.min(READ_BYTES)));
            if came <= READ_BYTES {
                filling.await?;
                continue;
            }
            let until = *until.get_or_insert_with(|| clock.monotonic() + LONG_MAX);
            tokio::select! {
                filled = filling => filled?,
                () = clock.sleep(until.saturating_sub(clock.monotonic())) => return Err(End::Fatal(too_slow())),
            }
        }
    }

    /// Reads on until there are at most so many bytes.
    async fn fill(&mut self, bytes_max: usize) -> Result<(), End> {
        let room = bytes_max.saturating_sub(self.buffer.len());
        let read = self.half.read_buf(&mut BufMut::limit(&mut self.buffer, room)).await?;
        if read == 0 {
            return Err(End::Gone);
        }
        let taken = self.taken.add(read);
        taken.map_err(|error| End::Fatal(Failure::of(&error, "")))
    }

    /// Comes back when the client has gone away.
    pub(super) async fn gone(&mut self) {
        while self.buffer.len() < READ_BYTES {
            if self.fill(READ_BYTES).await.is_err() {
                return;
            }
        }
        std::future::pending().await
    }

    /// Reads the rest of what was begun, and what comes behind it, and keeps nothing of it: a client that finds its connection closed
    /// while it sends may never see why.
    pub(super) async fn forget(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        self.buffer = BytesMut::new();
        self.taken.keep(0);
        // However it ends, nobody is there any more.
        let _ = tokio::io::copy(&mut self.half, &mut tokio::io::sink()).await;
    }
}

fn too_slow() -> Failure {
    let text = format!("terminating connection: a message did not come within {LONG_MAX:?}");
    Failure::new(state::IDLE, text).hint("send it at once, and look at the network between")
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;

    use futures::poll;
    use tidewater_core::{ManualClock, SystemClock};
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Longer than what is read at once.
    const LONG: usize = 3 * READ_BYTES;

    fn rows(bytes: usize) -> Vec<u8> {
        let length = u32::try_from(4 + bytes).expect("a length");
        [&b"d"[..], &length.to_be_bytes()[..], "x".repeat(bytes).as_bytes()].concat()
    }

    // Goal: what a message took is given back when it is whole or given up, and so is its memory. Method: a long message with a short one
    // behind it, then a part of a long one whose connection ends.
    #[tokio::test]
    async fn a_long_message_leaves_nothing_behind() {
        let reading = Budget::new(READING);
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let mut input = Input::new(server, BytesMut::new(), &reading, SystemClock::shared());
        client.write_all(&rows(LONG)).await.expect("room");
        client.write_all(b"S\0\0\0\x04").await.expect("room");
        let message = input.message(MESSAGE_BYTES_MAX).await;
        assert!(matches!(message, Ok(Message::Copy)));
        assert_eq!((reading.taken(), input.buffer.capacity()), (0, 0));
        let message = input.message(MESSAGE_BYTES_MAX).await;
        assert!(matches!(message, Ok(Message::Sync)), "what was behind it is there");
        let long = rows(LONG);
        client.write_all(&long[..LONG]).await.expect("room");
        {
            let mut next = pin!(input.message(MESSAGE_BYTES_MAX));
            assert!(poll!(next.as_mut()).is_pending());
        }
        assert_eq!(reading.taken(), LONG - READ_BYTES);
        drop(input);
        assert_eq!(reading.taken(), 0);
    }

    // Goal: of short messages no more is held than each connection may have, however many are sent at once, and whether they are asked
    // for or read ahead. Method: a hundred of them where nothing is left of what all share.
    #[tokio::test]
    async fn short_messages_need_no_room() {
        let reading = Budget::new(Limits { all: 0, ..READING });
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let mut input = Input::new(server, BytesMut::new(), &reading, SystemClock::shared());
        let short = rows(READ_BYTES / 10);
        client.write_all(&short.repeat(100)).await.expect("room");
        for _ in 0..100 {
            let message = input.message(MESSAGE_BYTES_MAX).await;
            assert!(matches!(message, Ok(Message::Copy)));
            {
                let mut gone = pin!(input.gone());
                assert!(poll!(gone.as_mut()).is_pending());
            }
            assert!(input.buffer.len() <= READ_BYTES);
        }
        client.write_all(&rows(LONG)).await.expect("room");
        let refused = input.message(MESSAGE_BYTES_MAX).await;
        assert!(matches!(refused, Err(End::Fatal(failure)) if failure.state == "53000"));
    }

    // Goal: nobody holds for ever what all share. Method: a part of a long message, and the time that it may take goes by, in two steps
    // between which some more of it comes.
    #[tokio::test]
    async fn a_long_message_has_its_time() {
        let reading = Budget::new(READING);
        let clock = Arc::new(ManualClock::new(0));
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let mut input = Input::new(server, BytesMut::new(), &reading, clock.clone());
        let long = rows(LONG);
        let (part, more) = long[..3 * READ_BYTES].split_at(2 * READ_BYTES);
        client.write_all(part).await.expect("room");
        let mut message = pin!(input.message(MESSAGE_BYTES_MAX));
        assert!(poll!(message.as_mut()).is_pending());
        clock.advance(LONG_MAX / 2);
        client.write_all(more).await.expect("room");
        assert!(poll!(message.as_mut()).is_pending());
        clock.advance(LONG_MAX / 2);
        assert!(matches!(message.await, Err(End::Fatal(failure)) if failure.state == state::IDLE));
    }
}
