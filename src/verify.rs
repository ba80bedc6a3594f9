//! `integrations verify`: whether the log is what was appended, and if not, where.

use std::{io::Write as _, path::Path, thread};

use anyhow::{Context as _, anyhow};
use events::{
    store::sqlite::verify as sqlite,
    verify::{self, Finding, Progress as Told, Report},
};
use serde_json::{Value, json};

use crate::{Failure, cli, log::OnServer, progress::Progress};

/// Walks the log and prints what was found.
pub(crate) fn run(options: &cli::Verify, data_dir: &Path) -> Result<(), Failure> {
    let on_server = OnServer::open(&options.log)?;
    let progress = Progress::new("verifying");
    let tell = |told: Told| progress.tell_on_a_terminal(told.events, told.passed, told.all);
    let report = match on_server {
        Some(log) => log.wait(verify::verify(log.store(), tell))?,
        None => of_file(data_dir, tell)?,
    };
    progress.clear();
    let printed = if options.json { format!("{}\n", as_json(&report)) } else { as_text(&report) };
    std::io::stdout().write_all(printed.as_bytes()).context("cannot print").map_err(Failure::Service)?;
    if report.is_whole() { Ok(()) } else { Err(Failure::Service(anyhow!("the log is not what was appended"))) }
}

/// All of the file, and with all cores.
fn of_file(data_dir: &Path, tell: impl Fn(Told) + Sync) -> Result<Report, Failure> {
    let threads = thread::available_parallelism().map_or(1, Into::into);
    sqlite::verify(data_dir, threads, tell).map_err(|error| match error {
        sqlite::Error::Open(error) => Failure::Configuration(error.into()),
        sqlite::Error::Read(_) | sqlite::Error::Thread(_) => Failure::Service(error.into()),
    })
}

fn as_text(report: &Report) -> String {
    let Report { streams, events, head, findings, more } = report;
    if report.is_whole() {
        return format!("whole: {streams} streams, {events} events, head {head}\n");
    }
    let mut text: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    if *more > 0 {
        text.push_str(&format!("and {more} more\n"));
    }
    text
}

fn as_json(report: &Report) -> Value {
    json!({
        "whole": report.is_whole(),
        "streams": report.streams,
        "events": report.events,
        "head": report.head,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "more": report.more,
    })
}

fn finding(finding: &Finding) -> Value {
    match finding {
        Finding::Altered { stream, revision } => json!({ "fault": "altered", "stream": stream, "revision": revision }),
        Finding::Missing { stream, from, to } => {
            json!({ "fault": "missing", "stream": stream, "revision": from, "to": to })
        }
        Finding::OutOfOrder { stream, revision } => {
            json!({ "fault": "outOfOrder", "stream": stream, "revision": revision })
        }
        Finding::Surplus { stream, revision } => json!({ "fault": "surplus", "stream": stream, "revision": revision }),
        Finding::File(what) => json!({ "fault": "file", "detail": what }),
    }
}
