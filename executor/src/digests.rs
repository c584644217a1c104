//! Digests of shuffle files: rows that a disk changed are taken for rows by nobody.
//!
//! Arrow's files have no digests, and Ballista reads them without a look at what they say. So a CRC-32C of each block of a file lies beside
//! it, made when its task has ended and before anybody hears of it. A task checks what it is going to read of its own executor's files
//! before it begins; what others ask for is checked on its way out. What is damaged is lost, and the plan runs again.
//!
//! What becomes of bytes between two executors is not looked at here: TCP does, and TLS where nodes speak it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::iter;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ballista_core::JobId;
use ballista_core::execution_plans::create_shuffle_path;
use ballista_core::execution_plans::range_shuffle::index_path;
use ballista_core::execution_plans::sort_shuffle::{ShuffleIndex, get_index_path, is_sort_shuffle_output};
use ballista_core::serde::protobuf::ShuffleWritePartition;
use ballista_core::serde::scheduler::{ByteRange, PartitionLocation};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryFutureExt};
use tokio_util::sync::CancellationToken;

/// Bytes under one digest. Whoever reads a part of a file has to read whole blocks, and a partition's part may be small.
const BLOCK: usize = 64 << 10;
const BLOCK_BYTES: u64 = 64 << 10;

/// Bytes that are read and handed on at a time.
const PART_BYTES: u64 = 64 * BLOCK_BYTES;

/// Bytes that are read at a time where nobody gets them: so few that they are still in the processor's cache when their sum is made, and
/// always in the same memory, as fresh pages for each part take longer than the sum.
const LOOK_BYTES: u64 = 4 * BLOCK_BYTES;

/// Makes the digests of a shuffle file, and of the index that may lie beside it. Without them nobody is given its rows.
pub fn digest(file: &Path) -> io::Result<()> {
    digest_until(file, &CancellationToken::new())
}

fn digest_until(file: &Path, stop: &CancellationToken) -> io::Result<()> {
    for file in [file.to_owned(), get_index_path(file), index_path(file)] {
        if file.try_exists()? {
            digest_one(&file, stop)?;
        }
    }
    Ok(())
}

fn digest_one(path: &Path, stop: &CancellationToken) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut digests = Vec::new();
    let mut blocks = Vec::with_capacity(BLOCK);
    let mut length = 0_u64;
    loop {
        if stop.is_cancelled() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        blocks.clear();
        let read = file.by_ref().take(LOOK_BYTES).read_to_end(&mut blocks)?;
        if read == 0 {
            break;
        }
        length += u64::try_from(read).map_err(io::Error::other)?;
        for block in blocks.chunks(BLOCK) {
            digests.extend(crc32c::crc32c(block).to_le_bytes());
        }
    }
    digests.extend(length.to_le_bytes());
    fs::write(beside(path), digests)
}

/// Where the digests of a file are.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".crc");
    name.into()
}

/// What was asked for of a file, part by part, and an error in place of what is not as it was written. Without ranges it is what the
/// partition has in it.
pub(crate) fn read(path: PathBuf, partition: usize, asked: Vec<ByteRange>) -> BoxStream<'static, io::Result<Vec<u8>>> {
    let opened = async move {
        let opened = blocking(move || {
            let checked = Checked::open(&path)?;
            let ranges = checked.ranges(partition, &asked)?;
            Ok((checked, cut(ranges, PART_BYTES).into_iter()))
        });
        let parts = stream::try_unfold(opened.await?, |(mut checked, mut parts)| {
            blocking(move || match parts.next() {
                Some(part) => Ok(Some((checked.read(part)?, (checked, parts)))),
                None => Ok(None),
            })
        });
        Ok::<_, io::Error>(parts)
    };
    opened.try_flatten_stream().boxed()
}

/// The files of a task: what it reads, and where it writes.
#[derive(Debug)]
pub(crate) struct TaskFiles {
    work_dir: String,
    job: JobId,
    stage: usize,
    reads: Arc<[PartitionLocation]>,
}

impl TaskFiles {
    pub(crate) fn new(work_dir: &str, job: JobId, stage: usize, reads: Vec<PartitionLocation>) -> Self {
        Self {
            work_dir: work_dir.to_owned(),
            job,
            stage,
            reads: reads.into(),
        }
    }

    /// Checks what is going to be read of this executor's own files. A task that is stopped meanwhile is not held up by it.
    pub(crate) async fn check(&self, stop: &CancellationToken) -> io::Result<()> {
        if self.reads.is_empty() {
            return Ok(());
        }
        let (reads, work_dir, stop) = (Arc::clone(&self.reads), self.work_dir.clone(), stop.clone());
        let checked = blocking(move || {
            let mut blocks = Vec::new();
            for location in reads.iter() {
                let path = location.path(&work_dir).map_err(io::Error::other)?;
                // What is not here is fetched, and checked where it is.
                if path.try_exists()? {
                    check(&path, location.partition_id.partition_id, &mut blocks, &stop)?;
                }
            }
            Ok(())
        });
        checked.await
    }

