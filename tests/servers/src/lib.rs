//! Servers of the tests' own: installed where they are missing, started on free ports of 127.0.0.1, and ended with the
//! test that started them.
#![expect(clippy::unwrap_used, reason = "a server that does not start is a test that fails")]

pub mod haproxy;
pub mod postgres;
pub mod tls;
