//! Ports that nobody listens on, and that no other process of these tests takes meanwhile.

use std::fs::{File, TryLockError};
use std::net::TcpListener;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that the peers take, and the kernel gives connections of clients.
const FIRST: u16 = 14_000;

/// Ports of one process of tests.
const BLOCK: u16 = 1_500;

const BLOCKS: u16 = 4;

/// The first port of this process, and the lock that keeps the block until its end: a node that starts again has its old ports.
static OWN: LazyLock<(u16, File)> = LazyLock::new(|| {
    for number in 0..BLOCKS {
        let path = std::env::temp_dir().join(format!("tidewater-test-ports-{number}"));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .unwrap();
        match file.try_lock() {
            Ok(()) => return (FIRST + number * BLOCK, file),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => panic!("{error}"),
        }
    }
    panic!("{BLOCKS} processes test already");
});

/// A port nobody listens on now.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..BLOCK {
        let port = OWN.0 + NEXT.fetch_add(1, Ordering::SeqCst) % BLOCK;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}
