//! The flat list of 200 integrations against a bare handler of the same bytes: CPU a request, and requests a second.

use std::path::Path;

use crate::{
    Effort,
    bare::{self, Bare},
    load::{Cost, Plan, Target, Until, measure},
    log::Log,
    places,
    product::{Product, knows},
    report::{Bar, Spread, figure},
    tokens::Signer,
    wire::request,
};

const CONNECTIONS: usize = 64;
const VISIBLE: usize = 200;
const LIST: &str = "/api/integrations-list";
const GZIP: &str = "accept-encoding: gzip";

/// A caller, with what he sends and gets.
struct Caller {
    bearer: String,
    /// His body's name with the bare handler.
    name: String,
    tag: String,
    gzip_tag: String,
}

/// The figure.
pub(crate) fn run(effort: Effort) {
    let directory = places::temporary();
    let data_dir = directory.path().join("data");
    make_log(&data_dir);
    let product = Product::start(&data_dir, &[]);
    signed("HS256", &product, &Signer::hs256(&data_dir), effort);
    drop(product);
    if !knows(&["serve"], "--jwks") {
        println!("RS256: this release has no --jwks");
        return;
    }
    let Some((signer, options)) = Signer::rs256(directory.path()) else {
        println!("RS256: there is no openssl that could make a key");
        return;
    };
    signed("RS256", &Product::start(&data_dir, &options), &signer, effort);
}

/// Tenant `one` belongs to a single user; in tenant `many` each user sees what all share, and what is his own.
fn make_log(data_dir: &Path) {
    let mut log = Log::begin(data_dir);
    let mut create = |tenant: &str, owner: &str, number: usize, with: &str| {
        let mut made = log.create(tenant, owner, &format!("App {number:05}"));
        log.tag(&mut made, &["it"]);
        log.share(&mut made, with);
    };
    (0..VISIBLE).for_each(|number| create("one", &user(0), number, "team:all"));
    (0..VISIBLE / 2).for_each(|number| create("many", "root", number, "team:all"));
    for caller in 0..CONNECTIONS {
        let numbers = (1 + caller) * 1_000..(1 + caller) * 1_000 + VISIBLE / 2;
        numbers.for_each(|number| create("many", &user(caller), number, "team:few"));
    }
    log.end();
}

fn user(number: usize) -> String {
    format!("user{number:02}")
}

fn signed(algorithm: &str, product: &Product, signer: &Signer, effort: Effort) {
    let bodies = places::temporary();
    let one = [caller(product, signer.bearer("one", &user(0), &[], &[]), "one", bodies.path())];
    let many: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let bearer = signer.bearer("many", &user(number), &["team:all"], &[]);
            caller(product, bearer, &user(number), bodies.path())
        })
        .collect();
    let bare = Bare::start(bodies.path());
    for (whose, callers) in [("one caller", one.as_slice()), ("64 callers", many.as_slice())] {
        let what = |kind: &str| format!("{algorithm}, {whose}, {kind}");
        let sides = (product.target(), bare.target());
        let identity = pair(callers, 200, |caller| (Vec::new(), format!("/{}", caller.name)));
        ratio(&what("identity"), sides, &identity, effort);
        let gzip = pair(callers, 200, |caller| (vec![GZIP.to_owned()], format!("/{}{}", bare::GZIP, caller.name)));
        ratio(&what("gzip"), sides, &gzip, effort);
        let not_modified = pair(callers, 304, |caller| {
            (vec![format!("if-none-match: {}", caller.tag)], bare::NOT_MODIFIED.to_owned())
        });
        difference(&what("304"), sides, &not_modified, effort);
        let not_modified = pair(callers, 304, |caller| {
            let headers = vec![GZIP.to_owned(), format!("if-none-match: {}", caller.gzip_tag)];
            (headers, bare::NOT_MODIFIED.to_owned())
        });
        difference(&what("304 of gzip"), sides, &not_modified, effort);
    }
}

/// Fetches what a caller gets, and lays it down for the bare handler.
fn caller(product: &Product, bearer: String, name: &str, bodies: &Path) -> Caller {
    let mut connection = product.connect();
    let mut fetch = |headers: &[String], name: &str| {
        let answer = connection.exchange(&request("GET", LIST, headers, ""), 200);
        std::fs::write(bodies.join(name), answer.body).unwrap();
        (answer.header("etag").unwrap().to_owned(), answer.body.len())
    };
    let (tag, length) = fetch(std::slice::from_ref(&bearer), name);
    let (gzip_tag, gzip_length) = fetch(&[bearer.clone(), GZIP.to_owned()], &format!("{}{name}", bare::GZIP));
    if name == "one" || name == user(0) {
        println!("the list of {name}: {length} bytes, gzip {gzip_length}");
    }
    Caller { bearer, name: name.to_owned(), tag, gzip_tag }
}

/// The plans of a pair: the product's and the bare handler's. They differ in the path only.
fn pair(callers: &[Caller], status: u16, of: impl Fn(&Caller) -> (Vec<String>, String)) -> (Vec<Plan>, Vec<Plan>) {
    let both = |caller: &Caller| {
        let (mut headers, path) = of(caller);
        headers.push(caller.bearer.clone());
        let plan = |path: &str| Plan::repeat(request("GET", path, &headers, ""), status);
        (plan(LIST), plan(&path))
    };
    callers.iter().cycle().take(CONNECTIONS).map(both).unzip()
}

/// Readings of product and baseline in turn.
fn alternate(
    (product, bare): (Target, Target),
    (products, bares): &(Vec<Plan>, Vec<Plan>),
    effort: Effort,
) -> Vec<(Cost, Cost)> {
    let window = Until::Elapsed(effort.window());
    // What is made for the first request and kept is not what a request costs.
    measure(product, products, Until::Each(2));
    (0..effort.pairs()).map(|_| (measure(product, products, window), measure(bare, bares, window))).collect()
}

fn ratio(what: &str, sides: (Target, Target), plans: &(Vec<Plan>, Vec<Plan>), effort: Effort) {
    let readings = alternate(sides, plans, effort);
    tell(what, &readings);
    let ratios = Spread::of(readings.iter().map(|(product, bare)| product.cpu_us / bare.cpu_us));
    figure(what, " times the CPU of the bare handler", ratios, Bar::AtMost(1.3));
}

fn difference(what: &str, sides: (Target, Target), plans: &(Vec<Plan>, Vec<Plan>), effort: Effort) {
    let readings = alternate(sides, plans, effort);
    tell(what, &readings);
    let more = Spread::of(readings.iter().map(|(product, bare)| product.cpu_us - bare.cpu_us));
    figure(what, " µs more than the bare handler", more, Bar::AtMost(8.0));
}

fn tell(what: &str, readings: &[(Cost, Cost)]) {
    let of = |reading: fn(&(Cost, Cost)) -> f64| Spread::of(readings.iter().map(reading));
    println!(
        "  {what}: {:.1} µs and {:.0}/s; bare {:.1} µs and {:.0}/s",
        of(|(product, _)| product.cpu_us),
        of(|(product, _)| product.per_second),
        of(|(_, bare)| bare.cpu_us),
        of(|(_, bare)| bare.per_second),
    );
}
