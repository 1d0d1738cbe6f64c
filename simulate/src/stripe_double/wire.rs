//! The socket, with a fuse: a handler can close its own connection before, or in the middle of, its answer.
//!
//! A client then sees what it sees when a network breaks: an end of stream where an answer should be. Whether the
//! request was executed cannot be told from it, which is the point.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

const WHOLE: usize = usize::MAX;

/// Breaks one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Fuse(Arc<Wiring>);

#[derive(Debug)]
struct Wiring {
    blown: AtomicBool,
    /// Bytes of the next body that still go out before the fuse blows.
    body_bytes: AtomicUsize,
}

impl Default for Wiring {
    fn default() -> Self {
        Self { blown: AtomicBool::new(false), body_bytes: AtomicUsize::new(WHOLE) }
    }
}

impl Fuse {
    /// Nothing more goes out: the connection closes when the answer is written.
    pub fn blow(&self) {
        self.0.blown.store(true, Ordering::SeqCst);
    }

    /// The next answer ends after its head and this many bytes of its body.
    pub fn blow_after(&self, body_bytes: usize) {
        self.0.body_bytes.store(body_bytes, Ordering::SeqCst);
    }

    fn broken() -> io::Error {
        io::Error::new(io::ErrorKind::ConnectionAborted, "the double closed the connection on purpose")
    }
}

impl Connected<IncomingStream<'_, Wires>> for Fuse {
    fn connect_info(stream: IncomingStream<'_, Wires>) -> Self {
        stream.remote_addr().clone()
    }
}

/// A listener whose connections carry a fuse; the "address" of a peer is its fuse.
#[derive(Debug)]
pub(super) struct Wires(pub TcpListener);

impl Listener for Wires {
    type Io = Wire;
    type Addr = Fuse;

    async fn accept(&mut self) -> (Wire, Fuse) {
        loop {
            match self.0.accept().await {
                Ok((stream, _)) => {
                    // Small answers would otherwise wait for the client's delayed acknowledgement.
                    let _ = stream.set_nodelay(true);
                    let fuse = Fuse::default();
                    return (Wire { stream, fuse: fuse.clone() }, fuse);
                }
                // Out of descriptors, or a peer that left at once: neither ends the server.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Fuse> {
        Ok(Fuse::default())
    }
}

/// A connection that its fuse can break.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    fuse: Fuse,
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wiring = &this.fuse.0;
        if wiring.blown.load(Ordering::SeqCst) {
            return Poll::Ready(Err(Fuse::broken()));
        }
        let body_bytes = wiring.body_bytes.load(Ordering::SeqCst);
        if body_bytes == WHOLE {
            return Pin::new(&mut this.stream).poll_write(context, bytes);
        }
        // hyper writes a small head and its body in one piece (this type is not vectored), so the end of the
        // head is in these bytes.
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
        let kept = bytes.len().min(head + body_bytes);
        let written = Pin::new(&mut this.stream).poll_write(context, bytes.get(..kept).unwrap_or(bytes));
        if let Poll::Ready(Ok(_)) = written {
            wiring.blown.store(true, Ordering::SeqCst);
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.fuse.0.blown.load(Ordering::SeqCst) {
            return Poll::Ready(Err(Fuse::broken()));
        }
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
