//! Views in PostgreSQL, which syncs what it commits: a rebuild against COPY, batches as they come when the view is live, and
//! how long after its answer a command is served by a query node.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use events::{
    ids::Position,
    integration::Fact,
    store::{EventStore, sqlite::SqliteStore},
    stored,
    stream::Kind,
};
use projector::{
    runner::{self, Control, Progress, fold, touched},
    store::{
        WriteViews as _,
        postgres::{Database, Lease, PostgresWriter, list, migrate},
    },
    view::integrations::Integrations,
};
use servers::postgres::Postgres;
use tokio::{runtime::Runtime, sync::Notify};
use tokio_postgres::{Client, NoTls, binary_copy::BinaryCopyInWriter, types::Type};

use crate::{
    Effort,
    log::Log,
    places,
    product::Product,
    report::{Bar, Spread, figure},
    tokens::Signer,
    visible::{syncs_per_second, tell, until_shown},
    wire::request,
};

const LEASE: Duration = Duration::from_secs(60);
const BATCHES: [usize; 3] = [1, 64, 1_024];
const LIST: &str = "/api/integrations-list";

/// The figures.
pub(crate) fn run(effort: Effort) {
    let (postgres, runtime, directory) = (Postgres::start_durable(), Runtime::new().unwrap(), places::temporary());
    let events = directory.path().join("events");
    make(&events, effort.of(50_000, 2_000));
    let store: Arc<dyn EventStore> = Arc::new(SqliteStore::open(&events).unwrap());
    runtime.block_on(async {
        rebuild(effort, &postgres, &*store).await;
        live(effort, &postgres, &*store).await;
    });
    served(effort, &postgres, &directory.path().join("data"));
    println!("  the disk beside: {:.0} syncs of 4 KiB a second", syncs_per_second(directory.path()));
}

/// Integrations of tenants of a hundred, to which a little happens.
fn make(directory: &Path, integrations: usize) {
    let mut log = Log::begin(directory);
    for number in 0..integrations {
        let mut made = log.create(&format!("tenant{:04}", number / 100), "alice", &format!("Google Drive {number:06}"));
        log.share(&mut made, "team:marketing");
        log.tag(&mut made, &["blue", "green"]);
        log.describe(&mut made, "Documents of the department");
    }
    log.end();
}

async fn database(postgres: &Postgres) -> (String, Database) {
    let url = postgres.database();
    let database = Database::new(&url, None, None).unwrap();
    migrate(&database).await.unwrap();
    (url, database)
}

async fn writer(database: &Database) -> PostgresWriter<Integrations> {
    let name = PostgresWriter::<Integrations>::lease_name();
    let lease = Lease::try_take(database, &name, "benchmark", LEASE).await.unwrap().unwrap();
    PostgresWriter::open(lease).await.unwrap()
}

