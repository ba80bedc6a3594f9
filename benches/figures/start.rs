//! The start on a file of a million events, against a bare fold of the same file.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use crate::{
    Effort, fold,
    log::Log,
    places,
    product::Product,
    report::{Bar, Spread, figure},
};

/// Raised whenever [`make`] makes another file.
const VERSION: u32 = 1;
/// Rows of each integration: its slug's reservation, its creation, eight changes.
pub(crate) const ROWS_EACH: usize = 10;

/// The figure.
pub(crate) fn run(effort: Effort) {
    let data_dir = events_file(effort);
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
    println!("  {events:.0} events; the bare fold reads {:.0}/s", Spread::of(readings.iter().map(|(_, bare)| *bare)));
    println!("start to /readyz 200: {replay:.0} events/s; {}", Bar::AtLeast(150_000.0).judge(replay.median));
    let ratios = Spread::of(readings.iter().map(|(replay, bare)| replay / bare));
    figure("start", " of the bare fold's speed", ratios, Bar::AtLeast(0.45));
}

/// The file: a million events, a tenth of that in short. It stays for the next run.
pub(crate) fn events_file(effort: Effort) -> PathBuf {
    let integrations = effort.of(100_000, 10_000);
    places::kept(&format!("events-{}-v{VERSION}", integrations * ROWS_EACH), |directory| make(directory, integrations))
}

/// All integrations are made first and change afterwards, so that events of one stream lie apart.
fn make(directory: &Path, integrations: usize) {
    let tenants = integrations / 100;
    let mut log = Log::begin(directory);
    let create = |number: usize| {
        log.create(&format!("tenant{:04}", number % tenants), &format!("user{:02}", number / tenants), &name(number))
    };
    let mut made: Vec<_> = (0..integrations).map(create).collect();
    made.iter_mut().for_each(|made| log.tag(made, &["finance", "emea"]));
    made.iter_mut().for_each(|made| log.share(made, "team:marketing"));
    made.iter_mut().for_each(|made| log.describe(made, "Integration with Google Drive for document sync"));
    made.iter_mut().for_each(|made| log.share(made, "bob"));
    made.iter_mut().for_each(|made| log.describe(made, "Documents of the whole department, both ways"));
    made.iter_mut().for_each(|made| log.unshare(made, "bob"));
    made.iter_mut().for_each(|made| log.share(made, "carol"));
    made.iter_mut().for_each(|made| log.describe(made, "Documents of the department, read only"));
    log.end();
}

fn name(number: usize) -> String {
    format!("Google Drive {number:06}")
}
