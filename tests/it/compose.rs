//! The black-box tests of the API page again, on the production topology as `docker-compose.yml` has it: same requests,
//! equal answers.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]
#![expect(clippy::print_stderr, reason = "a failed test shows the service's log")]
#![expect(dead_code, reason = "what only the other tests need")]
#![expect(clippy::disallowed_methods, reason = "tests read the clock as clients do")]

mod access;
mod concurrency;
mod conditional;
#[path = "topology/deployment.rs"]
mod deployment;
mod description;
mod fold;
mod harness;
mod log;
mod metrics;
mod never_304;
mod nodes;
#[path = "topology/options.rs"]
mod options;
mod positions;
mod principals;
mod problems;
mod process;
mod secrets;
mod seed;
mod service;
#[path = "../kafka/topics_check.rs"]
mod topics_check;
#[path = "topology/compose.rs"]
mod topology;
mod transcript;
mod whole;
mod writers;
