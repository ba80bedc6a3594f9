//! How the cost of a request grows with the integrations of the tenant: a table, and a plot beside the documentation.

use std::path::Path;

use tempfile::TempDir;

use crate::{
    Effort,
    create::create,
    load::{NUMBER, Plan, Until, measure},
    log::Log,
    places, plot,
    process::{Cpu, settle},
    product::Product,
    report::{Bar, Spread, figure},
    tokens::Signer,
    wire::request,
};

const LIST: &str = "/api/integrations-list";
const PAGE: &str = "/api/integrations?limit=50";
const CONNECTIONS: usize = 64;
/// A page of a large tenant takes a while: few connections are enough to keep the server busy.
const PAGE_CONNECTIONS: usize = 8;
/// Creates go in bursts of one a connection, each into another tenant, so that a small tenant stays small.
const BURSTS: usize = 4;
const TENANTS_MAX: usize = 40;
/// Changes after which lists are read, in a round.
const CHANGES: usize = 5;
const OPERATIONS: [&str; 9] = [
    "create",
    "PUT",
    "detail",
    "304 of the list",
    "HAL list of 50",
    "list after a change",
    "list again",
    "HAL list after a change",
    "HAL list again",
];
/// What must cost the same in a tenant of any size.
const FLAT: usize = 4;

/// A service whose tenants have as many integrations each.
struct World {
    product: Product,
    /// A caller of each tenant, who owns everything in it.
    bearers: Vec<String>,
    /// Integrations of the first tenant, evenly spread: as many at every size.
    paths: Vec<String>,
    _directory: TempDir,
}

/// The figure.
pub(crate) fn run(effort: Effort) {
    let sizes: &[usize] = effort.of(&[100, 1_000, 10_000, 100_000], &[100, 1_000, 10_000]);
    let worlds: Vec<_> = sizes.iter().map(|size| World::make(*size)).collect();
    // The first requests of a service fill what it keeps.
    for world in &worlds {
        world.round(0, effort);
    }
    // By operation, by size, by round.
    let mut readings = vec![vec![Vec::new(); sizes.len()]; OPERATIONS.len()];
    for round in 1..=effort.pairs() {
        for (at, world) in worlds.iter().enumerate() {
            for (operation, cost) in world.round(round, effort).into_iter().enumerate() {
                readings[operation][at].push(cost);
            }
        }
    }
    table(sizes, &readings);
    bars(sizes, &readings);
    if effort == Effort::Full {
        let lines: Vec<(&str, Vec<f64>)> = (0..=FLAT + 1)
            .map(|operation| {
                let costs = readings[operation].iter().map(|rounds| Spread::of(rounds.iter().copied()).median);
                (OPERATIONS[operation], costs.collect())
            })
            .collect();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks-growth.svg");
        std::fs::write(path, plot::log_log(sizes, &lines)).unwrap();
    }
}

impl World {
    fn make(size: usize) -> Self {
        let directory = places::temporary();
        let data_dir = directory.path().join("data");
        let tenants = (20_000 / size).clamp(1, TENANTS_MAX);
        let mut log = Log::begin(&data_dir);
        let mut paths = Vec::new();
        for number in 0..size * tenants {
            let made = log.create(&tenant(number % tenants), "alice", &format!("Google Drive {number:07}"));
            let nth = number / tenants;
            if number % tenants == 0 && nth * CONNECTIONS / size == paths.len() {
                paths.push(format!("/api/integrations/{}", made.id));
            }
        }
        log.end();
        let product = Product::start(&data_dir, &[]);
        let signer = Signer::hs256(&data_dir);
        let permission = "permission.integrations.create";
        let bearer = |number| signer.bearer(&tenant(number), "alice", &[], &[permission]);
        Self { product, bearers: (0..tenants).map(bearer).collect(), paths, _directory: directory }
    }

