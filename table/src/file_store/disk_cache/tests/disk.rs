//! Disks that lie, fail, hang and are read by others.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use futures::{FutureExt, poll};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::*;

// Goal: whatever is done to a file of a block, it is noticed, counted, and the right bytes are answered. Method: in each of many files
// one bit flipped, the end cut off, something added, or the file of another block in its place; then again, when all is well.
#[tokio::test]
async fn damage_is_noticed_and_mended() {
    let (bench, rng) = (Bench::new(1 << 30), SeededRng::new(21));
    let whole = bench.put("a.parquet", 60 * BLOCK + 11, &rng).await;
    for round in 1..=3 {
        bench.range("a.parquet", 0..whole.len() as u64).await.unwrap();
        bench.settle().await;
        let files = bench.files();
        assert_eq!(files.len(), 61);
        let before: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        for (at, file) in files.iter().enumerate() {
            let mut bytes = before[at].clone();
            match at % 4 {
                0 => bytes.truncate(rng.below(bytes.len() as u64) as usize),
                1 => bytes.push(0),
                2 => bytes = before[(at + 1) % before.len()].clone(),
                _ => {
                    let bit = rng.below(8 * bytes.len() as u64) as usize;
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
            }
            assert_ne!(bytes, before[at]);
            fs::write(file, bytes).unwrap();
        }
        bench.peer.asked();
        assert_eq!(bench.range("a.parquet", 0..whole.len() as u64).await.unwrap(), whole);
        assert_eq!(bench.cache.figures().damaged, 61 * round, "every damage was met");
        assert_eq!(bench.peer.asked().len(), 8);
        bench.settle().await;
        assert_eq!(bench.range("a.parquet", 0..whole.len() as u64).await.unwrap(), whole);
        assert_eq!(bench.peer.asked(), []);
    }
    let figures = bench.cache.figures();
    assert_eq!((figures.errors, figures.is_off), (0, false));
}

// Goal: one damaged block among good ones costs one block. Method: one flipped bit in sixteen files; what the store is asked for.
#[tokio::test]
async fn only_the_damaged_block_is_read_anew() {
    let (bench, rng) = (Bench::new(1 << 30), SeededRng::new(22));
    let whole = bench.put("a.parquet", 16 * BLOCK, &rng).await;
    bench.range("a.parquet", 0..16 * BLOCK).await.unwrap();
    bench.settle().await;
    let file = bench.files().pop().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    fs::write(&file, bytes).unwrap();
    bench.peer.asked();
    assert_eq!(bench.range("a.parquet", 0..16 * BLOCK).await.unwrap(), whole);
    let asked = bench.peer.asked();
    assert!(
        asked.len() == 1 && asked[0].1.end - asked[0].1.start == BLOCK,
        "{asked:?}"
    );
    assert_eq!(bench.cache.figures().damaged, 1);
}

// Goal: a directory that cannot be written makes no read fail; it is tried again after a while, and used when it works. Method: a file
// where the directory should be, which the rights of no user get around; a clock that is moved.
#[tokio::test]
async fn an_unwritable_directory_is_done_without() {
    let above = tempfile::tempdir().unwrap();
    let file = above.path().join("file");
    fs::write(&file, b"").unwrap();
    let bench = Bench::within(above, file.join("cache"), 1 << 20);
    let whole = bench.put("a.parquet", 4 * BLOCK, &SeededRng::new(23)).await;
    for tries in 1..=2 {
        for _ in 0..3 {
            assert_eq!(bench.range("a.parquet", 0..4 * BLOCK).await.unwrap(), whole);
            bench.settle().await;
            let figures = bench.cache.figures();
            assert_eq!((figures.errors, figures.is_off, figures.held_bytes), (tries, true, 0));
        }
        bench.clock.advance(OFF_FOR);
    }
    assert_eq!(bench.peer.calls(), 6);
    fs::remove_file(&file).unwrap();
    for _ in 0..2 {
        assert_eq!(bench.range("a.parquet", 0..4 * BLOCK).await.unwrap(), whole);
        bench.settle().await;
    }
    assert_eq!((bench.peer.calls(), bench.cache.figures().is_off), (7, false));
}

// Goal: blocks that somebody removes are read from the store, and a folder that somebody removes is made anew after a while. Method: each
// of both under a cache that is in use.
#[tokio::test]
async fn what_somebody_removes_is_read_anew() {
    let (bench, rng) = (Bench::new(1 << 20), SeededRng::new(24));
    let whole = bench.put("a.parquet", 4 * BLOCK, &rng).await;
    bench.range("a.parquet", 0..4 * BLOCK).await.unwrap();
    bench.settle().await;
    let files = bench.files();
    fs::remove_file(&files[0]).unwrap();
    assert_eq!(bench.range("a.parquet", 0..4 * BLOCK).await.unwrap(), whole);
    bench.settle().await;
    let figures = bench.cache.figures();
    assert_eq!((figures.errors, figures.is_off, figures.held_blocks), (1, false, 4));
    fs::remove_dir_all(files[0].parent().unwrap()).unwrap();
    assert_eq!(bench.range("a.parquet", 0..4 * BLOCK).await.unwrap(), whole);
    bench.settle().await;
    let figures = bench.cache.figures();
    assert!(figures.is_off && figures.errors > 1, "{figures:?}");
    bench.clock.advance(OFF_FOR);
    bench.range("a.parquet", 0..4 * BLOCK).await.unwrap();
    bench.settle().await;
    bench.peer.asked();
    assert_eq!(bench.range("a.parquet", 0..4 * BLOCK).await.unwrap(), whole);
    assert_eq!(bench.peer.asked(), []);
}

// Goal: a disk that hangs holds a read up for no longer than its deadline, and no later one. Method: a pipe without a writer in the place
// of a block, which hangs whoever opens it; a clock that is moved.
#[tokio::test]
async fn a_hanging_disk_is_given_up() {
    let (bench, rng) = (Bench::new(1 << 20), SeededRng::new(25));
    let whole = bench.put("a.parquet", BLOCK, &rng).await;
    bench.range("a.parquet", 0..BLOCK).await.unwrap();
    bench.settle().await;
    let file = bench.files().pop().unwrap();
    fs::remove_file(&file).unwrap();
    mkfifo(&file, Mode::S_IRWXU).unwrap();
    let mut read = bench.range("a.parquet", 0..BLOCK).boxed();
    assert!(poll!(&mut read).is_pending());
    bench.clock.advance(DISK_DEADLINE);
    assert_eq!(read.await.unwrap(), whole);
    let figures = bench.cache.figures();
    assert_eq!((figures.errors, figures.is_off), (1, true));
    assert_eq!(bench.range("a.parquet", 0..BLOCK).await.unwrap(), whole);
    assert_eq!(bench.peer.calls(), 3);
    // Whoever hangs is let go, or the test would not end; and the folder goes when it has.
    drop(fs::OpenOptions::new().write(true).open(&file).unwrap());
    until(|| !file.parent().unwrap().try_exists().unwrap()).await;
}

// Goal: a disk that takes nothing more makes no read fail, and is let go of whole. Method: the folder of blocks is swapped for a file while
// the cache is in use.
#[tokio::test]
async fn a_failing_write_switches_the_cache_off() {
    let (bench, rng) = (Bench::new(1 << 20), SeededRng::new(26));
    let whole = bench.put("a.parquet", 8 * BLOCK, &rng).await;
    bench.range("a.parquet", 0..BLOCK).await.unwrap();
    bench.settle().await;
    let folder = bench.files()[0].parent().unwrap().to_owned();
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, b"").unwrap();
    assert_eq!(
        bench.range("a.parquet", 4 * BLOCK..8 * BLOCK).await.unwrap(),
        whole[4 * BLOCK as usize..]
    );
    bench.settle().await;
    let figures = bench.cache.figures();
    assert_eq!((figures.errors, figures.is_off), (1, true));
    assert_eq!((figures.held_blocks, figures.held_bytes), (0, 0));
    assert_eq!(bench.range("a.parquet", 0..8 * BLOCK).await.unwrap(), whole);
}

