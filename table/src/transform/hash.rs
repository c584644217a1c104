//! The bucket hash of the Iceberg specification: 32-bit Murmur3 with seed 0.

const C1: u32 = 0xcc9e_2d51;
const C2: u32 = 0x1b87_3593;

pub(super) fn bucket(buckets: u32, bytes: &[u8]) -> i32 {
    let hash = murmur3(bytes) & (i32::MAX as u32);
    // Less than 2^31 before and after the remainder.
    (hash % buckets.max(1)) as i32
}

pub(super) fn bucket_long(buckets: u32, value: i64) -> i32 {
    bucket(buckets, &value.to_le_bytes())
}

/// Of the shortest big-endian two's complement of the unscaled value.
pub(super) fn bucket_decimal(buckets: u32, unscaled: i128) -> i32 {
    let bytes = unscaled.to_be_bytes();
    let sign = if unscaled < 0 { 0xff } else { 0 };
    let redundant = bytes
        .windows(2)
        .take_while(|pair| matches!(pair, [first, second] if *first == sign && (second ^ sign) & 0x80 == 0));
    let skip = redundant.count();
    bucket(buckets, bytes.get(skip..).unwrap_or(&bytes))
}

fn murmur3(bytes: &[u8]) -> u32 {
    let (blocks, tail) = bytes.as_chunks::<4>();
    let mut hash = 0u32;
    for block in blocks {
        hash = (hash ^ scrambled(u32::from_le_bytes(*block)))
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64);
    }
    let last = tail
        .iter()
        .rev()
        .fold(0u32, |word, byte| (word << 8) | u32::from(*byte));
    if !tail.is_empty() {
        hash ^= scrambled(last);
    }
    // The algorithm takes the length modulo 2^32.
    hash ^= bytes.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

fn scrambled(block: u32) -> u32 {
    block.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2)
}
