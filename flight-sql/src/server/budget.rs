//! How much of messages may be in the middle of being read, of all connections together: a message is whole in memory before it is
//! looked at, and who sends half of many would fill it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use crate::error::QueryError;
use crate::flight::status::to_status;

/// What is left of it. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    taken: Arc<AtomicUsize>,
    bytes_max: usize,
}

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            taken: Arc::default(),
            bytes_max,
        }
    }

    /// The body of a call, which takes of it for the message that is not whole yet.
    pub(super) fn of(&self, body: Body) -> Body {
        Body::new(Counted {
            body,
            message: Message::default(),
            bytes: 0,
            budget: self.clone(),
        })
    }
}

/// Bytes before a message: whether it is compressed, and its length.
const HEAD_BYTES: usize = 5;

/// How much there is of the message that is not whole yet.
#[derive(Debug, Default)]
struct Message {
    head: [u8; HEAD_BYTES],
    came: usize,
}

impl Message {
    fn add(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let wanted = match self.came.checked_sub(HEAD_BYTES) {
                None => HEAD_BYTES - self.came,
                Some(body) => self.length() - body,
            };
            let (part, rest) = data.split_at(wanted.min(data.len()));
            if self.came < HEAD_BYTES {
                self.head[self.came..self.came + part.len()].copy_from_slice(part);
            }
            self.came += part.len();
            data = rest;
            if self.came >= HEAD_BYTES && self.came - HEAD_BYTES == self.length() {
                self.came = 0;
            }
        }
    }

    fn length(&self) -> usize {
        let [_, length @ ..] = self.head;
        usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX)
    }
}

struct Counted {
    body: Body,
    message: Message,
    /// What is taken of the budget.
    bytes: usize,
    budget: Budget,
}

impl Counted {
    /// Whoever reads asks for more when it has taken out all messages that are whole.
    fn give_back(&mut self) {
        let read = self.bytes.saturating_sub(self.message.came);
        self.bytes -= read;
        self.budget.taken.fetch_sub(read, Ordering::Relaxed);
    }

    fn take(&mut self, data: &[u8]) -> Result<(), QueryError> {
        self.message.add(data);
        self.bytes = self.bytes.saturating_add(data.len());
        let before = self.budget.taken.fetch_add(data.len(), Ordering::Relaxed);
        let bytes_max = self.budget.bytes_max;
        match before.saturating_add(data.len()) > bytes_max {
            true => Err(QueryError::Reading { bytes_max }),
            false => Ok(()),
        }
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        this.give_back();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        if let Some(Err(error)) = data.map(|data| this.take(data)) {
            return Poll::Ready(Some(Err(to_status(error))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http_body::Body as _;
    use tonic::Code;

    use super::*;

    async fn read(body: &mut Body) -> Option<Result<usize, Code>> {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
        Some(match frame {
            Ok(frame) => Ok(frame.data_ref().map_or(0, Bytes::len)),
            Err(status) => {
                assert!(status.message().starts_with("SQL-0036"), "{status}");
                Err(status.code())
            }
        })
    }

    // Goal: what is being read of all bodies is bounded, and what has been read or given up counts no more. Method: a budget of
    // twenty bytes; bodies with four bytes of a message of eight, of which the third is one too many, then of those that are left.
    #[tokio::test]
    async fn what_is_read_at_once_is_bounded() {
        let budget = Budget::new(20);
        let body = || budget.of(Body::new(axum::body::Body::from(b"\0\0\0\0\x08four".as_slice())));
        let (mut first, mut second, mut third) = (body(), body(), body());
        assert_eq!(read(&mut first).await, Some(Ok(9)));
        assert_eq!(read(&mut second).await, Some(Ok(9)));
        assert_eq!(read(&mut third).await, Some(Err(Code::ResourceExhausted)));
        drop(third);
        assert_eq!(read(&mut first).await, None);
        drop(first);
        let mut last = body();
        assert_eq!(read(&mut last).await, Some(Ok(9)), "what was given up is given back");
        drop((second, last));
        assert_eq!(budget.taken.load(Ordering::Relaxed), 0);
    }

    // Goal: messages that are whole count no more, however they are cut on their way. Method: three messages, one of them empty and one of
    // which a part is missing, in pieces of each length.
    #[test]
    fn only_messages_that_are_not_whole_count() {
        let sent = b"\0\0\0\0\x03abc\0\0\0\0\0\0\0\0\0\x07part";
        for length in 1..=sent.len() {
            let mut message = Message::default();
            for piece in sent.chunks(length) {
                message.add(piece);
            }
            assert_eq!(message.came, HEAD_BYTES + 4, "pieces of {length}");
            message.add(b"ing");
            assert_eq!(message.came, 0, "pieces of {length}");
        }
    }
}
