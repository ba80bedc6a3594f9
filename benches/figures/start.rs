//! The start on a file of a million events, against a bare fold of the same file.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use crate::{
    Effort, fold,
    log::{Log, Made},
    places,
    product::Product,
    report::{Bar, Spread, figure},
};

/// Raised whenever [`make`] makes another file.
const VERSION: u32 = 1;
/// Rows of each integration: its slug's reservation, its creation, its changes.
const ROWS_EACH: usize = 2 + CHANGES.len();
/// What happens to each integration after its creation.
const CHANGES: [Change; 8] = [
    |log, made| log.tag(made, &["finance", "emea"]),
    |log, made| log.share(made, "team:marketing"),
    |log, made| log.describe(made, "Integration with Google Drive for document sync"),
    |log, made| log.share(made, "bob"),
    |log, made| log.describe(made, "Documents of the whole department, both ways"),
    |log, made| log.unshare(made, "bob"),
    |log, made| log.share(made, "carol"),
    |log, made| log.describe(made, "Documents of the department, read only"),
];

type Change = fn(&mut Log, &mut Made);

/// In which order the events of a log stand.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Layout {
    /// All of an integration, then all of the next.
    InSequence,
    /// All integrations are made, then all have their first change, and so on; one tenant's turn after the other's.
    Spread,
}

/// The figure.
pub(crate) fn run(effort: Effort) {
    of_layout("in sequence", Layout::InSequence, effort);
    of_layout("spread", Layout::Spread, effort);
}

fn of_layout(what: &str, layout: Layout, effort: Effort) {
    let data_dir = events_file(layout, effort);
    // Brings the file into the page cache, and makes the keys.
    drop(Product::start(&data_dir, &[]));
    let events = fold::run(&data_dir) as f64;
    let per_second = |started: Instant| events / started.elapsed().as_secs_f64();
    let readings: Vec<_> = (0..effort.pairs())
        .map(|_| {
            let started = Instant::now();
            let product = Product::start(&data_dir, &[]);
            let replay = per_second(started);
            drop(product);
            let started = Instant::now();
            fold::run(&data_dir);
            (replay, per_second(started))
        })
        .collect();
    let replay = Spread::of(readings.iter().map(|(replay, _)| *replay));
    let bare = Spread::of(readings.iter().map(|(_, bare)| *bare));
    println!("  {what}: {events:.0} events; the bare fold reads {bare:.0}/s");
    println!("{what}, start to /readyz 200: {replay:.0} events/s; {}", Bar::AtLeast(150_000.0).judge(replay.median));
    let ratios = Spread::of(readings.iter().map(|(replay, bare)| replay / bare));
    figure(&format!("{what}, start"), " of the bare fold's speed", ratios, Bar::AtLeast(0.45));
}

/// The file: a million events, a tenth of that in short. It stays for the next run.
pub(crate) fn events_file(layout: Layout, effort: Effort) -> PathBuf {
    let integrations = effort.of(100_000, 10_000);
    let name = format!("{layout:?}-{}-v{VERSION}", integrations * ROWS_EACH).to_lowercase();
    places::kept(&name, |directory| make(directory, layout, integrations))
}

fn make(directory: &Path, layout: Layout, integrations: usize) {
    let tenants = integrations / 100;
    let mut log = Log::begin(directory);
    let create = |log: &mut Log, number: usize| {
        log.create(&format!("tenant{:04}", number % tenants), &format!("user{:02}", number / tenants), &name(number))
    };
    match layout {
        Layout::InSequence => {
            for number in 0..integrations {
                let mut made = create(&mut log, number);
                CHANGES.iter().for_each(|change| change(&mut log, &mut made));
            }
        }
        Layout::Spread => {
            let mut all: Vec<_> = (0..integrations).map(|number| create(&mut log, number)).collect();
            for change in CHANGES {
                all.iter_mut().for_each(|made| change(&mut log, made));
            }
        }
    }
    log.end();
}

fn name(number: usize) -> String {
    format!("Google Drive {number:06}")
}