    /// Microseconds of CPU of each operation.
    fn round(&self, round: usize, effort: Effort) -> [f64; OPERATIONS.len()] {
        let window = Until::Elapsed(effort.window() / 2);
        let cost = |plans: &[Plan], until| measure(self.product.target(), plans, until).cpu_us;
        let each = |request: &dyn Fn(&String) -> Plan| {
            self.paths.iter().cycle().take(CONNECTIONS).map(request).collect::<Vec<_>>()
        };
        let creates = self.creates(round);
        let puts = cost(&each(&|path| Plan::cycle(vec![self.put(path, "one"), self.put(path, "two")], 200)), window);
        let detail = cost(&each(&|path| Plan::repeat(self.get(path, None), 200)), window);
        let tag = self.tag();
        let not_modified = cost(&each(&|_| Plan::repeat(self.get(LIST, Some(&tag)), 304)), window);
        let page = cost(&vec![Plan::repeat(self.get(PAGE, None), 200); PAGE_CONNECTIONS], window);
        let (list_first, list_again) = self.after_a_change(LIST, round);
        let (page_first, page_again) = self.after_a_change(PAGE, round);
        [creates, puts, detail, not_modified, page, list_first, list_again, page_first, page_again]
    }

    fn creates(&self, round: usize) -> f64 {
        let body = format!(r#"{{"name":"Drive {NUMBER}","type":"google-drive","clientId":"1234.apps.example.com"}}"#);
        let burst = |number: usize| {
            let bearer = &self.bearers[(round * BURSTS + number) % self.bearers.len()];
            let plans = vec![create(bearer.clone(), &body); CONNECTIONS];
            measure(self.product.target(), &plans, Until::Each(1)).cpu_us
        };
        (0..BURSTS).map(burst).sum::<f64>() / BURSTS as f64
    }

    /// What the first answer after a change costs, and what the next one does.
    fn after_a_change(&self, path: &str, round: usize) -> (f64, f64) {
        let mut connection = self.product.connect();
        let target = self.product.target();
        let (mut first, mut again) = (0.0, 0.0);
        for change in 0..CHANGES {
            connection.exchange(&self.put(&self.paths[0], &format!("{path} {round} {change}")), 200);
            for sum in [&mut first, &mut again] {
                settle(target.pid);
                let before = Cpu::of(target.pid);
                connection.exchange(&self.get(path, None), 200);
                *sum += Cpu::of(target.pid).seconds_since(&before) * 1e6 / CHANGES as f64;
            }
        }
        (first, again)
    }

    fn tag(&self) -> String {
        settle(self.product.target().pid);
        let mut connection = self.product.connect();
        let answer = connection.exchange(&self.get(LIST, None), 200);
        answer.header("etag").unwrap().to_owned()
    }

    fn get(&self, path: &str, tag: Option<&str>) -> Vec<u8> {
        let mut headers = vec![self.bearers[0].clone()];
        headers.extend(tag.map(|tag| format!("if-none-match: {tag}")));
        request("GET", path, &headers, "")
    }

    fn put(&self, path: &str, description: &str) -> Vec<u8> {
        request("PUT", path, &[self.bearers[0].clone()], &format!(r#"{{"description":"{description}"}}"#))
    }
}

fn tenant(number: usize) -> String {
    format!("tenant{number:02}")
}

fn table(sizes: &[usize], readings: &[Vec<Vec<f64>>]) {
    let heads: Vec<_> = sizes.iter().map(ToString::to_string).collect();
    println!("| µs of CPU a request | {} |", heads.join(" | "));
    println!("| --- |{}", " ---: |".repeat(sizes.len()));
    for (operation, by_size) in OPERATIONS.iter().zip(readings) {
        let cells = by_size.iter().map(|rounds| format!("{:.0}", Spread::of(rounds.iter().copied()).median));
        println!("| {operation} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
}

fn bars(sizes: &[usize], readings: &[Vec<Vec<f64>>]) {
    let (Some(least), Some(most)) = (sizes.first(), sizes.last()) else { return };
    for (operation, by_size) in OPERATIONS.iter().zip(readings).take(FLAT) {
        let (small, large) = (&by_size[0], &by_size[sizes.len() - 1]);
        let ratios = Spread::of(small.iter().zip(large).map(|(small, large)| large / small));
        figure(&format!("{operation}, {most} against {least}"), " times", ratios, Bar::AtMost(1.5));
    }
    for operation in [FLAT + 1, FLAT + 3] {
        let (first, again) = (&readings[operation][sizes.len() - 1], &readings[operation + 1][sizes.len() - 1]);
        let each = |costs: &[f64]| Spread::of(costs.iter().map(|cost| cost / *most as f64));
        let what = format!("{}, an integration of {most}", OPERATIONS[operation]);
        figure(&what, " µs", each(first), Bar::AtMost(1.0));
        println!("  without a change: {} µs an integration", each(again));
    }
}