    /// Makes the digests of what was written. A task that is stopped meanwhile fails: its folder may be on its way out.
    pub(crate) async fn digest(&self, written: &[ShuffleWritePartition], stop: &CancellationToken) -> io::Result<()> {
        let mut files = BTreeSet::new();
        for part in written {
            let partition = usize::try_from(part.partition_id).map_err(io::Error::other)?;
            let (file_id, sorted) = (part.file_id, part.is_sort_shuffle);
            let path = create_shuffle_path(&self.work_dir, &self.job, self.stage, partition, file_id, sorted);
            files.insert(path.map_err(io::Error::other)?);
        }
        let stop = stop.clone();
        blocking(move || files.iter().try_for_each(|file| digest_until(file, &stop))).await
    }
}

fn check(path: &Path, partition: usize, blocks: &mut Vec<u8>, stop: &CancellationToken) -> io::Result<()> {
    let mut checked = Checked::open(path)?;
    for part in cut(checked.ranges(partition, &[])?, LOOK_BYTES) {
        if stop.is_cancelled() {
            return Ok(());
        }
        checked.read_blocks(&part, blocks)?;
    }
    let index = index_path(path);
    match index.try_exists()? {
        true => check(&index, partition, blocks, stop),
        false => Ok(()),
    }
}

/// A file that is read together with its digests.
struct Checked {
    path: PathBuf,
    file: File,
    digests: Vec<[u8; 4]>,
    length: u64,
}

impl Checked {
    fn open(path: &Path) -> io::Result<Self> {
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(told)?;
        let written = fs::read(beside(path)).map_err(told)?;
        let Some((digests, length)) = written.split_last_chunk::<8>() else {
            return Err(damaged(path));
        };
        let length = u64::from_le_bytes(*length);
        let (digests, rest) = digests.as_chunks::<4>();
        let blocks = u64::try_from(digests.len()).map_err(io::Error::other)?;
        if !rest.is_empty() || blocks != length.div_ceil(BLOCK_BYTES) || file.metadata()?.len() != length {
            return Err(damaged(path));
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            digests: digests.to_vec(),
            length,
        })
    }

    /// What was asked for, or what the partition has in this file: all of it, or what the index beside it names, behind the schema.
    fn ranges(&self, partition: usize, asked: &[ByteRange]) -> io::Result<Vec<Range<u64>>> {
        let ranges: Vec<Range<u64>> = if !asked.is_empty() {
            let end = |range: &ByteRange| range.offset.saturating_add(range.length).min(self.length);
            asked.iter().map(|range| range.offset..end(range)).collect()
        } else if is_sort_shuffle_output(&self.path) {
            of_partition(&get_index_path(&self.path), partition)?
        } else {
            iter::once(0..self.length).collect()
        };
        let within = |range: &Range<u64>| range.start <= range.end && range.end <= self.length;
        match ranges.iter().all(within) {
            true => Ok(ranges),
            false => Err(unknown(&self.path, "what was asked for lies behind its end")),
        }
    }

    /// The bytes of a range, after all blocks that have some of them were compared with their digests.
    fn read(&mut self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let begin = self.read_blocks(&range, &mut bytes)?;
        bytes.truncate(size(range.end - begin)?);
        bytes.drain(..size(range.start - begin)?);
        Ok(bytes)
    }

    /// Leaves all blocks that have some of a range in `bytes`, compared with their digests. Where in the file they begin.
    fn read_blocks(&mut self, range: &Range<u64>, bytes: &mut Vec<u8>) -> io::Result<u64> {
        let first = range.start / BLOCK_BYTES;
        let begin = first * BLOCK_BYTES;
        let end = (range.end.div_ceil(BLOCK_BYTES) * BLOCK_BYTES).min(self.length);
        let wanted = size(end - begin)?;
        bytes.clear();
        bytes.reserve(wanted);
        self.file.seek(SeekFrom::Start(begin))?;
        let read = self.file.by_ref().take(end - begin).read_to_end(bytes)?;
        let digests = self.digests.iter().skip(size(first)?);
        let mut blocks = bytes.chunks(BLOCK).zip(digests);
        let is_same = blocks.all(|(block, digest)| crc32c::crc32c(block).to_le_bytes() == *digest);
        if !is_same || read != wanted {
            return Err(damaged(&self.path));
        }
        Ok(begin)
    }
}

