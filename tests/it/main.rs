//! The black-box tests: the real binary, over HTTP, as its users meet it.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]
#![expect(clippy::print_stderr, reason = "a failed test shows the service's log")]
#![expect(clippy::disallowed_methods, reason = "tests read the clock as clients do")]

mod access;
mod cli;
mod concurrency;
mod conditional;
mod crash;
mod description;
mod docs;
mod example;
mod fold;
mod harness;
mod history;
mod http;
mod jwks;
mod keys;
mod log;
mod metrics;
mod never_304;
#[cfg(feature = "eventstoredb")]
mod on_server;
mod parked;
mod positions;
mod principals;
mod problems;
mod process;
mod readme;
mod secrets;
mod seed;
mod service;
mod smoke;
#[path = "topology/embedded.rs"]
mod topology;
mod trace;
mod trace_away;
mod transcript;
mod transfer;
mod verify;
mod writers;
