//! Resident memory: idle and empty, after the replay of 100,000 integrations, and after a list of each tenant.

use std::path::Path;

use crate::{
    Effort,
    load::Target,
    log::Log,
    places,
    process::{resident_bytes, settle},
    product::Product,
    report::{Bar, Spread, figure},
    tokens::Signer,
    wire::request,
};

const EACH: usize = 100;
const MIB: f64 = 1_024.0 * 1_024.0;

/// The figure.
pub(crate) fn run(effort: Effort) {
    let tenants = effort.of(1_000, 50);
    let directory = places::temporary();
    let (empty, full) = (directory.path().join("empty"), directory.path().join("full"));
    make_log(&full, tenants);
    let rounds: Vec<_> = (0..effort.of(5, 1)).map(|_| round(&empty, &full, tenants)).collect();
    figure("idle and empty", " MB", Spread::of(rounds.iter().map(|round| round[0] / 1e6)), Bar::AtMost(50.0));
    let each = Spread::of(rounds.iter().map(|round| (round[1] - round[0]) / (tenants * EACH) as f64));
    println!("after the replay, an integration: {each:.0} bytes; {}", Bar::AtMost(3_072.0).judge(each.median));
    let more = Spread::of(rounds.iter().map(|round| (round[2] - round[1]) / MIB));
    figure("after a list of each tenant", " MiB more", more, Bar::AtMost(64.0));
}

fn make_log(directory: &Path, tenants: usize) {
    let mut log = Log::begin(directory);
    for number in 0..tenants * EACH {
        log.create(&tenant(number % tenants), "alice", &format!("Google Drive {number:06}"));
    }
    log.end();
}

fn tenant(number: usize) -> String {
    format!("tenant{number:04}")
}

/// Bytes of the empty service, of the full one, and of the full one after the lists.
fn round(empty: &Path, full: &Path, tenants: usize) -> [f64; 3] {
    let resident = |target: Target| {
        settle(target.pid);
        resident_bytes(target.pid)
    };
    let idle = resident(Product::start(empty, &[]).target());
    let product = Product::start(full, &[]);
    let replayed = resident(product.target());
    let signer = Signer::hs256(full);
    let mut connection = product.connect();
    for number in 0..tenants {
        let bearer = signer.bearer(&tenant(number), "alice", &[], &[]);
        connection.exchange(&request("GET", "/api/integrations-list", &[bearer], ""), 200);
    }
    [idle, replayed, resident(product.target())]
}
