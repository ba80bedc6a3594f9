//! Faults under load, one a round, in an order that a seed gives: whatever is killed, paused or stopped, in the end each
//! event is on Kafka once and in order, and the lists are a fold of the log. `ROUNDS` and `SEED` come from the environment.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use peer::{Options, Peer};
use servers::{kafka::Broker, postgres::Postgres};
use tempfile::TempDir;
use tokio::task::block_in_place;

use super::{
    load::Load,
    random::Random,
    roles::Roles,
    turns::{LEASE_RAN_OUT, REFUSED_BY_KAFKA, REFUSED_BY_LEASE, assert_epochs_rise},
    views_check::check_views,
};

/// Rounds, unless the environment says otherwise.
const ROUNDS: u64 = 10;
/// Changes that are made in a round, at least.
const CHANGES: u64 = 1_000;
/// Changes that are made in a second, at most.
const PER_SECOND: u32 = 300;
/// Changes, at most, before a fault.
const BEFORE: usize = 300;
/// Changes, at most, while a server is away: some seconds more than a lease lasts.
const MEANWHILE: usize = 2_400;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// kill -9 of the projector that publishes, which comes back when another has taken over.
    KillPublisher,
    /// kill -9 of the projector that feeds the view.
    KillFeeder,
    /// kill -9 of the command role.
    KillCommand,
    /// SIGSTOP of the projector that publishes, and SIGCONT when another has taken over.
    PausePublisher,
    /// A stop and a start of Kafka.
    StopKafka,
    /// An end of PostgreSQL as in a power cut, and a start.
    StopPostgres,
    /// A cut of every connection to the server of the log.
    CutLog,
    /// A kill of the server of the log, and a start.
    RestartLog,
    /// Some appends that take effect and are not answered.
    LoseAnswers,
}

const FAULTS: [Fault; 6] = [
    Fault::KillPublisher,
    Fault::KillFeeder,
    Fault::KillCommand,
    Fault::PausePublisher,
    Fault::StopKafka,
    Fault::StopPostgres,
];
/// Those of a log on a server.
const FAULTS_OF_A_SERVER: [Fault; 3] = [Fault::CutLog, Fault::RestartLog, Fault::LoseAnswers];
/// How many answers are lost.
const LOST: u32 = 5;

struct World {
    /// The server of the log, when it is on one.
    log: Option<Peer>,
    roles: Roles,
    load: Load,
    kafka: Broker,
    postgres: Postgres,
    random: Random,
    /// How long it took until another published, from the fault on.
    taken_over: Vec<Duration>,
    /// How long it took until all was well, from the end of the fault on.
    healed: BTreeMap<Fault, Vec<Duration>>,
    /// What woken publishers were refused by.
    refused: BTreeMap<&'static str, usize>,
}

impl World {
    async fn start(random: Random, log: Option<Peer>) -> Self {
        let (kafka, postgres) = block_in_place(|| (Broker::start(), Postgres::start()));
        let mut roles = match &log {
            None => Roles::start(&postgres, &kafka.address()).await,
            Some(log) => Roles::start_on_server(&log.url(), &postgres, &kafka.address()).await,
        };
        roles.add_publisher(&[]);
        roles.add_publisher(&[]);
        roles.query.wait_until_ready().await;
        roles.publisher_after(0).await;
        let load = Load::start(&roles.command.api, PER_SECOND);
        let (taken_over, healed, refused) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { log, roles, load, kafka, postgres, random, taken_over, healed, refused }
    }

    /// A fault somewhere in so many changes, and time to heal.
    async fn round(&mut self, fault: Fault) {
        let begun = self.load.done();
        self.some_changes(BEFORE).await;
        match fault {
            Fault::KillPublisher => self.kill_publisher().await,
            Fault::KillFeeder => self.kill_feeder().await,
            Fault::KillCommand => {
                self.roles.command.kill();
                self.roles.command.restart();
            }
            Fault::PausePublisher => self.pause_publisher().await,
            Fault::StopKafka => self.stop_kafka().await,
            Fault::StopPostgres => {
                block_in_place(|| self.postgres.stop());
                self.some_changes(MEANWHILE).await;
                block_in_place(|| self.postgres.start_again());
            }
            Fault::CutLog => self.log_server().fault(&peer::Fault::Drop),
            Fault::RestartLog => block_in_place(|| self.log_server().start_again().unwrap()),
            Fault::LoseAnswers => self.log_server().fault(&peer::Fault::LoseAnswers(LOST)),
        }
        let healed = self.roles.healed().await;
        self.healed.entry(fault).or_default().push(healed);
        self.load.reach(begun + CHANGES).await;
    }

    fn log_server(&self) -> &Peer {
        self.log.as_ref().expect("the log is on a server")
    }

    async fn some_changes(&mut self, most: usize) {
        let some = self.random.below(most) as u64;
        self.load.reach(self.load.done() + some).await;
    }

    async fn kill_publisher(&mut self) {
        let publisher = self.roles.publisher_after(0).await;
        self.roles.projectors[publisher.projector].kill();
        let killed = Instant::now();
        let next = self.roles.publisher_after(publisher.epoch).await;
        self.taken_over.push(killed.elapsed());
        assert_ne!(next.projector, publisher.projector);
        self.roles.projectors[publisher.projector].restart();
    }