/// Document rows a second of a generation that is filled from the log, and of COPY into an equal table.
async fn rebuild(effort: Effort, postgres: &Postgres, store: &dyn EventStore) {
    let (mut filled, mut folded, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..effort.pairs() {
        let (url, database) = database(postgres).await;
        let writer = writer(&database).await;
        let (started, caught_up, mut read) = (Instant::now(), Notify::new(), 0.0);
        tokio::select! {
            ended = runner::run::<Integrations>(store, &writer, Control::default(), |progress| match progress {
                Progress::Replaying(_) => read = started.elapsed().as_secs_f64(),
                Progress::Reached(_) => {}
                Progress::CaughtUp => caught_up.notify_one(),
            }) => {
                ended.unwrap();
            }
            () = caught_up.notified() => {}
        }
        let seconds = started.elapsed().as_secs_f64();
        folded.push(read / seconds);
        let generations = list(&database).await.unwrap();
        let [generation] = generations.as_slice() else { panic!("{generations:?}") };
        let table = format!("view_integrations_v{}_g{}", generation.version, generation.generation);
        let (rows, copy) = copy(&url, &table).await;
        assert_eq!(rows, generation.documents as f64);
        filled.push(rows / seconds);
        ratios.push(copy / seconds);
    }
    let (filled, folded) = (Spread::of(filled), Spread::of(folded));
    println!(
        "  filled from the log, five events a document: {filled:.0} rows/s, {folded:.2} of the time reading and folding"
    );
    figure("rebuild", " of COPY into an equal table", Spread::of(ratios), Bar::AtLeast(0.5));
}

/// Seconds that COPY needs for the rows of a table into another one like it, and how many there are.
async fn copy(url: &str, table: &str) -> (f64, f64) {
    let (mut client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let connection = tokio::task::JoinSet::from_iter([connection]);
    let rows = client.query(&format!("SELECT tenant, key, document FROM {table}"), &[]).await.unwrap();
    let rows: Vec<(String, String, String)> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    client.batch_execute(&format!("CREATE TABLE bare (LIKE {table} INCLUDING ALL)")).await.unwrap();
    let started = Instant::now();
    copy_in(&mut client, &rows).await;
    let seconds = started.elapsed().as_secs_f64();
    drop(client);
    connection.join_all().await.into_iter().for_each(Result::unwrap);
    (rows.len() as f64, seconds)
}

async fn copy_in(client: &mut Client, rows: &[(String, String, String)]) {
    let transaction = client.transaction().await.unwrap();
    let sink = transaction.copy_in("COPY bare (tenant, key, document, written) FROM STDIN BINARY").await.unwrap();
    let copying = BinaryCopyInWriter::new(sink, &[Type::TEXT, Type::TEXT, Type::TEXT, Type::INT8]);
    let mut copying = Box::pin(copying);
    for (tenant, key, document) in rows {
        copying.as_mut().write(&[tenant, key, document, &1_i64]).await.unwrap();
    }
    copying.as_mut().finish().await.unwrap();
    transaction.commit().await.unwrap();
}

/// Events a second that a live view takes, in batches of several sizes.
async fn live(effort: Effort, postgres: &Postgres, store: &dyn EventStore) {
    let facts = facts(store, effort.of(100_000, 8_000)).await;
    for batch in BATCHES {
        let mut readings = Vec::new();
        for _ in 0..effort.pairs() {
            let (_, database) = database(postgres).await;
            let writer = writer(&database).await;
            let (started, mut from, mut n) = (Instant::now(), Position::START, 0);
            for facts in facts.chunks(batch) {
                let before = writer.documents(touched::<Integrations>(facts)).await.unwrap();
                let folded = fold(before, from, facts);
                from = folded.through;
                writer.write(folded).await.unwrap();
                n += facts.len();
                if started.elapsed() > effort.window() {
                    break;
                }
            }
            readings.push(n as f64 / started.elapsed().as_secs_f64());
        }
        println!("live, batches of {batch}: {:.0} events/s", Spread::of(readings));
    }
}

async fn facts(store: &dyn EventStore, max: usize) -> Vec<Fact> {
    let (mut facts, mut after) = (Vec::new(), Position::START);
    loop {
        let page = store.read_all(after, &[Kind::Integration], 1_000).await.unwrap();
        facts.extend(page.events.iter().map(|event| stored::integration_fact(event).unwrap()));
        if page.is_last || facts.len() >= max {
            return facts;
        }
        after = page.through;
    }
}

/// From a command's answer until a query node shows it, each role in a process of its own.
fn served(effort: Effort, postgres: &Postgres, data_dir: &Path) {
    let views = ["--views".to_owned(), postgres.database()];
    let command = Product::start_role("command", data_dir, &[]);
    let _projector = Product::start_role("projector", data_dir, &views);
    let query = Product::start_role("query", data_dir, &views);
    let bearer = Signer::hs256(data_dir).bearer("acme", "alice", &[], &["permission.integrations.create"]);
    let (mut commands, mut queries) = (command.connect(), query.connect());
    let mut delays = Vec::new();
    for number in 0..effort.of(2_000, 100) {
        let name = format!("Drive {number:06}");
        let body = format!(r#"{{"name":"{name}","type":"google-drive"}}"#);
        commands.exchange(&request("POST", "/api/integrations", std::slice::from_ref(&bearer), &body), 201);
        delays.push(until_shown(&mut queries, &bearer, &[LIST], &name));
    }
    let at = tell(delays);
    println!("from the answer to a query node's list, p50: {:.2} ms; {}", at(500), Bar::AtMost(10.0).judge(at(500)));
    println!("from the answer to a query node's list, p99: {:.2} ms; {}", at(990), Bar::AtMost(20.0).judge(at(990)));
}
