//! Where the process is that schedules now, and what its cluster has.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow_flight::Action;
use arrow_flight::flight_service_client::FlightServiceClient;
use async_trait::async_trait;
use prost::Message;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::wire::{CLUSTER, Cluster};
use crate::error::{Result, SchedulerError};
use crate::options::PARTITIONS_MAX;
use tidewater_core::SharedClock;
use tidewater_core::limits::GRPC_MESSAGE_BYTES_MAX;
use tidewater_engine::cluster::call;
use tidewater_security::NodeTls;

/// How long what was found is believed: executors come and go within seconds, and statements come by the hundred.
const BELIEVED: Duration = Duration::from_secs(2);

/// How long a failure to find it is believed, by statements: as long as nobody answers each of them would wait.
const MISSED: Duration = Duration::from_secs(1);

/// How long a statement waits for an answer: it may run here all the same.
const FIND_DEADLINE: Duration = Duration::from_secs(2);

/// How often the other end of a call that waits is asked whether it lives, and how long it may take to answer.
const KEEPALIVE: Duration = Duration::from_secs(5);
const KEEPALIVE_DEADLINE: Duration = Duration::from_secs(10);

/// Bytes of rows on their way at most, of one plan and of all: with fewer a line of some length is never full. All have room for a thousand
/// plans whose rows nobody reads for now, a cursor's say: without room no other plan's rows would come, nor any answer of who is there.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 1 << 30;

/// Knows who schedules.
#[async_trait]
pub trait WhoSchedules: fmt::Debug + Send + Sync {
    /// Host and port on which executors register now; none while nobody schedules, or while it is not known.
    async fn who(&self) -> Option<(String, u16)>;
}

/// A cluster of another process, as it was a moment ago.
#[derive(Clone)]
pub(super) struct There {
    /// Host and port.
    pub(super) at: String,
    pub(super) client: FlightServiceClient<Channel>,
    /// Those that take tasks.
    pub(super) executors: u32,
    /// What plans for it are cut into.
    pub(super) partitions: usize,
    /// Of which build its process is.
    pub(super) build: String,
}

/// What was heard at last, and when.
type Heard = Option<(Duration, Result<There, Status>)>;

/// Finds it, and remembers it for a moment.
pub(super) struct Finder {
    who: Arc<dyn WhoSchedules>,
    node_tls: Option<NodeTls>,
    clock: SharedClock,
    known: Mutex<Heard>,
}

impl Finder {
    pub(super) fn new(who: Arc<dyn WhoSchedules>, node_tls: Option<NodeTls>, clock: SharedClock) -> Self {
        Self {
            who,
            node_tls,
            clock,
            known: Mutex::new(None),
        }
    }

    /// The cluster of the process that schedules.
    pub(super) async fn there(&self) -> Result<There> {
        let now = self.clock.monotonic();
        if let Some((asked, heard)) = &*self.known()
            && now.saturating_sub(*asked) < believed(heard)
        {
            return heard.clone().map_err(nobody);
        }
        let heard = self.hear().await;
        let asked = self.clock.monotonic();
        *self.known() = Some((asked, heard.clone()));
        heard.map_err(nobody)
    }

    /// The same, asked for now. Whoever looks again and again leaves no failure to statements.
    pub(super) async fn find(&self) -> Result<There> {
        let heard = self.hear().await;
        let asked = self.clock.monotonic();
        *self.known() = heard.is_ok().then(|| (asked, heard.clone()));
        heard.map_err(nobody)
    }

    async fn hear(&self) -> Result<There, Status> {
        tokio::select! {
            heard = self.ask() => heard,
            () = self.clock.sleep(FIND_DEADLINE) => Err(Status::deadline_exceeded("no answer in time")),
        }
    }

    /// What is known is not so any more.
    pub(super) fn forget(&self) {
        *self.known() = None;
    }

