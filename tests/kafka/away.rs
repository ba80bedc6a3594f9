//! A server that is away under load: what waits for it takes next to no processor time and no more memory, and all is well
//! soon after it is back. `AWAY_SECONDS` comes from the environment.

use std::{fs, time::Duration};

use servers::{kafka::Broker, postgres::Postgres};
use tokio::task::block_in_place;

use super::{faults::log_server, load::Load, process::Process, roles::Roles};

/// Seconds that a server is away, unless the environment says otherwise.
const AWAY_SECONDS: u64 = 3;
/// Changes that are made in a second, at most.
const PER_SECOND: u32 = 100;
/// How long it may take until all is well again.
const HEALS_WITHIN: Duration = Duration::from_secs(10);
/// Of a core.
const CPU_PERCENT_MAX: f64 = 5.0;
const GROWTH_KIB_MAX: u64 = 32 * 1_024;
/// What Linux counts processor time in, for other programs to read.
const TICKS_A_SECOND: f64 = 100.0;

/// What a process has used up to now.
#[derive(Debug, Clone, Copy)]
struct Used {
    ticks: u64,
    memory_kib: u64,
}

impl Used {
    fn by(process: &Process) -> Self {
        let about = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", process.id())).unwrap();
        // The name, in parentheses, may have spaces; behind it, user and system time are the 12th and 13th.
        let stat = about("stat");
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = [11, 12].iter().map(|field| fields[*field].parse::<u64>().unwrap()).sum();
        let status = about("status");
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        Self { ticks, memory_kib: memory.trim().trim_end_matches(" kB").parse().unwrap() }
    }
}

/// A view that one projector feeds, and two more of which one publishes.
async fn start(postgres: &Postgres, kafka: &Broker) -> Roles {
    add_projectors(Roles::start(postgres, &kafka.address()).await).await
}

async fn add_projectors(mut roles: Roles) -> Roles {
    roles.add_feeder().await;
    let properties = roles.directory.path().join("kafka.properties");
    // So that a call is given up, and Kafka said to be away, soon.
    fs::write(&properties, "socket.timeout.ms=2000").unwrap();
    let options = ["--kafka-properties", properties.to_str().unwrap()];
    roles.add_publisher(&options);
    assert_eq!(roles.publisher_after(0).await.projector, 1);
    roles.add_publisher(&options);
    roles.projectors[2].wait_until_ready().await;
    roles
}

/// Lets time pass, and checks what each process has used of it.
async fn wait_and_measure(server: &str, waiting: &[(&str, &Process)]) {
    let seconds = std::env::var("AWAY_SECONDS").map_or(AWAY_SECONDS, |value| value.parse().unwrap());
    let before: Vec<_> = waiting.iter().map(|(_, process)| Used::by(process)).collect();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    for ((name, process), before) in waiting.iter().zip(before) {
        let after = Used::by(process);
        let percent = (after.ticks - before.ticks) as f64 / TICKS_A_SECOND / seconds as f64 * 100.0;
        let growth = after.memory_kib.saturating_sub(before.memory_kib);
        println!(
            "{server} away for {seconds} s: {name} took {percent:.1} % of a core, {} MiB, {growth} KiB more than before",
            after.memory_kib / 1_024
        );
        assert!(percent < CPU_PERCENT_MAX, "{name} took {percent} % of a core");
        assert!(growth < GROWTH_KIB_MAX, "{name} took {growth} KiB more");
    }
}

async fn heals(server: &str, roles: &Roles) {
    let healed = roles.healed().await;
    println!("{server} back: all was well after {:.1} s", healed.as_secs_f64());
    assert!(healed < HEALS_WITHIN, "{healed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_away_under_load_is_waited_for_at_rest_hinders_no_view_and_is_caught_up_with() {
    let (mut kafka, postgres) = block_in_place(|| (Broker::start(), Postgres::start()));
    let roles = start(&postgres, &kafka).await;
    let load = Load::start(&roles.command.api, PER_SECOND);
    load.reach(100).await;
    block_in_place(|| kafka.stop());
    let publisher = &roles.projectors[1];
    publisher.wait(async || publisher.api.text("/readyz").await.contains(", Kafka: away, ")).await;
    wait_and_measure("Kafka", &[("the publisher", publisher), ("a standby", &roles.projectors[2])]).await;
    let head = roles.head().await;
    roles.shown(head).await;
    block_in_place(|| kafka.restart());
    heals("Kafka", &roles).await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_away_under_load_is_waited_for_at_rest_and_views_and_feed_catch_up() {
    let postgres = block_in_place(Postgres::start);
    let roles = start(&postgres, Broker::shared()).await;
    let load = Load::start(&roles.command.api, PER_SECOND);
    load.reach(100).await;
    block_in_place(|| postgres.stop());
    let publisher = &roles.projectors[1];
    let waits = ", Kafka: waiting for the view store\n";
    publisher.wait(async || publisher.api.text("/readyz").await.ends_with(waits)).await;
    for process in [&roles.projectors[0], &roles.query] {
        process
            .wait(async || process.api.text("/readyz").await.starts_with("ready, view integrations: stopped, "))
            .await;
    }
    let [feeder, publisher, standby] = &roles.projectors[..] else { panic!("three projectors") };
    let all = [("the feeder", feeder), ("the publisher", publisher), ("a standby", standby), ("query", &roles.query)];
    wait_and_measure("PostgreSQL", &all).await;
    block_in_place(|| postgres.start_again());
    heals("PostgreSQL", &roles).await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_of_the_log_away_under_load_is_waited_for_at_rest_and_all_go_on_behind_it() {
    let (postgres, directory) = (block_in_place(Postgres::start), tempfile::tempdir().unwrap());
    let log = log_server(&directory);
    let kafka = Broker::shared().address();
    let roles = add_projectors(Roles::start_on_server(&log.url(), &postgres, &kafka).await).await;
    let load = Load::start(&roles.command.api, PER_SECOND);
    load.reach(100).await;
    block_in_place(|| log.stop());
    roles.command.wait(async || !roles.command.api.text("/readyz").await.starts_with("ready")).await;
    let [feeder, publisher, standby] = &roles.projectors[..] else { panic!("three projectors") };
    let projectors = [("the feeder", feeder), ("the publisher", publisher), ("a standby", standby)];
    let follow = [&[("query", &roles.query)], &projectors[..]].concat();
    for (_, process) in &follow {
        process.wait(async || process.api.text("/readyz").await.starts_with("ready, event log: away")).await;
    }
    let all = [&[("command", &roles.command)], &follow[..]].concat();
    wait_and_measure("The server of the log", &all).await;
    block_in_place(|| log.start_again().unwrap());
    heals("The server of the log", &roles).await;
    load.end().await;
}
