//! Creates against SQLite alone: with 64 connections, and with one.

use std::time::Duration;

use events::store::sqlite::FILE_NAME;

use crate::{
    Effort,
    load::{NUMBER, Plan, Until, measure},
    places,
    product::Product,
    raw::{Creates, Raw},
    report::{Bar, Spread, figure},
    tokens::Signer,
    wire::request,
};

const CONNECTIONS: usize = 64;
const PERMISSION: &str = "permission.integrations.create";
/// Creates that are copied for the baseline.
const COPIED: u16 = 2_000;

/// The figure.
pub(crate) fn run(effort: Effort) {
    let open = format!(r#"{{"name":"Drive {NUMBER}","type":"google-drive","clientId":"1234.apps.example.com"}}"#);
    let secret = open.replace('}', r#","clientSecret":"GOCSPX-0123456789abcdefghij"}"#);
    for (what, body) in [("without a secret", open), ("with a secret", secret)] {
        for (connections, pairs) in [(CONNECTIONS, effort.pairs()), (1, effort.of(20, 3))] {
            // Files of their own: how large they are by now is to be the same for both sides.
            compare(&format!("{what}, {connections} at a time"), &body, connections, pairs, effort);
        }
    }
}

/// A request that makes an integration.
pub(crate) fn create(bearer: String, body: &str) -> Plan {
    Plan::repeat(request("POST", "/api/integrations", &[bearer], body), 201)
}

fn compare(what: &str, body: &str, connections: usize, pairs: usize, effort: Effort) {
    let directory = places::temporary();
    let data_dir = directory.path().join("data");
    let product = Product::start(&data_dir, &[]);
    let bearer = Signer::hs256(&data_dir).bearer("acme", "alice", &[], &[PERMISSION]);
    let plans = vec![create(bearer, body); connections];
    measure(product.target(), &vec![plans[0].clone(); CONNECTIONS], Until::Each(usize::from(COPIED) / CONNECTIONS + 1));
    let creates = Creates::of_log(&data_dir.join(FILE_NAME), i64::from(COPIED));
    println!("  {what}: a create writes {}", creates.rows());
    let mut raw = Raw::make(&directory.path().join("raw.sqlite"), &creates);
    let window = Duration::from_millis(effort.of(2_000, 300));
    let readings: Vec<_> = (0..pairs)
        .map(|_| {
            let cost = measure(product.target(), &plans, Until::Elapsed(window));
            (cost, raw.per_second(connections, window))
        })
        .collect();
    println!(
        "  {what}: {:.0}/s with {:.0} µs of CPU each; SQLite alone {:.0}/s",
        Spread::of(readings.iter().map(|(cost, _)| cost.per_second)),
        Spread::of(readings.iter().map(|(cost, _)| cost.cpu_us)),
        Spread::of(readings.iter().map(|(_, raw)| *raw)),
    );
    let ratios = Spread::of(readings.iter().map(|(cost, raw)| cost.per_second / raw));
    figure(what, " of SQLite alone", ratios, Bar::AtLeast(0.5));
}
