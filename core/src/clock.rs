//! Time as something handed in: wall clock, monotonic clock and waiting.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// A shared clock.
pub type SharedClock = Arc<dyn Clock>;

/// What a [`Clock`] gives to wait on.
pub type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The only source of time.
pub trait Clock: Debug + Send + Sync {
    /// Milliseconds since the Unix epoch, UTC. May jump.
    fn now_ms(&self) -> i64;

    /// Time since some fixed moment of this process. Never goes back.
    fn monotonic(&self) -> Duration;

    /// Ends after `duration` of this clock's time.
    fn sleep(&self, duration: Duration) -> Sleep<'_>;
}

/// The machine's clock.
#[derive(Debug, Clone)]
pub struct SystemClock {
    begun: Instant,
}

impl SystemClock {
    /// A shared system clock.
    #[expect(clippy::disallowed_methods, reason = "this is where the machine's time comes in")]
    pub fn shared() -> SharedClock {
        Arc::new(Self { begun: Instant::now() })
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the machine's time comes in")]
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.begun.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock {
    epoch_ms: i64,
    elapsed: Mutex<Duration>,
    moved: watch::Sender<Duration>,
}

impl ManualClock {
    /// Stands at `epoch_ms` (milliseconds since the Unix epoch).
    pub fn new(epoch_ms: i64) -> Self {
        Self {
            epoch_ms,
            elapsed: Mutex::default(),
            moved: watch::Sender::new(Duration::ZERO),
        }
    }

    /// Moves the clock on and wakes whoever waited until then.
    pub fn advance(&self, by: Duration) {
        let now = {
            let mut elapsed = self.elapsed.lock().unwrap_or_else(PoisonError::into_inner);
            *elapsed += by;
            *elapsed
        };
        self.moved.send_replace(now);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        let elapsed = self.monotonic().as_millis();
        self.epoch_ms.saturating_add(i64::try_from(elapsed).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        let until = self.monotonic() + duration;
        let mut moved = self.moved.subscribe();
        Box::pin(async move {
            // The sender lives as long as the clock, and the clock outlives this future.
            let _reached = moved.wait_for(|now| *now >= until).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a manual clock wakes sleepers exactly when it passes their deadline. Method: poll before and after moving it.
    #[tokio::test]
    async fn manual_clock_wakes_sleepers() {
        let clock = Arc::new(ManualClock::new(1_000));
        let mut sleep = clock.sleep(Duration::from_secs(2));
        clock.advance(Duration::from_secs(1));
        let early = futures_poll(&mut sleep);
        clock.advance(Duration::from_secs(1));
        sleep.await;
        assert!(!early);
        assert_eq!(clock.now_ms(), 3_000);
    }

    fn futures_poll(sleep: &mut Sleep<'_>) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        sleep.as_mut().poll(&mut context).is_ready()
    }
}
