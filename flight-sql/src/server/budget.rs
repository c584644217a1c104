//! Bodies of calls that take of a budget for the message that is not whole yet, and that end only where their client ended them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::budget::{Budget, Share, Taken};
use crate::error::QueryError;
use crate::flight::status::to_status;

/// What one connection has of each budget. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Shares {
    pub(super) entering: Share,
    pub(super) reading: Share,
    pub(super) writing: Share,
}

impl Budget {
    /// The body of a call of the connection with this share, which takes of it for the message that is not whole yet.
    pub(super) fn of(&self, body: Body, share: Share) -> Body {
        Body::new(Counted {
            body,
            message: Message::default(),
            taken: self.begin(share),
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
    taken: Taken,
}

impl Counted {
    fn take(&mut self, data: &[u8]) -> Result<(), QueryError> {
        self.message.add(data);
        self.taken.add(data.len())
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        // Whoever reads asks for more when it has taken out all messages that are whole.
        this.taken.keep(this.message.came);
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        // What its client took back would be read as if it had ended, by tonic (CANCEL) or by hyper (NO_ERROR, as proxies say it): the rows
        // that came would pass for all that there are. A stream that its client ended says so when its last frame was taken.
        let taken_back = match &frame {
            Some(Ok(_)) => false,
            Some(Err(status)) => status.code() == Code::Cancelled,
            None => !this.body.is_end_stream(),
        };
        if taken_back {
            return Poll::Ready(Some(Err(Status::aborted("the client took the call back"))));
        }
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::poll_fn;

    use http_body::Body as _;

    use super::*;
    use crate::budget::Limits;

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

    fn sent(bytes: &'static [u8]) -> Body {
        Body::new(axum::body::Body::from(bytes))
    }

    // Goal: what is being read of all bodies is bounded, and what has been read or given up counts no more. Method: a budget of
    // twenty bytes; bodies with four bytes of a message of eight, of which the third is one too many, then of those that are left.
    #[tokio::test]
    async fn what_is_read_at_once_is_bounded() {
        let budget = Budget::new(Limits {
            own: 0,
            share: 20,
            all: 20,
        });
        let body = || budget.of(sent(b"\0\0\0\0\x08four"), Share::default());
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
        assert_eq!(budget.taken(), 0);
    }

    /// A body of these frames, behind which its client ended it or not.
    struct Frames {
        left: VecDeque<Result<Frame<Bytes>, Status>>,
        ended: bool,
    }

    impl http_body::Body for Frames {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.get_mut().left.pop_front())
        }

        fn is_end_stream(&self) -> bool {
            self.ended && self.left.is_empty()
        }
    }

    // Goal: what a client took back does not pass for what it ended. Method: a whole message, and then its end, or what is seen of a stream
    // that was reset in either way.
    #[tokio::test]
    async fn what_was_taken_back_has_no_end() {
        let budget = Budget::new(Limits {
            own: 20,
            share: 20,
            all: 20,
        });
        for (ended, reset, seen) in [
            (true, None, None),
            (false, Some(Status::cancelled("reset")), Some(Code::Aborted)),
            (false, None, Some(Code::Aborted)),
        ] {
            let message = Ok(Frame::data(Bytes::from_static(SHORT)));
            let left = std::iter::once(message).chain(reset.map(Err)).collect();
            let mut body = budget.of(Body::new(Frames { left, ended }), Share::default());
            assert_eq!(read(&mut body).await, Some(Ok(20)));
            let behind = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            let behind = behind.map(|frame| frame.expect_err("nothing more").code());
            assert_eq!(behind, seen);
        }
    }

    /// Twenty bytes of a message of a hundred, and a whole message of twenty bytes.
    const PART: &[u8] = b"\0\0\0\0\x64part of a long ";
    const SHORT: &[u8] = b"\0\0\0\0\x0fa short message";

    // Goal: who sends short messages is not refused because others send long ones, and one connection leaves room for others' long ones.
    // Method: connections that have twenty bytes of their own and forty more, of a hundred of all, and send parts of long messages until
    // they are refused; then one that sends short ones, and long ones when another has given up.
    #[tokio::test]
    async fn nobody_is_refused_for_what_others_send() {
        let budget = Budget::new(Limits {
            own: 20,
            share: 40,
            all: 100,
        });
        let parts = async |share: &Share| {
            let mut held = Vec::new();
            loop {
                let mut body = budget.of(sent(PART), share.clone());
                let came = read(&mut body).await;
                match came {
                    Some(Ok(_)) => held.push(body),
                    refused => {
                        assert_eq!(refused, Some(Err(Code::ResourceExhausted)));
                        return held;
                    }
                }
            }
        };
        let [first, second, third, other] = [(); 4].map(|()| Share::default());
        let greedy = parts(&first).await;
        assert_eq!(greedy.len(), 3, "its own part and its share");
        let greedy_too = parts(&second).await;
        assert_eq!(greedy_too.len(), 3, "one connection does not take what others may have");
        let late = parts(&third).await;
        assert_eq!(late.len(), 2, "its own part and what is left of all");
        assert_eq!(budget.taken(), 100);
        for _ in 0..10 {
            let mut body = budget.of(sent(SHORT), other.clone());
            assert_eq!(read(&mut body).await, Some(Ok(20)), "nobody takes another's own part");
            assert_eq!(read(&mut body).await, None);
        }
        drop(greedy);
        let held = parts(&other).await;
        assert_eq!(held.len(), 3, "what was given up is there for others");
        drop((greedy_too, late, held));
        assert_eq!(budget.taken(), 0);
        assert!([first, second, third, other].iter().all(|share| share.bytes() == 0));
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
