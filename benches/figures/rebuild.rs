//! A view of a million events made anew, time after time, while it is read and written: what reads are told meanwhile, and
//! what it costs them.

use std::{
    net::SocketAddr,
    path::Path,
    process::Stdio,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use servers::postgres::Postgres;

use crate::{
    Effort, places,
    process::resident_bytes,
    product::{Product, command},
    report::{Bar, Spread, figure},
    start::{Layout, events_file},
    tokens::Signer,
    wire::{Connection, request},
};

/// Threads that read, each so often.
const READERS: usize = 2;
const READ_EVERY: Duration = Duration::from_millis(10);
/// One thread writes so often.
const WRITE_EVERY: Duration = Duration::from_millis(50);
const LIST: &str = "/api/integrations-list";
/// Events a second that the rebuild is held to.
const RATE: &str = "6000";

/// A read: when it was sent, what it took, and what it was told.
#[derive(Debug, Clone)]
struct Read {
    at: Instant,
    took: Duration,
    status: u16,
    tenant: usize,
    position: String,
}

/// The figure.
pub(crate) fn run(effort: Effort) {
    let (postgres, directory) = (Postgres::start_durable(), places::temporary());
    let data_dir = directory.path().join("data");
    copy(&events_file(Layout::Spread, effort), &data_dir);
    let views = ["--views".to_owned(), postgres.database()];
    let commands = Product::start_role("command", &data_dir, &[]);
    let started = Instant::now();
    let projector = Product::start_role("projector", &data_dir, &views);
    let queries = Product::start_role("query", &data_dir, &views);
    println!("  both views are there {:.0} s after the first start", started.elapsed().as_secs_f64());
    let signer = Signer::hs256(&data_dir);
    let tenants = effort.of(1_000, 100);
    let admin = |tenant| signer.bearer(&format!("tenant{tenant:04}"), "root", &[], &["permission.integrations.admin"]);
    let bearers: Vec<_> = (0..tenants).map(admin).collect();
    // What is at hand is what is measured.
    let mut warm = queries.connect();
    for bearer in &bearers {
        warm.exchange(&list(bearer), 200);
    }
    let resident = |role: &Product| resident_bytes(role.target().pid) / 1_048_576.0;
    println!(
        "  in memory: command {:.0} MiB, projector {:.0} MiB, query {:.0} MiB with all tenants at hand",
        resident(&commands),
        resident(&projector),
        resident(&queries)
    );
    let (stop, written, reads) = (AtomicBool::new(false), AtomicUsize::new(0), Mutex::new(Vec::new()));
    // Long ones, and several: what the machine does by itself now and then is in all of them.
    let (rounds, window) = effort.of((3, Duration::from_secs(60)), (1, Duration::from_secs(2)));
    let rebuilt: Vec<_> = std::thread::scope(|scope| {
        for reader in 0..READERS {
            scope.spawn({
                let (address, bearers, stop, reads) = (queries.target().address, &bearers, &stop, &reads);
                move || read_on(address, bearers, reader, stop, reads)
            });
        }
        scope.spawn(|| write_on(commands.connect(), &bearers, &stop, &written));
        std::thread::sleep(window);
        let round = |_| {
            let rebuilt = rebuild(&data_dir, &views);
            std::thread::sleep(window);
            rebuilt
        };
        let rebuilt = (0..rounds).map(round).collect();
        stop.store(true, Ordering::Relaxed);
        rebuilt
    });
    tell(reads.into_inner().unwrap(), &rebuilt, window, written.into_inner());
}

/// From when to when it was made anew, and what was said.
struct Rebuilt {
    began: Instant,
    ended: Instant,
    said: String,
}

fn rebuild(data_dir: &Path, views: &[String]) -> Rebuilt {
    let began = Instant::now();
    let verb = ["views", "rebuild", "integrations", "--rate", RATE, "--data-dir"];
    let output = command().args(verb).arg(data_dir).args(views).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Rebuilt { began, ended: Instant::now(), said: String::from_utf8(output.stdout).unwrap() }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn list(bearer: &str) -> Vec<u8> {
    request("GET", LIST, &[bearer.to_owned()], "")
}

/// Reads at a steady pace, tenant after tenant.
fn read_on(address: SocketAddr, bearers: &[String], reader: usize, stop: &AtomicBool, reads: &Mutex<Vec<Read>>) {
    let (mut connection, mut mine) = (Connection::open(address).unwrap(), Vec::new());
    let (began, mut turn) = (Instant::now(), 0);
    while !stop.load(Ordering::Relaxed) {
        // From when it was due: what waits behind a slow one counts too.
        let at = began + READ_EVERY * turn;
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        let tenant = (reader + READERS * turn as usize) % bearers.len();
        connection.send(&list(&bearers[tenant])).unwrap();
        let answer = connection.receive().unwrap();
        let position = answer.header("integration-position").unwrap_or_default().to_owned();
        mine.push(Read { at, took: at.elapsed(), status: answer.status, tenant, position });
        turn += 1;
    }
    reads.lock().unwrap().extend(mine);
}

/// Makes integrations at a steady pace, tenant after tenant.
fn write_on(mut connection: Connection, bearers: &[String], stop: &AtomicBool, written: &AtomicUsize) {
    for bearer in bearers.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let number = written.fetch_add(1, Ordering::Relaxed);
        let body = format!(r#"{{"name":"Meanwhile {number:06}","type":"google-drive"}}"#);
        connection.exchange(&request("POST", "/api/integrations", std::slice::from_ref(bearer), &body), 201);
        std::thread::sleep(WRITE_EVERY);
    }
}

fn tell(mut reads: Vec<Read>, rebuilt: &[Rebuilt], window: Duration, written: usize) {
    reads.sort_by_key(|read| read.at);
    let failed = reads.iter().filter(|read| read.status != 200).count();
    let mut last = vec![String::new(); reads.iter().map(|read| read.tenant + 1).max().unwrap()];
    let mut back = 0;
    for read in reads.iter().filter(|read| read.status == 200) {
        back += usize::from(read.position < last[read.tenant]);
        last[read.tenant].clone_from(&read.position);
    }
    println!("  {} reads, {written} creates", reads.len());
    println!("failed reads: {failed}; {}", Bar::AtMost(0.0).judge(failed as f64));
    println!("positions that went back: {back}; {}", Bar::AtMost(0.0).judge(back as f64));
    let ratios = rebuilt.iter().map(|rebuilt| {
        let (p99_before, p50_before) = percentiles(&reads, rebuilt.began - window, rebuilt.began);
        let (p99, p50) = percentiles(&reads, rebuilt.began, rebuilt.ended);
        let (p99_behind, p50_behind) = percentiles(&reads, rebuilt.ended, rebuilt.ended + window);
        println!("  {}", rebuilt.said.trim_end().replace('\n', "; "));
        println!("    p50 of reads: {p50_before:.2} ms before, {p50:.2} ms meanwhile, {p50_behind:.2} ms behind");
        println!("    p99 of reads: {p99_before:.2} ms before, {p99:.2} ms meanwhile, {p99_behind:.2} ms behind");
        p99 / p99_before
    });
    let ratios = Spread::of(ratios);
    figure("p99 of reads meanwhile, by that before", " times", ratios, Bar::AtMost(1.2));
}

/// p99 and p50 of the reads of a time, in milliseconds.
fn percentiles(reads: &[Read], from: Instant, to: Instant) -> (f64, f64) {
    let mut took: Vec<_> = reads.iter().filter(|read| (from..to).contains(&read.at)).map(|read| read.took).collect();
    took.sort();
    let at = |per_mille: usize| took[(took.len() - 1) * per_mille / 1_000].as_secs_f64() * 1_000.0;
    (at(990), at(500))
}
