//! The publisher against a real Apache Kafka.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]
#![expect(clippy::disallowed_methods, reason = "tests make ids, read the clock and run what they test beside them")]

mod consumer;
#[path = "../../events/tests/properties/generators.rs"]
#[expect(dead_code, reason = "it makes more than is told")]
mod generators;
mod log;
mod publisher;

mod content;
mod delivery;
mod description;
mod holding;
mod service;
mod topics;
