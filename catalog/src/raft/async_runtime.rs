//! Tokio as openraft wants it, with election timeouts from a generator that the simulation can seed.

use std::future::Future;
use std::time::Duration;

use openraft::{AsyncRuntime, TokioRuntime};
use rand::RngCore;

/// openraft's runtime.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RaftRuntime;

#[cfg(test)]
thread_local! {
    static SEEDED: std::cell::RefCell<Option<rand::rngs::StdRng>> = const { std::cell::RefCell::new(None) };
}

/// From now on election timeouts on this thread follow from `seed`.
#[cfg(test)]
pub(super) fn seed(seed: u64) {
    use rand::SeedableRng as _;
    SEEDED.set(Some(rand::rngs::StdRng::seed_from_u64(seed)));
}

#[cfg(test)]
fn seeded() -> Option<u64> {
    SEEDED.with_borrow_mut(|rng| rng.as_mut().map(RngCore::next_u64))
}

type Oneshot<T> = <TokioRuntime as AsyncRuntime>::OneshotSender<T>;

impl AsyncRuntime for RaftRuntime {
    type JoinError = tokio::task::JoinError;
    type JoinHandle<T: Send + 'static> = tokio::task::JoinHandle<T>;
    type Sleep = tokio::time::Sleep;
    type Instant = openraft::TokioInstant;
    type TimeoutError = tokio::time::error::Elapsed;
    type Timeout<R, T: Future<Output = R> + Send> = tokio::time::Timeout<T>;
    type ThreadLocalRng = Box<dyn RngCore>;
    type OneshotSender<T: Send> = Oneshot<T>;
    type OneshotReceiver<T: Send> = tokio::sync::oneshot::Receiver<T>;
    type OneshotReceiverError = tokio::sync::oneshot::error::RecvError;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        TokioRuntime::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + Send>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + Send>(deadline: Self::Instant, future: F) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(error: &Self::JoinError) -> bool {
        error.is_panic()
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        #[cfg(test)]
        if let Some(seed) = seeded() {
            use rand::SeedableRng as _;
            return Box::new(rand::rngs::StdRng::seed_from_u64(seed));
        }
        Box::new(rand::thread_rng())
    }

    fn oneshot<T: Send>() -> (Self::OneshotSender<T>, Self::OneshotReceiver<T>) {
        TokioRuntime::oneshot()
    }
}
