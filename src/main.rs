//! The binary: parse, run, one line for what went wrong, an exit code. Nothing of the domain.

use std::process::ExitCode;

use clap::Parser as _;

mod archive;
mod cli;
mod completion;
mod files;
mod history;
mod keys;
mod listen;
mod progress;
mod provider;
#[cfg(feature = "kafka")]
mod publish;
mod roles;
mod root;
mod serve;
mod service;
mod telemetry;
mod token;
mod transfer;
mod verify;
mod views;

use cli::{Cli, Verb};

/// A request is some dozens of small blocks; glibc's allocator takes a fifth of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What went wrong, and what that means for the exit code.
#[derive(Debug)]
enum Failure {
    /// The configuration, or what it points to, is wrong: 2.
    Configuration(anyhow::Error),
    /// The service, or what was asked for, failed: 1.
    Service(anyhow::Error),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Serve(options) => serve::run(&options),
        Verb::Command(options) => roles::command::run(&options),
        Verb::Projector(options) => roles::projector::run(&options),
        Verb::Query(options) => roles::query::run(&options),
        Verb::Views(verb) => views::run(&verb),
        Verb::Token(options) => token::run(&options),
        Verb::Export(options) => transfer::export(&options),
        Verb::Import(options) => transfer::import(&options),
        Verb::Verify(options) => verify::run(&options),
        Verb::History(options) => history::run(&options),
        Verb::Completion(options) => completion::run(&options),
        Verb::Keys(cli::Keys::Rotate(options)) => keys::rotate(&options),
    };
    let (error, code) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Configuration(error)) => (error, 2),
        Err(Failure::Service(error)) => (error, 1),
    };
    report(&error);
    ExitCode::from(code)
}

#[expect(clippy::print_stderr, reason = "the one line that says what went wrong")]
fn report(error: &anyhow::Error) {
    let line = format!("{error:#}").replace('\n', " ");
    eprintln!("integrations: {line}");
}
