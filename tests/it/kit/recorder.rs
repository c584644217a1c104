//! Somebody between two processes who writes down what goes by.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// What one end said on one connection.
type Said = Arc<Mutex<Vec<u8>>>;

/// Passes connections on, and keeps every byte of both directions.
#[derive(Debug)]
pub struct Recorder {
    at: SocketAddr,
    said: Arc<Mutex<Vec<Said>>>,
    stop: Arc<AtomicBool>,
}

impl Recorder {
    /// Listens at `at` for connections that are for `to`.
    pub fn between(at: SocketAddr, to: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).unwrap();
        let recorder = Self {
            at,
            said: Arc::default(),
            stop: Arc::default(),
        };
        let (said, stop) = (Arc::clone(&recorder.said), Arc::clone(&recorder.stop));
        std::thread::spawn(move || {
            for near in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                // Nobody there yet: the caller sees its connection end.
                let (Ok(near), Ok(far)) = (near, TcpStream::connect(to)) else {
                    continue;
                };
                for (from, onto) in [(&near, &far), (&far, &near)] {
                    let heard = Said::default();
                    said.lock().unwrap().push(Arc::clone(&heard));
                    let (from, onto) = (from.try_clone().unwrap(), onto.try_clone().unwrap());
                    std::thread::spawn(move || pass(from, onto, &heard));
                }
            }
        });
        recorder
    }

    /// What was said, each direction of each connection by itself; silent ones left out.
    pub fn said(&self) -> Vec<Vec<u8>> {
        let all = self.said.lock().unwrap();
        let said = all.iter().map(|said| said.lock().unwrap().clone());
        said.filter(|said| !said.is_empty()).collect()
    }

    /// Whether a text went by as it is.
    pub fn heard(&self, text: &str) -> bool {
        let hears = |said: &Vec<u8>| said.windows(text.len()).any(|window| window == text.as_bytes());
        self.said().iter().any(hears)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the one who listens.
        drop(TcpStream::connect(self.at));
    }
}

fn pass(mut from: TcpStream, mut onto: TcpStream, heard: &Said) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        heard.lock().unwrap().extend_from_slice(&bytes[..count]);
        if onto.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    drop(from.shutdown(Shutdown::Both));
    drop(onto.shutdown(Shutdown::Both));
}
