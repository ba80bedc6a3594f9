//! Never 304 where the bytes would differ: random writes, callers, rights, resources, queries and codings, and tags of
//! whatever was seen before. The oracle is the same caller without a validator at the same position.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio::task::JoinSet;

use self::{
    world::{Read, World},
    writes::write,
};
use super::harness::{Answer, Server};

mod random;
mod world;
mod writes;

/// Worlds of two tenants each, which go on at the same time and know nothing of each other.
const WORLDS: u64 = 8;
const READS_PER_WORLD: usize = 1_300;
/// Reads between writes.
const READS_PER_ROUND: usize = 22;
const WRITES_PER_ROUND: usize = 2;

/// The seed, which `NEVER_304_SEED` overrides.
fn seed() -> u64 {
    std::env::var("NEVER_304_SEED").map_or(304, |text| text.parse().unwrap())
}

/// How often what happened.
#[derive(Debug, Default)]
struct Counts {
    not_modified: usize,
    whole: usize,
    /// Tags that were the current one of another caller, path or coding, and not of what was asked for.
    others: usize,
    not_there: usize,
    compressed: usize,
    writes: BTreeMap<&'static str, usize>,
    refused_writes: usize,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.not_modified += other.not_modified;
        self.whole += other.whole;
        self.others += other.others;
        self.not_there += other.not_there;
        self.compressed += other.compressed;
        self.refused_writes += other.refused_writes;
        for (kind, count) in other.writes {
            *self.writes.entry(kind).or_default() += count;
        }
    }
}

/// What a tag stood over when it was seen.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    coding: Option<String>,
    body: Vec<u8>,
}

/// Everything that was ever seen, by tag.
#[derive(Debug, Default)]
struct Memory {
    bodies: HashMap<String, Seen>,
    tags: Vec<String>,
    /// The last tags of each path, whoever asked and in whichever coding.
    of_path: HashMap<String, Vec<String>>,
    /// The last tag that somebody saw on a path in a coding.
    last: HashMap<String, String>,
}

impl Memory {
    /// Remembers an answer; one tag never stands over two different bodies.
    fn see(&mut self, name: &str, read: &Read, answer: &Answer) {
        let tag = answer.header("etag");
        let coding = answer.try_header("content-encoding").map(str::to_owned);
        let seen = Seen { coding, body: answer.body.clone() };
        if let Some(before) = self.bodies.get(tag) {
            assert_eq!(*before, seen, "{name}: {tag} stands over two different bodies");
        } else {
            self.tags.push(tag.to_owned());
            self.bodies.insert(tag.to_owned(), seen);
        }
        self.last.insert(read.key.clone(), tag.to_owned());
        let of_path = self.of_path.entry(read.path.clone()).or_default();
        of_path.retain(|known| known != tag);
        of_path.push(tag.to_owned());
    }
}

/// Judges an answer by the oracle's.
fn judge(memory: &mut Memory, counts: &mut Counts, read: &Read, answer: &Answer, oracle: &Answer) {
    let name = &format!("{} {} with {:?}", read.method, read.key, read.tags);
    assert_eq!(answer.try_header("integration-position"), oracle.try_header("integration-position"), "{name}");
    if oracle.status != 200 {
        counts.not_there += 1;
        assert_eq!(answer.status, oracle.status, "{name}");
        return;
    }
    let tag = oracle.header("etag");
    assert_eq!(answer.header("etag"), tag, "{name}");
    let is_named = read.tags.iter().any(|sent| sent.trim_start_matches("W/") == tag);
    let before = memory.bodies.get(tag).cloned();
    memory.see(name, read, oracle);
    counts.compressed += usize::from(oracle.try_header("content-encoding").is_some());
    match answer.status {
        304 => {
            counts.not_modified += 1;
            assert!(is_named, "{name}: 304, and the tag is none of those sent");
            let has = before.unwrap_or_else(|| panic!("{name}: 304 for what was never seen"));
            assert_eq!(has.body, oracle.body, "{name}: 304, and the bytes differ");
            assert!(answer.body.is_empty(), "{name}");
        }
        200 => {
            counts.whole += 1;
            counts.others += usize::from(read.tags.iter().any(|sent| memory.bodies.contains_key(sent)));
            assert!(!is_named, "{name}: 200, and the client has it");
            assert_eq!(answer.try_header("content-encoding"), oracle.try_header("content-encoding"), "{name}");
            let body = if read.method == "HEAD" { &[][..] } else { &oracle.body };
            assert_eq!(answer.body, body, "{name}");
        }
        status => panic!("{name}: {status}"),
    }
}

/// One world's life.
async fn live(server: Arc<Server>, seed: u64, number: u64) -> Counts {
    let mut world = World::new(&server, seed, number).await;
    let (mut memory, mut counts) = (Memory::default(), Counts::default());
    let mut reads = 0;
    while reads < READS_PER_WORLD {
        world.change_rights(&server);
        for _ in 0..WRITES_PER_ROUND {
            write(&mut world, &mut counts).await;
        }
        world.catch_up().await;
        for _ in 0..READS_PER_ROUND {
            let read = world.read(&memory);
            let answer = read.request(&read.tags, None).send().await;
            let position = answer.try_header("integration-position");
            let oracle = read.request(&[], position).send().await;
            judge(&mut memory, &mut counts, &read, &answer, &oracle);
            reads += usize::from(oracle.status == 200);
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_304_is_never_answered_where_the_bytes_would_differ() {
    let seed = seed();
    println!("NEVER_304_SEED={seed}");
    let server = Arc::new(Server::start().await);
    let mut worlds = JoinSet::new();
    for number in 0..WORLDS {
        worlds.spawn(live(Arc::clone(&server), seed, number));
    }
    let mut counts = Counts::default();
    for world in worlds.join_all().await {
        counts.add(world);
    }
    let cases = counts.not_modified + counts.whole;
    let writes: usize = counts.writes.values().sum();
    println!("{cases} cases, {writes} writes: {counts:#?}");
    assert!(cases >= 10_000, "only {cases} cases");
    assert!(counts.not_modified * 5 >= cases, "only {} of {cases} are 304", counts.not_modified);
    assert!(counts.others * 5 >= cases, "only {} of {cases} have another's tag", counts.others);
    assert!(counts.compressed * 5 >= cases, "only {} of {cases} are compressed", counts.compressed);
    assert!(writes >= 500, "only {writes} writes");
    assert!(counts.writes.len() == writes::KINDS.len(), "some command was never done");
}
