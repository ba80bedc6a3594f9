//! The benchmarks: `cargo bench`, or `cargo bench -- NAME…` for some figures, `--quick` for a short look.
//!
//! Each figure is a ratio against a baseline of the same run, in pairs that alternate; a bar is told as met or not met,
//! and nothing asserts a time. What each figure means stands in `docs/BENCHMARKS.md`.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails has no result")]
#![expect(clippy::print_stdout, reason = "the results")]

use std::time::Duration;

mod bare;
mod create;
#[cfg(feature = "eventstoredb")]
mod eventstoredb;
mod fold;
mod growth;
mod list;
mod load;
mod log;
mod memory;
mod places;
mod plot;
mod process;
mod product;
mod publish;
mod raw;
mod rebuild;
mod report;
mod start;
mod tokens;
mod verify;
mod views;
mod visible;
mod wire;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// What the bars are about.
    Full,
    /// Everything once, in two minutes: whether it runs, not what it costs.
    Quick,
}

impl Effort {
    /// One of two values.
    pub(crate) fn of<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }

    /// How many pairs, or rounds, are measured in turn.
    pub(crate) fn pairs(self) -> usize {
        self.of(10, 3)
    }

    /// How long each half of a pair of readings lasts.
    pub(crate) fn window(self) -> Duration {
        Duration::from_millis(self.of(1_000, 150))
    }
}

type Figure = (&'static str, fn(Effort));

const FIGURES: &[Figure] = &[
    ("list", list::run),
    ("create", create::run),
    ("start", start::run),
    ("memory", memory::run),
    ("visible", visible::run),
    ("verify", verify::run),
    ("publish", publish::run),
    ("views", views::run),
    ("rebuild", rebuild::run),
    ("growth", growth::run),
    #[cfg(feature = "eventstoredb")]
    ("eventstoredb", eventstoredb::run),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, directory] = arguments.as_slice()
        && flag == bare::ARGUMENT
    {
        return bare::serve(directory.as_ref());
    }
    let (flags, names): (Vec<_>, Vec<_>) = arguments.iter().partition(|argument| argument.starts_with("--"));
    let is_known = |name: &&String| FIGURES.iter().any(|(figure, _)| figure == name);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        println!(
            "there is no figure {unknown}; there are: {}",
            FIGURES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
        );
        std::process::exit(2);
    }
    let effort = if flags.iter().any(|flag| *flag == "--quick") { Effort::Quick } else { Effort::Full };
    report::machine(effort);
    for (name, run) in FIGURES {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            println!("\n## {name}");
            run(effort);
        }
    }
}
