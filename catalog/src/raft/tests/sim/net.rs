//! A network that delays, loses, repeats and overtakes messages, and is cut, also in one direction only.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use rand::Rng as _;
use tokio::time::sleep;

use super::node::{boot_later, crash};
use super::world::{Shared, with};
use crate::raft::network::Transport;
use crate::raft::record::{seal, unseal};
use crate::raft::types::{SnapshotMeta, Vote};
use crate::raft::wire::{Answer, Request};
use crate::state::State;
use tidewater_core::NodeId;

/// A caller whose message was lost hears nothing; its own deadline is shorter.
const SILENCE: Duration = Duration::from_secs(5);

/// The way from one incarnation of a node to all others.
#[derive(Debug, Clone)]
pub(super) struct SimTransport {
    pub(super) world: Shared,
    pub(super) from: NodeId,
    pub(super) incarnation: u64,
}

fn told(request: &Request) -> String {
    match request {
        Request::Append(rpc) => {
            let last = rpc.entries.last().map(|entry| entry.log_id.to_string());
            format!(
                "append {} {:?} after {:?} as {}",
                rpc.entries.len(),
                last,
                rpc.prev_log_id.map(|id| id.to_string()),
                rpc.vote
            )
        }
        Request::Vote(rpc) => format!("vote {} with {:?}", rpc.vote, rpc.last_log_id.map(|id| id.to_string())),
        Request::Snapshot { .. } => "snapshot".into(),
        Request::Probe => "probe".into(),
        Request::ReadIndex => "read index".into(),
        Request::TakeOver { vote, last_log } => format!("take over from {vote} at {last_log}"),
        Request::Standing => "standing".into(),
    }
}

#[async_trait]
impl Transport for SimTransport {
    async fn call(&self, to: NodeId, _address: &str, request: &Request) -> io::Result<Answer> {
        let bytes = seal(request)?;
        let again = with(&self.world, |w| !w.quiet && w.rng.gen_bool(0.02));
        if again {
            let (late, bytes) = (self.clone(), bytes.clone());
            tokio::spawn(async move {
                let after = with(&late.world, |w| {
                    w.report.faults.repeated += 1;
                    Duration::from_millis(w.rng.gen_range(1..600))
                });
                sleep(after).await;
                // Nobody waits for the answer to the second one.
                drop(late.exchange(to, &bytes).await);
            });
        }
        self.exchange(to, &bytes).await
    }

    async fn send_snapshot(
        &self,
        to: NodeId,
        _address: &str,
        vote: Vote,
        meta: SnapshotMeta,
        state: State,
    ) -> io::Result<Answer> {
        let bytes = seal(&state)?;
        self.travel(self.from, to).await?;
        let (service, incarnation) = self.target(to)?;
        with(&self.world, |w| w.report.snapshots_sent += 1);
        let answer = service.install(vote, meta, unseal(&bytes)?).await;
        self.back(to, incarnation, answer).await
    }
}

impl SimTransport {
    async fn exchange(&self, to: NodeId, bytes: &[u8]) -> io::Result<Answer> {
        self.travel(self.from, to).await?;
        let (service, incarnation) = self.target(to)?;
        let request: Request = unseal(bytes)?;
        let is_vote = matches!(request, Request::Vote(_));
        with(&self.world, |w| {
            w.note(format_args!("{} -> {to}: {}", self.from, told(&request)));
        });
        let answer = service.handle(self.from, request).await;
        let promise = match &answer {
            Answer::Vote(answer) => Some(answer.vote),
            _ => None,
        };
        let falls = with(&self.world, |w| {
            if !w.is_alive(to, incarnation) {
                return false;
            }
            if let Some(vote) = promise {
                w.promised(to, vote);
            }
            // The worst moment to lose power: just after a vote was given.
            is_vote && !w.quiet && w.rng.gen_bool(0.08)
        });
        if falls {
            // The answer is on its way already.
            crash(&self.world, to);
            boot_later(&self.world, to, Duration::from_millis(5));
            self.travel(to, self.from).await?;
            return self.arrived(answer);
        }
        self.back(to, incarnation, answer).await
    }

    /// One way through the network: a delay, and perhaps nothing at the end of it.
    async fn travel(&self, from: NodeId, to: NodeId) -> io::Result<()> {
        let (delay, lost) = with(&self.world, |w| {
            let slow = !w.quiet && w.rng.gen_bool(0.03);
            let delay = w.rng.gen_range(200..if slow { 400_000 } else { 5_000 });
            (Duration::from_micros(delay), !w.quiet && w.rng.gen_bool(0.03))
        });
        sleep(delay).await;
        let lost = with(&self.world, |w| {
            if w.cut.contains(&(from, to)) {
                w.report.faults.cut_messages += 1;
                return true;
            }
            w.report.faults.lost += u64::from(lost);
            lost
        });
        if lost {
            sleep(SILENCE).await;
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    fn target(&self, to: NodeId) -> io::Result<(crate::raft::peers::PeerService, u64)> {
        with(&self.world, |w| {
            match (&w.slots[&to].live, w.is_alive(self.from, self.incarnation)) {
                (Some(live), true) => Ok((live.node.service(), live.incarnation)),
                _ => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        })
    }

    async fn back(&self, to: NodeId, incarnation: u64, answer: Answer) -> io::Result<Answer> {
        if !with(&self.world, |w| w.is_alive(to, incarnation)) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        self.travel(to, self.from).await?;
        self.arrived(answer)
    }

    fn arrived(&self, answer: Answer) -> io::Result<Answer> {
        match with(&self.world, |w| w.is_alive(self.from, self.incarnation)) {
            true => unseal(&seal(&answer)?),
            false => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }
}
