//! The wires between the nodes' Raft ports, each of which can be cut in one direction.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A quiet connection looks this often whether it was closed.
const QUIET: Duration = Duration::from_millis(500);

/// From which node to which.
type Cuts = BTreeSet<(usize, usize)>;

/// Which ways are cut; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Wires {
    inner: Arc<(Mutex<Cuts>, Condvar)>,
}

impl Wires {
    pub fn cut(&self, ways: &[(usize, usize)]) {
        self.inner.0.lock().unwrap().extend(ways);
    }

    pub fn heal(&self) {
        self.inner.0.lock().unwrap().clear();
        self.inner.1.notify_all();
    }

    /// Waits until the way is open; what was sent meanwhile arrives then, as it does over TCP.
    fn wait(&self, way: (usize, usize)) {
        let cut = self.inner.0.lock().unwrap();
        drop(self.inner.1.wait_while(cut, |cut| cut.contains(&way)).unwrap());
    }

    /// Takes connections of the node `from` on `listener` to the port of the node `to`.
    pub fn connect(&self, listener: TcpListener, from: usize, to: usize, port: u16) {
        let wires = self.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                // A node that is down refuses.
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else {
                    continue;
                };
                for (source, sink, way) in [
                    (near.try_clone(), far.try_clone(), (from, to)),
                    (Ok(far), Ok(near), (to, from)),
                ] {
                    if let (Ok(source), Ok(sink)) = (source, sink) {
                        let wires = wires.clone();
                        std::thread::spawn(move || wires.pump(source, sink, way));
                    }
                }
            }
        });
    }

    fn pump(&self, mut source: TcpStream, mut sink: TcpStream, way: (usize, usize)) {
        let mut piece = vec![0; 64 << 10];
        drop(sink.set_nodelay(true));
        drop(source.set_read_timeout(Some(QUIET)));
        loop {
            let read = match source.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(_) => break,
            };
            self.wait(way);
            if sink.write_all(&piece[..read]).is_err() {
                break;
            }
        }
        for stream in [source, sink] {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}
