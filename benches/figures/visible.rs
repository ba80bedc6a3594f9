//! How long after its answer a command is seen in both lists, by a client that asks again and again.

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Effort, places,
    product::Product,
    report::Bar,
    tokens::Signer,
    wire::{Connection, find, request},
};

const TENANTS: usize = 100;
const LISTS: [&str; 2] = ["/api/integrations-list", "/api/integrations"];

/// The figure: creates, and changes of the name, in turn.
pub(crate) fn run(effort: Effort) {
    let directory = places::temporary();
    let data_dir = directory.path().join("data");
    let product = Product::start(&data_dir, &[]);
    let signer = Signer::hs256(&data_dir);
    let mut connection = product.connect();
    let permission = "permission.integrations.create";
    let bearers: Vec<_> =
        (0..TENANTS).map(|tenant| signer.bearer(&format!("tenant{tenant:03}"), "alice", &[], &[permission])).collect();
    let mut delays = Vec::new();
    for number in 0..effort.of(2_500, 200) {
        let bearer = &bearers[number % TENANTS];
        let (create, rename) = (format!("Drive {number:06}"), format!("Moved {number:06}"));
        let body = |name: &str| format!(r#"{{"name":"{name}","type":"google-drive"}}"#);
        let command = request("POST", "/api/integrations", std::slice::from_ref(bearer), &body(&create));
        let made: Value = serde_json::from_slice(connection.exchange(&command, 201).body).unwrap();
        delays.push(until_shown(&mut connection, bearer, &LISTS, &create));
        let path = format!("/api/integrations/{}", made["id"].as_str().unwrap());
        connection.exchange(&request("PUT", &path, std::slice::from_ref(bearer), &body(&rename)), 200);
        delays.push(until_shown(&mut connection, bearer, &LISTS, &rename));
    }
    let at = tell(delays);
    println!("from the answer to both lists, p99: {:.2} ms; {}", at(990), Bar::AtMost(5.0).judge(at(990)));
    println!("  the disk beside: {:.0} syncs of 4 KiB a second", syncs_per_second(directory.path()));
}

/// Asks lists until each has shown a name; answers how long that took.
pub(crate) fn until_shown(connection: &mut Connection, bearer: &str, lists: &[&str], name: &str) -> Duration {
    let answered = Instant::now();
    for list in lists {
        let list = request("GET", list, &[bearer.to_owned()], "");
        while find(connection.exchange(&list, 200).body, name.as_bytes()).is_none() {
            assert!(answered.elapsed() < Duration::from_secs(10), "{name} is never shown");
        }
    }
    answered.elapsed()
}

/// Prints delays; answers what a share of them, in thousandths, took at most, in milliseconds.
pub(crate) fn tell(mut delays: Vec<Duration>) -> impl Fn(usize) -> f64 {
    delays.sort();
    let n = delays.len();
    let at = move |per_mille: usize| delays[(n - 1) * per_mille / 1_000].as_secs_f64() * 1_000.0;
    println!("  {} commands: p50 {:.2} ms, p99.9 {:.2} ms, maximum {:.2} ms", n, at(500), at(999), at(1_000));
    at
}

/// How many small appends to a file in a directory the disk syncs in a second.
pub(crate) fn syncs_per_second(directory: &Path) -> f64 {
    const SYNCS: u32 = 300;
    let mut file = File::create(directory.join("syncs")).unwrap();
    let started = Instant::now();
    for _ in 0..SYNCS {
        file.write_all(&[1; 4_096]).unwrap();
        file.sync_data().unwrap();
    }
    f64::from(SYNCS) / started.elapsed().as_secs_f64()
}
