//! Servers of the tests' own: installed where they are missing, started on free ports of 127.0.0.1, and ended with the
//! test that started them.
#![expect(clippy::unwrap_used, reason = "a server that does not start is a test that fails")]

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    net::TcpListener,
};

pub mod haproxy;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod postgres;
pub mod tls;

/// A port that nobody listens on, below those that connections get: it is to be free again after a stop, too.
#[must_use]
pub fn free_port() -> u16 {
    loop {
        let random = RandomState::new().build_hasher().finish() % 12_000;
        let port = 20_000 + u16::try_from(random).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
