//! The binary: parse, run, one line for what went wrong, an exit code. Nothing of the domain.

use std::process::ExitCode;

use clap::{Parser as _, error::ErrorKind};

mod archive;
mod cli;
mod commands;
mod completion;
mod files;
mod history;
mod keys;
mod listen;
mod log;
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
mod turns;
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

impl Failure {
    /// What went wrong.
    fn into_error(self) -> anyhow::Error {
        match self {
            Self::Configuration(error) | Self::Service(error) => error,
        }
    }
}

fn main() -> ExitCode {
    let Cli { data_dir, verb } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let outcome = match verb {
        Verb::Serve(options) => serve::run(&options, &data_dir),
        Verb::Command(options) => roles::command::run(&options, &data_dir),
        Verb::Projector(options) => roles::projector::run(&options, &data_dir),
        Verb::Query(options) => roles::query::run(&options, &data_dir),
        Verb::Views(verb) => views::run(&verb, &data_dir),
        Verb::Token(options) => token::run(&options, &data_dir),
        Verb::Export(options) => transfer::export(&options, &data_dir),
        Verb::Import(options) => transfer::import(&options, &data_dir),
        Verb::Verify(options) => verify::run(&options, &data_dir),
        Verb::History(options) => history::run(&options, &data_dir),
        Verb::Completion(options) => completion::run(&options),
        Verb::Keys(cli::Keys::Rotate(options)) => keys::rotate(&options, &data_dir),
    };
    let (error, code) = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Configuration(error)) => (error, 2),
        Err(Failure::Service(error)) => (error, 1),
    };
    report(&error);
    ExitCode::from(code)
}

/// Ends what was not understood. A value may stand in the environment, and so be wrong where nobody types: it is told in
/// one line, without a hint at `--help`.
fn refuse(error: &clap::Error) -> ExitCode {
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        error.exit();
    }
    let text = error.to_string();
    let what = text.split("\n\nFor more").next().unwrap_or_default().trim_start_matches("error: ");
    report(&anyhow::anyhow!("{}", what.split_whitespace().collect::<Vec<_>>().join(" ")));
    ExitCode::from(2)
}

#[expect(clippy::print_stderr, reason = "the one line that says what went wrong")]
fn report(error: &anyhow::Error) {
    let line = format!("{error:#}").replace('\n', " ");
    eprintln!("integrations: {line}");
}
