//! The theta sketch of Apache DataSketches: how many different values there are, from the smallest hashes among them.

use std::collections::HashSet;

/// How many hashes a sketch settles for, the library's default: an error of about 1.6 %.
const NOMINAL: usize = 4_096;

/// Every engine's seed.
const SEED: u64 = 9_001;

/// The first 16 bits of the seed's own hash, by which sketches of other seeds are told apart.
const SEED_HASH: u16 = 0x93cc;

/// All hashes are below: they have 63 bits.
const THETA_MAX: u64 = i64::MAX as u64;

const SERIAL_VERSION: u8 = 3;
const COMPACT_FAMILY: u8 = 3;
const READ_ONLY: u8 = 1 << 1;
const EMPTY: u8 = 1 << 2;
const COMPACT: u8 = 1 << 3;
const ORDERED: u8 = 1 << 4;

/// A sketch that takes values in.
#[derive(Debug, Clone)]
pub(crate) struct Theta {
    hashes: HashSet<u64>,
    theta: u64,
}

impl Default for Theta {
    fn default() -> Self {
        Self {
            hashes: HashSet::new(),
            theta: THETA_MAX,
        }
    }
}

impl Theta {
    /// Takes a value in, as the bytes that stand for it.
    pub(crate) fn update(&mut self, value: &[u8]) {
        // The library knows no value without bytes.
        if value.is_empty() {
            return;
        }
        let hash = murmur3(value, SEED) >> 1;
        if hash == 0 || hash >= self.theta {
            return;
        }
        self.hashes.insert(hash);
        if self.hashes.len() > NOMINAL * 2 {
            self.settle();
        }
    }

    /// About how many different values came.
    pub(crate) fn estimate(&self) -> f64 {
        let mut settled = self.clone();
        settled.settle();
        settled.hashes.len() as f64 / (settled.theta as f64 / THETA_MAX as f64)
    }

    /// The compact form, its hashes in order.
    pub(crate) fn compact(&self) -> Vec<u8> {
        let mut settled = self.clone();
        settled.settle();
        let mut hashes: Vec<u64> = settled.hashes.into_iter().collect();
        hashes.sort_unstable();
        let is_exact = settled.theta == THETA_MAX;
        let (longs, state) = match (hashes.len(), is_exact) {
            (0, true) => (1, EMPTY),
            (1, true) => (1, 0),
            (_, true) => (2, 0),
            (_, false) => (3, 0),
        };
        let mut bytes = vec![
            longs,
            SERIAL_VERSION,
            COMPACT_FAMILY,
            0,
            0,
            READ_ONLY | COMPACT | ORDERED | state,
        ];
        bytes.extend(SEED_HASH.to_le_bytes());
        if longs > 1 {
            bytes.extend(u32::try_from(hashes.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend([0; 4]);
        }
        if longs > 2 {
            bytes.extend(settled.theta.to_le_bytes());
        }
        bytes.extend(hashes.iter().flat_map(|hash| hash.to_le_bytes()));
        bytes
    }

    /// Keeps the smallest hashes; the first one that goes is the bound of all that come.
    fn settle(&mut self) {
        if self.hashes.len() <= NOMINAL {
            return;
        }
        let mut hashes: Vec<u64> = self.hashes.drain().collect();
        let (_, bound, _) = hashes.select_nth_unstable(NOMINAL);
        self.theta = *bound;
        hashes.truncate(NOMINAL);
        self.hashes = hashes.into_iter().collect();
    }
}

/// The first half of MurmurHash3 in its form for 64-bit machines.
fn murmur3(bytes: &[u8], seed: u64) -> u64 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let first = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let second = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(word)
    };
    let (mut h1, mut h2) = (seed, seed);
    let (blocks, tail) = bytes.as_chunks::<16>();
    for block in blocks {
        let (low, high) = block.split_at(8);
        h1 ^= first(word(low));
        h1 = h1
            .rotate_left(27)
            .wrapping_add(h2)
            .wrapping_mul(5)
            .wrapping_add(0x52dc_e729);
        h2 ^= second(word(high));
        h2 = h2
            .rotate_left(31)
            .wrapping_add(h1)
            .wrapping_mul(5)
            .wrapping_add(0x3849_5ab5);
    }
    let (low, high) = tail.split_at(tail.len().min(8));
    h2 ^= second(word(high));
    h1 ^= first(word(low));
    let length = bytes.len() as u64;
    (h1, h2) = (h1 ^ length, h2 ^ length);
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    let mixed = |mut k: u64| {
        k = (k ^ (k >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        k = (k ^ (k >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        k ^ (k >> 33)
    };
    mixed(h1).wrapping_add(mixed(h2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    // Goal: sketches are byte for byte those of the library. Method: what version 5.2.0 of its Python package made of the same
    // values, after `trim` for the last one.
    #[test]
    fn sketches_are_those_of_the_library() {
        let of = |values: &mut dyn Iterator<Item = Vec<u8>>| {
            let mut sketch = Theta::default();
            values.for_each(|value| sketch.update(&value));
            sketch
        };
        let longs = |count: i64| of(&mut (0..count).map(|value| value.to_le_bytes().to_vec()));
        let words = ["a", "bc", "näme", "", "0123456789abcdef", "0123456789abcdefg"];
        assert_eq!(hex(&Theta::default().compact()), "01030300001ecc93");
        let one = of(&mut std::iter::once(7_i64.to_le_bytes().to_vec()));
        assert_eq!(hex(&one.compact()), "01030300001acc93e0f48bea9983c37c");
        for (sketch, estimate, begin, length) in [
            (
                longs(10),
                10.0,
                "02030300001acc930a0000000000000015f97dcbbd86a10540de2ee1c9db3d08698bb991b8685708",
                96,
            ),
            (
                of(&mut words.iter().map(|word| word.as_bytes().to_vec())),
                5.0,
                "02030300001acc930500000000000000b95e2569a5f2180e104a944633b0bd12d539ea4f95b0a71a",
                56,
            ),
            (
                longs(20_000),
                19_993.601_253_104_214,
                "03030300001acc930010000000000000c9215213be08391a4973b3a5fd8f0000d09b65f164100100",
                32_792,
            ),
        ] {
            let bytes = sketch.compact();
            assert_eq!((hex(&bytes[..40]).as_str(), bytes.len()), (begin, length));
            assert!((sketch.estimate() - estimate).abs() < 1e-6, "{}", sketch.estimate());
        }
    }
}
