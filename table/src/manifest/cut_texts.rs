//! Lower bounds of texts that were cut within a character, as DuckDB cut them at 16 bytes until July 2026: they are no texts, and for one
//! of them the format's library refuses all of a manifest. Whatever else is no text is damaged.

use std::borrow::Cow;
use std::ops::Range;

use iceberg::spec::PrimitiveType;

use super::avro::{File, put_header, put_number, put_string, string};
use super::packed::{blocks, int, is_null};
use super::shape::{Part, Shape};

/// So many bytes were left of a text.
const CUT_BYTES: usize = 16;

/// The manifest, which is not compressed, with texts for those bounds; `None` if it has none of them, or something else is wrong with it.
pub(super) fn mended(plain: &[u8]) -> Option<Vec<u8>> {
    let mut file = File::open(plain)?;
    let shape = Shape::of(&file, plain)?;
    let header = file.header.iter().map(|(name, value)| (*name, Cow::Borrowed(*value)));
    let header: Vec<(&[u8], Cow<'_, [u8]>)> = header.collect();
    let mut written: Vec<u8> = Vec::with_capacity(plain.len());
    put_header(&mut written, &header);
    written.extend_from_slice(file.marker);
    let mut any = false;
    while let Some(block) = file.block() {
        let (count, values) = block.ok()?;
        let mut values = values.into_owned();
        for cut in cuts(&shape, count, &values)? {
            // Nothing in a text is below it, so the bound stays one, and as long as it was.
            values.get_mut(cut)?.fill(0);
            any = true;
        }
        put_number(&mut written, i64::try_from(count).ok()?);
        put_string(&mut written, &values);
        written.extend_from_slice(file.marker);
    }
    any.then_some(written)
}

/// Where in a block the ends of lower bounds are that are no text.
fn cuts(shape: &Shape, count: u64, values: &[u8]) -> Option<Vec<Range<usize>>> {
    let (mut rest, mut found) = (values, Vec::new());
    for _ in 0..count {
        for field in &shape.entry {
            if is_null(field.null, &mut rest)? {
                continue;
            }
            match field.part {
                Part::File => of_file(shape, values.len(), &mut rest, &mut found)?,
                _ => field.kind.skip(&mut rest)?,
            }
        }
    }
    Some(found)
}

/// Passes over a file in a block of so many bytes.
fn of_file(shape: &Shape, block_bytes: usize, rest: &mut &[u8], found: &mut Vec<Range<usize>>) -> Option<()> {
    for field in &shape.file {
        if is_null(field.null, rest)? {
            continue;
        }
        match field.part {
            Part::Lower => blocks(rest, |rest| {
                let (id, bound) = (int(rest)?, string(rest)?);
                if bound.len() == CUT_BYTES
                    && let Err(cut) = str::from_utf8(bound)
                    && cut.error_len().is_none()
                    && matches!(shape.bounds_of(id), Some(Some(PrimitiveType::String)))
                {
                    let end = block_bytes - rest.len();
                    found.push(end - bound.len() + cut.valid_up_to()..end);
                }
                Some(())
            })?,
            _ => field.kind.skip(rest)?,
        }
    }
    Some(())
}
