//! The black-box tests: the real binary, over HTTP, as its users meet it.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod description;
mod docs;
mod harness;
mod readme;
mod smoke;
