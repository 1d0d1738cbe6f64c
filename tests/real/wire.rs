//! A wire between tollbook and Kafka that counts: what has come to tollbook since its last commit is in its hands.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A port that passes everything on to another.
pub struct Wire {
    port: u16,
    received: Arc<AtomicU64>,
}

impl Wire {
    /// Listens on a free port, and passes on to `target`.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::new(AtomicU64::new(0));
        let counter = received.clone();
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                // A server that is not there yet closes the connection: the client tries again.
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                let (Ok(from_client), Ok(to_client)) = (client.try_clone(), client.try_clone()) else { continue };
                let Ok(from_server) = server.try_clone() else { continue };
                let counter = counter.clone();
                std::thread::spawn(move || pass(from_client, server, &AtomicU64::new(0)));
                std::thread::spawn(move || pass(from_server, to_client, &counter));
            }
        });
        Self { port, received }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Bytes that have gone to clients.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::SeqCst)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, counter: &AtomicU64) {
    let _ = to.set_nodelay(true);
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count) = from.read(&mut bytes) {
        if count == 0 || to.write_all(&bytes[..count]).is_err() {
            break;
        }
        counter.fetch_add(count as u64, Ordering::SeqCst);
    }
    // One side is gone: so is the other.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
