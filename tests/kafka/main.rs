//! The publisher against a real Apache Kafka.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]
#![expect(clippy::print_stdout, reason = "the figures of a run with faults")]
#![expect(clippy::disallowed_methods, reason = "tests make ids, read the clock and run what they test beside them")]

#[path = "../it/trace/collector.rs"]
#[expect(dead_code, reason = "it takes more than one service tells")]
mod collector;
mod consumer;
#[path = "../../events/tests/properties/generators.rs"]
#[expect(dead_code, reason = "it makes more than is told")]
mod generators;
mod load;
mod log;
#[path = "../it/metrics.rs"]
mod metrics;
mod process;
mod publisher;
#[path = "../it/never_304/random.rs"]
#[expect(dead_code, reason = "it makes more than faults")]
mod random;
mod roles;

mod away;
mod content;
mod delivery;
mod description;
mod faults;
mod holding;
mod service;
mod topics;
mod topics_check;
mod trace;
mod turns;
mod views_check;
mod whole;
