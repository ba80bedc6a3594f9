//! Logs to stderr: text on a terminal, JSON otherwise. `RUST_LOG` says how much; `info` when it is not set.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// Begins to log.
pub(crate) fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let is_terminal = std::io::stderr().is_terminal();
    let text = is_terminal.then(|| fmt::layer().with_writer(std::io::stderr));
    let json = (!is_terminal)
        .then(|| fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(std::io::stderr));
    // A second start in one process, which only tests do, keeps the first one's log.
    let _ = tracing_subscriber::registry().with(filter).with(text).with(json).try_init();
}