    async fn kill_feeder(&mut self) {
        // Nobody may have the lease for a moment.
        let feeder = loop {
            match self.roles.feeder().await {
                Some(feeder) => break feeder.projector,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        self.roles.projectors[feeder].kill();
        self.some_changes(BEFORE).await;
        self.roles.projectors[feeder].restart();
    }

    async fn pause_publisher(&mut self) {
        let publisher = self.roles.publisher_after(0).await;
        let sleeper = publisher.projector;
        self.roles.projectors[sleeper].signal("STOP");
        let paused = Instant::now();
        let next = self.roles.publisher_after(publisher.epoch).await;
        self.taken_over.push(paused.elapsed());
        assert_ne!(next.projector, sleeper, "another took the lease meanwhile");
        let told = |what| self.roles.projectors[sleeper].told(what);
        let before = [REFUSED_BY_KAFKA, REFUSED_BY_LEASE, LEASE_RAN_OUT].map(|by| (by, told(by)));
        self.roles.projectors[sleeper].signal("CONT");
        let sleeper = &self.roles.projectors[sleeper];
        let is_refused = async || before.iter().any(|(by, times)| sleeper.told(by) > *times);
        sleeper.wait(is_refused).await;
        sleeper.wait(async || sleeper.api.metrics().await.is("kafka_standing_by")).await;
        for (by, times) in before {
            *self.refused.entry(by).or_default() += sleeper.told(by) - times;
        }
        let holder = self.roles.publisher().await;
        assert_eq!(holder, Some(next), "the one that took over goes on");
    }

    /// Views go on meanwhile.
    async fn stop_kafka(&mut self) {
        block_in_place(|| self.kafka.stop());
        self.some_changes(MEANWHILE).await;
        let head = self.roles.head().await;
        self.roles.shown(head).await;
        block_in_place(|| self.kafka.restart());
    }

    /// What must be so in the end.
    async fn check(self, rounds: u64) -> serde_json::Value {
        let done = self.load.end().await;
        self.roles.healed().await;
        let exported = block_in_place(|| self.roles.exported());
        check_views(&exported.file, &self.roles.query.api).await;
        let seen = block_in_place(|| self.roles.consumed(&exported));
        assert!(done >= rounds * CHANGES && seen["events"].as_u64().unwrap() >= done, "{done} changes, {seen}");
        assert_epochs_rise(&self.kafka, &self.roles.prefix, 2);
        seen
    }

    fn tell(&mut self) {
        let figures = |all: &mut Vec<Duration>| {
            all.sort();
            let (median, max) = (all[all.len() / 2], all[all.len() - 1]);
            format!("{} times, median {:.1} s, longest {:.1} s", all.len(), median.as_secs_f64(), max.as_secs_f64())
        };
        println!("taken over: {}", figures(&mut self.taken_over));
        println!("woken publishers refused: {:?}", self.refused);
        for (fault, all) in &mut self.healed {
            println!("healed after {fault:?}: {}", figures(all));
        }
    }
}

/// A server of the log that keeps it on the disk.
pub(crate) fn log_server(directory: &TempDir) -> Peer {
    Peer::start(&Options { directory: Some(directory.path().to_owned()), ..Options::default() }).unwrap()
}

/// All of these faults, each time in another order.
fn faults(of: &[Fault], random: &mut Random, rounds: u64) -> Vec<Fault> {
    let mut deck = Vec::new();
    let mut next = || {
        if deck.is_empty() {
            deck.extend(of);
        }
        deck.swap_remove(random.below(deck.len()))
    };
    (0..rounds).map(|_| next()).collect()
}

fn environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_at_random_under_load_leave_every_event_on_kafka_once_and_the_views_a_fold_of_the_log() {
    run(None, &FAULTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_log_on_a_server_faults_of_that_too_leave_every_event_on_kafka_once() {
    let directory = tempfile::tempdir().unwrap();
    run(Some(log_server(&directory)), &[&FAULTS[..], &FAULTS_OF_A_SERVER].concat()).await;
}

async fn run(log: Option<Peer>, of: &[Fault]) {
    let rounds = environment("ROUNDS").unwrap_or(ROUNDS);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = environment("SEED").unwrap_or(now.as_secs());
    println!("SEED={seed} ROUNDS={rounds}");
    let (started, mut random) = (Instant::now(), Random::new(seed, 0));
    let faults = faults(of, &mut random, rounds);
    let mut world = World::start(random, log).await;
    for (round, fault) in (1..).zip(faults) {
        world.round(fault).await;
        let healed = world.healed[&fault].last().unwrap();
        let (seconds, changes) = (started.elapsed().as_secs(), world.load.done());
        println!("{seconds} s, round {round}: {fault:?}, healed in {:.1} s, {changes} changes", healed.as_secs_f64());
    }
    world.tell();
    let seen = world.check(rounds).await;
    println!("{} s in all; the consumer has seen {seen}", started.elapsed().as_secs());
}