/// Where a partition is in a file of several, by its index, and what stands before all of them.
fn of_partition(path: &Path, partition: usize) -> io::Result<Vec<Range<u64>>> {
    let mut checked = Checked::open(path)?;
    let length = checked.length;
    checked.read(0..length)?;
    let index = ShuffleIndex::read_from_file(path).map_err(io::Error::other)?;
    if partition >= index.partition_count() {
        return Err(unknown(path, "it has no such partition"));
    }
    let place = |at: i64| u64::try_from(at).map_err(io::Error::other);
    let (start, end) = index.get_partition_range(partition);
    Ok(vec![0..place(index.header_end_offset())?, place(start)?..place(end)?])
}

/// The same ranges in parts of whole blocks, which end where these do.
fn cut(ranges: Vec<Range<u64>>, part_bytes: u64) -> Vec<Range<u64>> {
    let mut parts = Vec::new();
    for range in ranges {
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min((start / part_bytes + 1) * part_bytes);
            parts.push(start..end);
            start = end;
        }
    }
    parts
}

fn size(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(io::Error::other)
}

fn damaged(path: &Path) -> io::Error {
    let text = format!("{} is not as it was written", path.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn unknown(path: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {why}", path.display()))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use ballista_core::serde::scheduler::{ExecutorMetadata, PartitionId};
    use futures::TryStreamExt;

    use super::*;

    /// Three blocks and a part of a fourth.
    const BYTES: usize = 3 * BLOCK + 100;

    fn file_of(folder: &Path) -> PathBuf {
        let file = folder.join("data.arrow");
        let bytes: Vec<u8> = (0..BYTES).map(|at| u8::try_from(at % 251).expect("small")).collect();
        fs::write(&file, bytes).expect("a file");
        digest(&file).expect("digests");
        file
    }

    fn flip(file: &Path, at: usize) {
        let mut bytes = fs::read(file).expect("a file");
        bytes[at] ^= 1;
        fs::write(file, bytes).expect("a file");
    }

    async fn all(file: &Path, partition: usize, asked: &[ByteRange]) -> io::Result<Vec<u8>> {
        let parts: Vec<Vec<u8>> = read(file.to_owned(), partition, asked.to_vec()).try_collect().await?;
        Ok(parts.concat())
    }

    fn range(offset: usize, length: usize) -> ByteRange {
        ByteRange {
            offset: u64::try_from(offset).expect("small"),
            length: u64::try_from(length).expect("small"),
        }
    }

    // Goal: bytes are given as they were written or not at all. Method: the whole file and ranges within, across and along blocks, whole and
    // with a bit in another state in each of the blocks: what has nothing of that block is given, the rest is not.
    #[tokio::test]
    async fn a_bit_is_found() {
        let home = tempfile::tempdir().expect("a folder");
        let file = file_of(home.path());
        let bytes = fs::read(&file).expect("a file");
        let ranges = [
            (0, BYTES),
            (0, BLOCK),
            (BLOCK - 1, 2),
            (BLOCK, 1),
            (2 * BLOCK + 7, BLOCK),
            (BYTES - 1, 1),
        ];
        assert_eq!(all(&file, 0, &[]).await.expect("whole"), bytes);
        for (offset, length) in ranges {
            let part = all(&file, 0, &[range(offset, length)]).await.expect("whole");
            assert_eq!(part, bytes[offset..offset + length]);
        }
        let twice = all(&file, 0, &[range(0, 3), range(BLOCK, 3)]).await.expect("whole");
        assert_eq!(twice, [&bytes[..3], &bytes[BLOCK..BLOCK + 3]].concat());
        let beyond = all(&file, 0, &[range(BYTES + 1, 1)]).await.expect_err("behind its end");
        assert_eq!(beyond.kind(), io::ErrorKind::InvalidInput);
        for at in [0, BLOCK + 5, 2 * BLOCK, BYTES - 1] {
            flip(&file, at);
            assert!(all(&file, 0, &[]).await.is_err(), "{at}");
            for (offset, length) in ranges {
                let blocks = offset / BLOCK..=(offset + length - 1) / BLOCK;
                let part = all(&file, 0, &[range(offset, length)]).await;
                let touched = blocks.contains(&(at / BLOCK));
                assert_eq!(part.is_err(), touched, "{at}: {length} bytes from {offset}");
            }
            flip(&file, at);
        }
    }

    // Goal: a file of more than is read at a time has a digest for each block, and all of them are looked at, in the same memory. Method: a
    // file of more than twice as much, whole and with a bit of each block in another state.
    #[test]
    fn each_block_of_a_long_file_is_looked_at() {
        let home = tempfile::tempdir().expect("a folder");
        let file = home.path().join("data.arrow");
        let bytes: Vec<u8> = (0..9 * BLOCK + 100)
            .map(|at| u8::try_from(at % 251).expect("small"))
            .collect();
        fs::write(&file, bytes).expect("a file");
        digest(&file).expect("digests");
        assert_eq!(fs::read(beside(&file)).expect("digests").len(), 10 * 4 + 8);
        let stop = CancellationToken::new();
        let mut blocks = Vec::new();
        check(&file, 0, &mut blocks, &stop).expect("whole");
        for block in 0..10 {
            flip(&file, block * BLOCK + 50);
            assert!(check(&file, 0, &mut blocks, &stop).is_err(), "{block}");
            flip(&file, block * BLOCK + 50);
        }
        assert!(blocks.capacity() <= 8 * BLOCK, "{}", blocks.capacity());
    }

    // Goal: a file that lost or gained bytes, or its digests, is not given. Method: each of these.
    #[tokio::test]
    async fn a_length_is_found() {
        let home = tempfile::tempdir().expect("a folder");
        let file = file_of(home.path());
        let bytes = fs::read(&file).expect("a file");
        fs::write(&file, &bytes[..2 * BLOCK]).expect("a file");
        assert!(all(&file, 0, &[range(0, 1)]).await.is_err());
        fs::write(&file, [&bytes[..], &[0]].concat()).expect("a file");
        assert!(all(&file, 0, &[range(0, 1)]).await.is_err());
        fs::write(&file, &bytes).expect("a file");
        assert!(all(&file, 0, &[]).await.is_ok());
        let digests = beside(&file);
        flip(&digests, 0);
        assert!(all(&file, 0, &[]).await.is_err());
        fs::write(&digests, [0; 3]).expect("a file");
        assert!(all(&file, 0, &[]).await.is_err());
        fs::remove_file(&digests).expect("digests");
        let missing = all(&file, 0, &[]).await.expect_err("nothing tells what it was");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    // Goal: a task finds damage in what it reads of its own executor's files, and takes offence neither at parts of others nor at files that are
    // elsewhere; one that is stopped makes no digests. Method: a file of two partitions with an index, and bits of the schema, of each part
    // and of the index in another state.
    #[tokio::test]
    async fn a_task_checks_its_own_part() {
        let home = tempfile::tempdir().expect("a folder");
        let work_dir = home.path().to_str().expect("text");
        let written = [ShuffleWritePartition {
            partition_id: 1,
            num_batches: 1,
            num_rows: 1,
            num_bytes: 1,
            file_id: Some(7),
            is_sort_shuffle: true,
        }];
        let location = |file_id| PartitionLocation {
            map_partition_id: 0,
            partition_id: PartitionId::new(&"job".into(), 2, 1),
            executor_meta: ExecutorMetadata {
                id: "executor".to_owned(),
                host: "localhost".to_owned(),
                port: 1,
                grpc_port: 2,
                specification: Default::default(),
                os_info: Default::default(),
            },
            partition_stats: Default::default(),
            file_id: Some(file_id),
            is_sort_shuffle: true,
        };
        let folder = home.path().join("job").join("2").join("7");
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("data.arrow");
        fs::write(&file, vec![1; BYTES]).expect("a file");
        let mut index = ShuffleIndex::new(2);
        index.set_offset(0, 10);
        index.set_offset(1, i64::try_from(BLOCK).expect("small"));
        index.set_total_length(i64::try_from(2 * BLOCK).expect("small"));
        index.write_to_file(&get_index_path(&file)).expect("an index");

        let files = TaskFiles::new(work_dir, "job".into(), 2, vec![location(7), location(8)]);
        let stop = CancellationToken::new();
        assert!(files.check(&stop).await.is_err(), "without digests");
        files.digest(&written, &stop).await.expect("digests");
        files.check(&stop).await.expect("whole");
        assert_eq!(all(&file, 1, &[]).await.expect("whole").len(), 10 + BLOCK);
        assert!(all(&file, 2, &[]).await.is_err(), "there is no such partition");
        for (at, is_own) in [(5, true), (BLOCK, true), (2 * BLOCK - 1, true), (2 * BLOCK, false)] {
            flip(&file, at);
            assert_eq!(files.check(&stop).await.is_err(), is_own, "{at}");
            flip(&file, at);
        }
        flip(&get_index_path(&file), 8);
        assert!(files.check(&stop).await.is_err(), "the index");
        stop.cancel();
        let ended = files.digest(&written, &stop).await.expect_err("it is stopped");
        assert_eq!(ended.kind(), io::ErrorKind::Interrupted);
    }
}
