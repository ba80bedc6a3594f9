//! `integrations verify` on the file of a million events: events a second of CPU.

use std::time::Instant;

use crate::{
    Effort,
    process::ended_children_seconds,
    product::{Product, command, knows},
    report::{Bar, Spread},
    start::{Layout, events_file},
};

/// The figure.
pub(crate) fn run(effort: Effort) {
    if !knows(&[], "verify") {
        println!("this release has no verb verify");
        return;
    }
    let data_dir = events_file(Layout::Spread, effort);
    // Makes the keys, where they are asked for, and brings the file into the page cache.
    drop(Product::start(&data_dir, &[]));
    let events = crate::fold::run(&data_dir) as f64;
    let readings: Vec<_> = (0..effort.pairs())
        .map(|_| {
            let (before, started) = (ended_children_seconds(), Instant::now());
            let output = command().arg("verify").arg("--data-dir").arg(&data_dir).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            (events / (ended_children_seconds() - before), events / started.elapsed().as_secs_f64())
        })
        .collect();
    println!("  {:.0} events/s by the clock", Spread::of(readings.iter().map(|(_, wall)| *wall)));
    let per_core = Spread::of(readings.iter().map(|(core, _)| *core));
    println!("verify: {per_core:.0} events/s a core; {}", Bar::AtLeast(300_000.0).judge(per_core.median));
}
