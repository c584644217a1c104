//! A file as the format's library can be handed it: inflated here, within limits, with its values counted. The library inflates whatever
//! there is, makes room for whatever is said to be there, and ends the process where the system has no more to give. It also takes a block
//! of no values for the last one, and what is cut off in the middle of a number for the end.

use std::borrow::Cow;

use apache_avro::Schema;

use super::avro::{File, MAGIC, OrReason, put_header, put_number, put_string};
use super::walk::pass;
use super::weight;

/// Values in all of a manifest, of which the library makes some 2 GB: ten times those of 8 MB with counts and bounds of 100 columns.
pub(super) const VALUES_MAX: u64 = 64 << 20;

/// Values in a list, which the library holds all at once as what they are in Avro, some 100 bytes each: 400,000 manifests.
const LIST_VALUES_MAX: u64 = 16 << 20;

/// Values in an entry, of which there are more than one copy at times: counts and bounds of 50,000 columns.
const ENTRY_VALUES_MAX: u64 = 1 << 20;

/// Blocks are cut at so many bytes: the library takes none of more than it may make room for.
const BLOCK_BYTES: usize = 64 << 10;

/// What a file says of itself.
const CODEC: &[u8] = b"avro.codec";

/// What a file is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// A manifest list.
    Manifests,
    /// A manifest.
    Files,
}

/// The file without compression; what is no Avro file at all is left as it is.
pub(super) fn plain(bytes: &[u8], holds: Holds) -> OrReason<Cow<'_, [u8]>> {
    if !bytes.starts_with(MAGIC) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut file = File::open(bytes).ok_or("has a header that is damaged or too large")?;
    let schema = weight::avro_schema(&file)?;
    let schema = Schema::parse(&schema).map_err(|_| "has a schema that is none of Avro's")?;
    let mut left = match holds {
        Holds::Manifests => LIST_VALUES_MAX,
        Holds::Files => {
            weight::check_table_schema(&file)?;
            VALUES_MAX
        }
    };
    let mut written: Vec<u8> = Vec::with_capacity(bytes.len());
    put_header(&mut written, &header(&file));
    written.extend_from_slice(file.marker);
    // The library says which codec it does not know.
    if file.codec.is_some() {
        while let Some(block) = file.block() {
            let (count, values) = block?;
            put_blocks(
                &mut written,
                file.marker,
                count,
                Entries {
                    schema: &schema,
                    rest: &values,
                },
                &mut left,
            )?;
        }
    }
    Ok(Cow::Owned(written))
}

fn header<'a>(file: &File<'a>) -> Vec<(&'a [u8], Cow<'a, [u8]>)> {
    let is_known = file.codec.is_some();
    let entries = file
        .header
        .iter()
        .map(|(name, value)| match *name == CODEC && is_known {
            true => (*name, Cow::Borrowed(&b"null"[..])),
            false => (*name, Cow::Borrowed(*value)),
        });
    entries.collect()
}

/// The entries of a block.
struct Entries<'s, 'v> {
    schema: &'s Schema,
    rest: &'v [u8],
}

impl Entries<'_, '_> {
    /// Passes over the next one.
    fn pass(&mut self, left: &mut u64) -> OrReason<()> {
        let before = self.rest.len();
        let given = ENTRY_VALUES_MAX.min(*left);
        let mut room = given;
        pass(self.schema, &mut self.rest, &mut room)?;
        *left -= given - room;
        // There could be any number of them.
        match self.rest.len() < before {
            true => Ok(()),
            false => Err("has entries of no bytes"),
        }
    }
}

/// Writes a block as one or more, none of which is empty.
fn put_blocks(
    written: &mut Vec<u8>,
    marker: &[u8],
    count: u64,
    mut entries: Entries<'_, '_>,
    left: &mut u64,
) -> OrReason<()> {
    let (mut begin, mut together) = (entries.rest, 0);
    for at in 1..=count {
        entries.pass(left)?;
        together += 1;
        let length = begin.len() - entries.rest.len();
        if length >= BLOCK_BYTES || at == count {
            let (block, after) = begin.split_at(length);
            put_number(written, together);
            put_string(written, block);
            written.extend_from_slice(marker);
            (begin, together) = (after, 0);
        }
    }
    match entries.rest.is_empty() {
        true => Ok(()),
        false => Err("has more in a block than its entries"),
    }
}

#[cfg(test)]
mod tests;
