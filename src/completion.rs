//! `integrations completion`: a script that completes the command line.

use std::io::Write as _;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::shells;

use crate::{
    Failure,
    cli::{self, Cli, Shell},
};

/// Prints the script.
pub(crate) fn run(options: &cli::Completion) -> Result<(), Failure> {
    let mut script = Vec::new();
    let (mut command, name) = (Cli::command(), "integrations");
    match options.shell {
        Shell::Bash => clap_complete::generate(shells::Bash, &mut command, name, &mut script),
        Shell::Zsh => clap_complete::generate(shells::Zsh, &mut command, name, &mut script),
        Shell::Fish => clap_complete::generate(shells::Fish, &mut command, name, &mut script),
    }
    std::io::stdout().write_all(&script).context("cannot print the script").map_err(Failure::Service)
}
