//! What makes blocks unreadable to others and every change of them known: AES-256-GCM under a key that is never written anywhere.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

/// What sealing adds to a block, bytes.
pub(super) const TAG_BYTES: u64 = 16;

/// Which bytes these are. A block that is put in the place of another one does not open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity<'a> {
    /// Bucket and path.
    pub(super) name: &'a str,
    /// Which block of the object.
    pub(super) number: u64,
    /// Size of the whole object.
    pub(super) object_bytes: u64,
}

/// A key, and how many blocks it has sealed.
#[derive(Debug)]
pub(super) struct Seal {
    key: LessSafeKey,
    sealed: AtomicU64,
}

impl Seal {
    /// With a new key.
    ///
    /// # Errors
    /// Where the system gives no randomness.
    pub(super) fn new() -> io::Result<Self> {
        let mut key = [0; 32];
        // The system's own and not `Rng`: whoever knows the seed of a sequence would know the key.
        SystemRandom::new()
            .fill(&mut key)
            .map_err(|_| refused("no randomness"))?;
        let key = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| refused("no key"))?;
        Ok(Self {
            key: LessSafeKey::new(key),
            sealed: AtomicU64::new(0),
        })
    }

    /// A block as it may lie on the disk, and its ticket: what opens it again.
    ///
    /// # Errors
    /// None that a block of ours can cause: the cipher refuses only what has gigabytes.
    pub(super) fn close(&self, identity: Identity<'_>, plain: &[u8]) -> io::Result<(u64, Vec<u8>)> {
        // Counted and never given twice: a nonce that comes again gives both blocks away. 2^64 of them do not end.
        let ticket = self.sealed.fetch_add(1, Ordering::Relaxed);
        let mut bytes = Vec::with_capacity(plain.len().saturating_add(AES_256_GCM.tag_len()));
        bytes.extend_from_slice(plain);
        self.key
            .seal_in_place_append_tag(nonce(ticket), identity.aad(), &mut bytes)
            .map_err(|_| refused("no sealed block"))?;
        Ok((ticket, bytes))
    }

    /// The plain block; None if it is not what was closed with this ticket as this block.
    pub(super) fn open(&self, identity: Identity<'_>, ticket: u64, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let opened = self
            .key
            .open_in_place(nonce(ticket), identity.aad(), &mut sealed)
            .ok()?;
        let length = opened.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

impl Identity<'_> {
    fn aad(self) -> Aad<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.name.len().saturating_add(16));
        // Numbers first: of fixed length, so that no two identities are the same bytes.
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(&self.object_bytes.to_be_bytes());
        bytes.extend_from_slice(self.name.as_bytes());
        Aad::from(bytes)
    }
}

/// Of why, the library tells nothing.
fn refused(what: &str) -> io::Error {
    io::Error::other(format!("the cipher gave {what}"))
}

fn nonce(ticket: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    let (_, counter) = bytes.split_at_mut(NONCE_LEN - size_of::<u64>());
    counter.copy_from_slice(&ticket.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: Identity<'_> = Identity {
        name: "bucket/a.parquet",
        number: 3,
        object_bytes: 1000,
    };

    // Goal: a block opens as itself only, unchanged, under its own key. Method: each part of its identity, the ticket, the key, its
    // length and each of its bits changed alone.
    #[test]
    fn only_the_same_block_opens() {
        let seal = Seal::new().unwrap();
        let plain = b"a patient's name".as_slice();
        let (ticket, sealed) = seal.close(BLOCK, plain).unwrap();
        assert_eq!(sealed.len() as u64, plain.len() as u64 + TAG_BYTES);
        assert_eq!(seal.open(BLOCK, ticket, sealed.clone()).unwrap(), plain);
        for other in [
            Identity {
                name: "bucket/b.parquet",
                ..BLOCK
            },
            Identity { number: 4, ..BLOCK },
            Identity {
                object_bytes: 1001,
                ..BLOCK
            },
        ] {
            assert!(seal.open(other, ticket, sealed.clone()).is_none(), "{other:?}");
        }
        assert!(seal.open(BLOCK, ticket + 1, sealed.clone()).is_none());
        assert!(Seal::new().unwrap().open(BLOCK, ticket, sealed.clone()).is_none());
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(seal.open(BLOCK, ticket, flipped).is_none(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(
                seal.open(BLOCK, ticket, sealed[..length].to_vec()).is_none(),
                "{length}"
            );
        }
    }

    // Goal: nothing is sealed twice with one nonce. Method: the same block often, from several threads; tickets and bytes differ.
    #[test]
    fn the_same_block_is_never_sealed_alike() {
        let seal = Seal::new().unwrap();
        let mut all: Vec<_> = std::thread::scope(|scope| {
            let one = || {
                (0..500)
                    .map(|_| seal.close(BLOCK, b"same").unwrap())
                    .collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        all.sort();
        assert!(all.windows(2).all(|pair| pair[0].0 != pair[1].0));
        let bytes: std::collections::HashSet<_> = all.into_iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(bytes.len(), 2000);
    }
}
