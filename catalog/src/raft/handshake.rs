//! The first words on a connection: both ends prove that they know the group's secret, and that they are the nodes the
//! other end means.
//!
//! The second keeps a wrong address list from counting one node's vote twice. The secret authenticates the connection,
//! it does not encrypt it: that is TLS's part, underneath.

use std::io;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use super::wire::{read_frame, write_frame};
use tidewater_core::{NodeId, Rng};

/// Raised when nodes of the old form cannot talk to the new one.
const PROTOCOL: u32 = 2;

/// What both ends know beforehand.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) node: NodeId,
    key: [u8; 32],
}

#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    protocol: u32,
    from: u64,
    to: u64,
    nonce: String,
}

#[derive(Debug, Serialize, Deserialize)]
enum Reply {
    Challenge { nonce: String, proof: String },
    Refused(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct Proof(String);

#[derive(Debug, Serialize, Deserialize)]
struct Welcome;

impl Credentials {
    /// Without a secret the proofs prove nothing; such nodes only listen on loopback.
    pub(super) fn new(node: NodeId, secret: Option<&str>) -> Self {
        Self {
            node,
            key: blake3::derive_key("tidewater 2026 raft peers", secret.unwrap_or_default().as_bytes()),
        }
    }

    fn proof(&self, role: &str, hello: &Hello, challenge: &str) -> blake3::Hash {
        let said = format!("{role} {} {} {} {challenge}", hello.from, hello.to, hello.nonce);
        blake3::keyed_hash(&self.key, said.as_bytes())
    }

    fn holds(&self, proof: &str, role: &str, hello: &Hello, challenge: &str) -> bool {
        // Compared as hashes, which takes the same time wherever they differ.
        blake3::Hash::from_hex(proof).is_ok_and(|hash| hash == self.proof(role, hello, challenge))
    }

    /// The calling end.
    pub(super) async fn greet(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        to: NodeId,
        rng: &dyn Rng,
    ) -> io::Result<()> {
        let hello = Hello {
            protocol: PROTOCOL,
            from: self.node.0,
            to: to.0,
            nonce: rng.uuid().to_string(),
        };
        write_frame(stream, &hello).await?;
        let challenge = match read_frame(stream).await? {
            Reply::Challenge { nonce, proof } if self.holds(&proof, "server", &hello, &nonce) => nonce,
            Reply::Challenge { .. } => return Err(denied(format!("node {to} does not know the group's secret"))),
            Reply::Refused(reason) => return Err(denied(reason)),
        };
        write_frame(stream, &Proof(self.proof("client", &hello, &challenge).to_string())).await?;
        read_frame::<Welcome>(stream).await.map(drop)
    }

    /// The listening end; answers who calls.
    pub(super) async fn receive(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        rng: &dyn Rng,
    ) -> io::Result<NodeId> {
        let hello: Hello = read_frame(stream).await?;
        let problem = if hello.protocol != PROTOCOL {
            Some(format!("this is protocol {PROTOCOL}, not {}", hello.protocol))
        } else if hello.to != self.node.0 {
            Some(format!("this is node {}, not {}", self.node, hello.to))
        } else if hello.from == self.node.0 {
            Some(format!("this is node {} itself", self.node))
        } else {
            None
        };
        if let Some(problem) = problem {
            write_frame(stream, &Reply::Refused(problem.clone())).await?;
            return Err(denied(problem));
        }
        let nonce = rng.uuid().to_string();
        let proof = self.proof("server", &hello, &nonce).to_string();
        write_frame(
            stream,
            &Reply::Challenge {
                nonce: nonce.clone(),
                proof,
            },
        )
        .await?;
        let Proof(proof) = read_frame(stream).await?;
        if !self.holds(&proof, "client", &hello, &nonce) {
            return Err(denied(format!("node {} does not know the group's secret", hello.from)));
        }
        write_frame(stream, &Welcome).await?;
        Ok(NodeId(hello.from))
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// Tells a caller without TLS, in the only words that it can read, that this node speaks nothing else. What to say of it.
pub(super) async fn refuse_plain(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Error {
    let problem = "one of two nodes speaks TLS and the other does not: is [node_tls] set on both?".to_owned();
    let told = async {
        read_frame::<Hello>(stream).await?;
        write_frame(stream, &Reply::Refused(problem.clone())).await
    };
    match told.await {
        Ok(()) => denied(problem),
        Err(error) => error,
    }
}

fn denied(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, problem)
}
