//! The black-box tests of the API page again, on the production topology as `docker-compose.yml` has it: same requests,
//! equal answers.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]
#![expect(clippy::print_stderr, reason = "a failed test shows the service's log")]
#![expect(dead_code, reason = "what only the other tests need")]
#![expect(clippy::disallowed_methods, reason = "tests read the clock as clients do")]

#[path = "topology/deployment.rs"]
mod deployment;
mod description;
mod harness;
mod log;
mod process;
mod seed;
#[path = "topology/compose.rs"]
mod topology;