// Goal: nothing of a file can be read from the disk, nor what it is called, nor that two blocks are the same; and nobody else may look.
// Method: an object of one sentence over and over; all that lies below the directory is searched for parts of it.
#[tokio::test]
async fn nothing_readable_lies_on_the_disk() {
    let bench = Bench::new(1 << 20);
    let sentence = b"Erika Mustermann, born 1964-08-12, ";
    let text: Bytes = sentence.iter().copied().cycle().take(64 * BLOCK as usize).collect();
    let same: Bytes = vec![7; 64 * BLOCK as usize].into();
    for (path, bytes) in [("ward=oncology/erika.parquet", &text), ("same.parquet", &same)] {
        let payload = PutPayload::from_bytes(bytes.clone());
        bench.peer.put(&Path::from(path), payload).await.unwrap();
        for part in 0..4 {
            let range = part * 16 * BLOCK..(part + 1) * 16 * BLOCK;
            bench.range(path, range).await.unwrap();
            bench.settle().await;
        }
    }
    let files = bench.files();
    assert_eq!(files.len(), 128, "all of both objects lies on the disk");
    let mut blocks = std::collections::HashSet::new();
    for file in &files {
        let bytes = fs::read(file).unwrap();
        assert_eq!(bytes.len() as u64, BLOCK + 16);
        for part in [&sentence[..6], &sentence[6..16], &sentence[23..33], &[7; 6]] {
            assert!(!bytes.windows(part.len()).any(|window| window == part), "{file:?}");
        }
        assert!(!file.to_string_lossy().contains("erika"));
        assert!(blocks.insert(bytes), "two blocks are alike");
    }
    let mode = fs::metadata(files[0].parent().unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    // What the search would find is there to be found.
    assert!(text.windows(6).any(|window| window == &sentence[..6]));
    let Bench {
        above, cache, store, ..
    } = bench;
    drop((cache, store));
    until(|| fs::read_dir(above.path().join("cache")).unwrap().count() == 1).await;
}
