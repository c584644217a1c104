//! Threads for planning, apart from those that answer the network and from those that compute: planning cannot be
//! interrupted, and one large statement must not keep others from being answered.

use std::fmt;

use futures::future::BoxFuture;
use tokio::runtime::{Handle, RuntimeFlavor};
use tracing::Instrument;

use crate::caller::Caller;
use crate::cpu::{AbortOnDrop, CpuRuntime};
use crate::error::Result;

/// Bytes of a text from which on reading it takes milliseconds.
const LONG: usize = 64 << 10;

/// Reads a text of so many bytes. While it reads a long one, what else its thread has to do goes on at another.
pub fn reading<T>(bytes: usize, read: impl FnOnce() -> T) -> T {
    let others = Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    match others && bytes > LONG {
        true => tokio::task::block_in_place(read),
        false => read(),
    }
}

/// Plans on threads of its own, or where it is asked if it has none.
#[derive(Default)]
pub(crate) struct Planner(Option<CpuRuntime>);

impl Planner {
    /// With so many threads.
    pub(crate) fn start(threads: usize) -> Result<Self> {
        Ok(Self(match threads {
            0 => None,
            threads => Some(CpuRuntime::named("tidewater-plan", threads)?),
        }))
    }

    /// Does `work`. Dropped, it ends where it waits next.
    pub(crate) async fn run<T: Send + 'static>(&self, work: BoxFuture<'static, Result<T>>) -> Result<T> {
        let Some(handle) = self.handle() else {
            return work.await;
        };
        let work = Caller::current().scope(work).in_current_span();
        AbortOnDrop::new(handle.spawn(work)).join().await
    }

    fn handle(&self) -> Option<Handle> {
        self.0.as_ref().and_then(CpuRuntime::handle)
    }
}

impl fmt::Debug for Planner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Planner").field(&self.0.is_some()).finish()
    }
}
