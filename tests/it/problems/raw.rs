//! Requests as bytes on a socket: what no well-behaved client sends.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    time::Duration,
};

/// A connection to the service.
pub(super) struct Raw(TcpStream);

impl Raw {
    pub(super) fn connect(url: &str) -> Self {
        let stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(stream)
    }

    /// Sends bytes. The service may have hung up already.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Sends no more.
    pub(super) fn finish(&self) {
        // The service may have hung up already.
        let _ = self.0.shutdown(Shutdown::Write);
    }

    /// Everything until the service hangs up: status and the whole text.
    pub(super) fn answer(mut self) -> (u16, String) {
        let mut bytes = Vec::new();
        // A connection that is reset has said what it had to say.
        let _ = self.0.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or(0), text)
    }
}

/// The answer to a head and a body, after which the service hangs up.
pub(super) fn exchange(url: &str, head: &str, body: &[u8]) -> (u16, String) {
    let mut raw = Raw::connect(url);
    raw.send(format!("{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes());
    raw.send(body);
    raw.answer()
}

/// A body in chunks of at most `size` bytes (RFC 9112 §7.1).
pub(super) fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(size) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}