    async fn ask(&self) -> Result<There, Status> {
        let who = self.who.who().await;
        let (host, port) = who.ok_or_else(|| Status::unavailable("the catalog names nobody"))?;
        let at = format!("{host}:{port}");
        let known = self.client_of(&at);
        let mut client = match known {
            Some(client) => client,
            None => self.connect(&at).await?,
        };
        let action = Action {
            r#type: CLUSTER.to_owned(),
            ..Action::default()
        };
        let mut answers = client.do_action(action).await?.into_inner();
        let answer = answers.message().await?;
        let answer = answer.ok_or_else(|| Status::data_loss("an empty answer"))?;
        let cluster = Cluster::decode(answer.body.as_ref());
        let cluster = cluster.map_err(|error| Status::from_error(Box::new(error)))?;
        Ok(There {
            at,
            client,
            executors: cluster.executors,
            partitions: usize::try_from(cluster.partitions)
                .unwrap_or(PARTITIONS_MAX)
                .clamp(1, PARTITIONS_MAX),
            build: cluster.build,
        })
    }

    /// The connection that there is already.
    fn client_of(&self, at: &str) -> Option<FlightServiceClient<Channel>> {
        let known = self.known();
        let (_, heard) = known.as_ref()?;
        let there = heard.as_ref().ok().filter(|there| there.at == at)?;
        Some(there.client.clone())
    }

    async fn connect(&self, at: &str) -> Result<FlightServiceClient<Channel>, Status> {
        let failed = |error: tonic::transport::Error| Status::from_error(Box::new(error));
        let endpoint = Endpoint::from_shared(format!("http://{at}"))
            .map_err(failed)?
            .connect_timeout(FIND_DEADLINE)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_DEADLINE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        let channel = call(endpoint, self.node_tls.clone()).await.map_err(failed)?;
        Ok(FlightServiceClient::new(channel)
            .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(GRPC_MESSAGE_BYTES_MAX))
    }

    fn known(&self) -> MutexGuard<'_, Heard> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn believed(heard: &Result<There, Status>) -> Duration {
    match heard {
        Ok(_) => BELIEVED,
        Err(_) => MISSED,
    }
}

fn nobody(source: Status) -> SchedulerError {
    SchedulerError::NobodySchedules {
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use tidewater_core::{Coded, ManualClock};

    /// Names nobody and counts how often it is asked.
    #[derive(Debug, Default)]
    struct Nobody(AtomicU32);

    #[async_trait]
    impl WhoSchedules for Nobody {
        async fn who(&self) -> Option<(String, u16)> {
            self.0.fetch_add(1, Ordering::SeqCst);
            None
        }
    }

    // Goal: what was not found is not looked for by each statement, but is again a moment later, and at once by whoever looks for the next
    // one. Method: nobody there, and a clock that is moved.
    #[tokio::test]
    async fn a_failure_is_remembered_for_a_moment() {
        let clock = Arc::new(ManualClock::new(0));
        let who = Arc::new(Nobody::default());
        let finder = Finder::new(who.clone(), None, clock.clone());
        for (moved, looked) in [
            (Duration::ZERO, 1),
            (MISSED / 2, 1),
            (MISSED / 2, 2),
            (Duration::ZERO, 2),
        ] {
            clock.advance(moved);
            let found = finder.there().await.map(|there| there.at);
            assert_eq!(found.expect_err("nobody").code(), "SCH-0023");
            assert_eq!(who.0.load(Ordering::SeqCst), looked, "after {moved:?} more");
        }
        for looked in [3, 4] {
            let found = finder.find().await.map(|there| there.at);
            assert_eq!(found.expect_err("nobody").code(), "SCH-0023");
            assert_eq!(who.0.load(Ordering::SeqCst), looked, "now");
        }
        finder.there().await.map(|there| there.at).expect_err("nobody");
        assert_eq!(who.0.load(Ordering::SeqCst), 5, "no failure was left");
    }
}
