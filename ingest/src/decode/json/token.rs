//! A value, or the name of a field before it, in one word.

/// What a token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    False,
    True,
    /// An integer of 64 bits, as it is written.
    Integer,
    /// Any other number, as it is written.
    Number,
    /// A text without escapes.
    Text,
    /// A text that had escapes, in the unescaped texts of the document.
    Unescaped,
    /// Names and values in turn: the tokens between two places.
    Object,
    /// The tokens between two places.
    Array,
}

/// Bits of the kind, the lowest ones.
const KIND_BITS: u32 = 4;

/// Bits of each of the two places: enough for the largest record, see `RECORD_BYTES_MAX`.
const PLACE_BITS: u32 = 30;

const _: () = assert!(crate::decode::fault::RECORD_BYTES_MAX < 1 << PLACE_BITS);

/// Numbers and texts lie between two places in bytes, containers between two places among the tokens.
///
/// In one word it stays in a register on its way from the scanner to the column. As an enum, which is written in pieces and read
/// as a whole, it took half as long again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token(u64);

impl Token {
    pub(super) const NULL: Self = Self::new(Kind::Null, 0, 0);

    #[inline]
    pub(super) const fn new(kind: Kind, first: usize, after: usize) -> Self {
        Self((after as u64) << (KIND_BITS + PLACE_BITS) | (first as u64) << KIND_BITS | kind as u64)
    }

    #[inline]
    pub(super) fn kind(self) -> Kind {
        const KINDS: [Kind; 1 << KIND_BITS] = [
            Kind::Null,
            Kind::False,
            Kind::True,
            Kind::Integer,
            Kind::Number,
            Kind::Text,
            Kind::Unescaped,
            Kind::Object,
            Kind::Array,
            // There are no more.
            Kind::Null,
            Kind::Null,
            Kind::Null,
            Kind::Null,
            Kind::Null,
            Kind::Null,
            Kind::Null,
        ];
        KINDS[(self.0 % (1 << KIND_BITS)) as usize]
    }

    #[inline]
    pub(super) fn is(self, kind: Kind) -> bool {
        self.0 % (1 << KIND_BITS) == kind as u64
    }

    /// Where it begins.
    #[inline]
    pub(super) fn first(self) -> usize {
        (self.0 >> KIND_BITS) as usize % (1 << PLACE_BITS)
    }

    /// One past its end.
    #[inline]
    pub(super) fn after(self) -> usize {
        (self.0 >> (KIND_BITS + PLACE_BITS)) as usize
    }
}
