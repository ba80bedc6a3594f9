//! Views in PostgreSQL: the suite, and what only a database does.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use events::{
    ids::{Position, Revision, TenantId},
    stream::StreamName,
};
use futures_util::StreamExt as _;
use projector::{
    store::{
        Batch, Error, Parked, ReadViews as _, Views as _, WriteViews as _,
        postgres::{
            Database, Difference, Lease, PostgresReader, PostgresWriter, Rebuild, Refreshed, SchemaError, Switch,
            migrate,
        },
        suite::{Fixture, batch},
    },
    view::integrations::Integrations,
};
use servers::{postgres::Postgres, tls::Tls};
use tokio::{sync::watch, task::AbortHandle};

mod gone;

static POSTGRES: LazyLock<Postgres> = LazyLock::new(Postgres::start);
const TTL: Duration = Duration::from_secs(60);
const CACHE: u64 = 1 << 20;

projector::view_store_suite!(open);

async fn open() -> Fixture {
    let database = database().await;
    let writer = live_writer(&database, TTL).await;
    let (reader, follower) = reader(&database);
    Fixture::new(reader, Arc::new(writer), follower)
}

/// An empty database with the schema.
async fn database() -> Database {
    database_and_url().await.1
}

async fn database_and_url() -> (String, Database) {
    let url = tokio::task::spawn_blocking(|| POSTGRES.database()).await.unwrap();
    let database = Database::new(&url, None, None).unwrap();
    migrate(&database).await.unwrap();
    (url, database)
}

async fn writer(database: &Database, ttl: Duration) -> Option<PostgresWriter<Integrations>> {
    let name = PostgresWriter::<Integrations>::lease_name();
    let lease = Lease::try_take(database, &name, "a test", ttl).await.unwrap()?;
    Some(PostgresWriter::open(lease).await.unwrap())
}

/// A writer whose view queries see: they see nothing of one before it has caught up once.
async fn live_writer(database: &Database, ttl: Duration) -> PostgresWriter<Integrations> {
    let writer = writer(database, ttl).await.unwrap();
    writer.show().await.unwrap();
    writer
}

async fn rebuild(database: &Database, ttl: Duration) -> Rebuild<Integrations> {
    let name = Rebuild::<Integrations>::lease_name();
    let lease = Lease::try_take(database, &name, "a test", ttl).await.unwrap().unwrap();
    Rebuild::begin(lease).await.unwrap().unwrap()
}

/// A client of its own.
async fn client(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test has no drain")]
    tokio::spawn(connection);
    client
}

/// Ends a task when it is dropped.
struct Following(AbortHandle);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn reader(database: &Database) -> (Arc<PostgresReader<Integrations>>, Following) {
    let reader = Arc::new(PostgresReader::new(database.clone(), CACHE));
    let followed = Arc::clone(&reader);
    #[expect(clippy::disallowed_methods, reason = "a test has no drain")]
    let task = tokio::spawn(async move { followed.follow(|_| {}).await });
    (reader, Following(task.abort_handle()))
}

fn tenant(number: u8) -> TenantId {
    TenantId::parse(format!("t{number}")).unwrap()
}

async fn reach(reader: &PostgresReader<Integrations>, position: u64) {
    reader.checkpoint().wait_for(|shown| shown.get() >= position).await.unwrap();
}

#[tokio::test]
async fn the_schema_is_made_once_whoever_comes_first() {
    let url = tokio::task::spawn_blocking(|| POSTGRES.database()).await.unwrap();
    let migrations: Vec<_> = (0..4)
        .map(|_| {
            let database = Database::new(&url, None, None).unwrap();
            async move { migrate(&database).await }
        })
        .collect();
    for migrated in futures_util::future::join_all(migrations).await {
        migrated.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_shown_before_the_view_has_caught_up_once() {
    let database = database().await;
    let writer = writer(&database, TTL).await.unwrap();
    writer.write(batch(0, 1, 0, 1, true)).await.unwrap();
    let reader = PostgresReader::<Integrations>::new(database, CACHE);
    assert_eq!(reader.refresh().await.unwrap(), Refreshed::Missing);
    assert!(matches!(reader.snapshot(&tenant(0)).await, Err(Error::Unavailable(_))));
    writer.show().await.unwrap();
    assert_eq!(reader.refresh().await.unwrap(), Refreshed::Through(Position::new(1)));
    assert_eq!(reader.snapshot(&tenant(0)).await.unwrap().documents.len(), 1);
}

#[tokio::test]
async fn a_writer_goes_on_where_the_one_before_it_was() {
    let database = database().await;
    let first = writer(&database, Duration::ZERO).await.unwrap();
    first.write(batch(0, 3, 0, 1, true)).await.unwrap();
    let second = writer(&database, TTL).await.unwrap();
    assert_eq!(second.checkpoint().borrow().get(), 3);
    second.write(batch(3, 4, 0, 2, true)).await.unwrap();
}

#[tokio::test]
async fn one_process_has_the_lease_until_it_runs_out_or_is_given_back() {
    let database = database().await;
    let take = |ttl| Lease::try_take(&database, "lease", "a test", ttl);
    let first = take(TTL).await.unwrap().unwrap();
    assert!(take(TTL).await.unwrap().is_none());
    first.renew().await.unwrap();
    first.clone().release().await.unwrap();
    let second = take(Duration::ZERO).await.unwrap().unwrap();
    assert!(matches!(first.renew().await, Err(Error::Fenced)));
    // Run out, and nobody has taken it over: it is still its own.
    second.renew().await.unwrap();
    assert!(take(TTL).await.unwrap().is_some());
    assert!(matches!(second.renew().await, Err(Error::Fenced)));
}

#[tokio::test]
async fn a_writer_that_wakes_up_late_writes_nothing() {
    let database = database().await;
    let late = writer(&database, Duration::ZERO).await.unwrap();
    late.write(batch(0, 1, 0, 1, true)).await.unwrap();
    let now = writer(&database, TTL).await.unwrap();
    // Neither where the view is, nor where it was.
    assert!(matches!(late.write(batch(1, 2, 0, 2, true)).await, Err(Error::Fenced)));
    assert!(matches!(late.show().await, Err(Error::Fenced)));
    now.show().await.unwrap();
    now.write(batch(1, 2, 0, 3, true)).await.unwrap();
    assert!(matches!(late.write(batch(1, 2, 0, 2, true)).await, Err(Error::Fenced)));
    let reader = PostgresReader::<Integrations>::new(database, CACHE);
    reader.refresh().await.unwrap();
    assert_eq!(reader.snapshot(&tenant(0)).await.unwrap().documents.len(), 2);
}

#[tokio::test]
async fn a_reader_shows_what_a_batch_changed_of_what_it_holds_and_loads_the_rest() {
    let database = database().await;
    let writer = live_writer(&database, TTL).await;
    let (reader, _following) = reader(&database);
    writer.write(batch(0, 1, 0, 1, true)).await.unwrap();
    reach(&reader, 1).await;
    let held = reader.snapshot(&tenant(0)).await.unwrap();
    for step in 1..20_u8 {
        let (from, is_there) = (u64::from(step), step % 5 != 0);
        writer.write(batch(from, from + 1, step % 2, step, is_there)).await.unwrap();
    }
    reach(&reader, 20).await;
    assert_eq!(held.documents.len(), 1);
    let fresh = PostgresReader::<Integrations>::new(database, CACHE);
    fresh.refresh().await.unwrap();
    for number in [0, 1] {
        let (kept, loaded) =
            (reader.snapshot(&tenant(number)).await.unwrap(), fresh.snapshot(&tenant(number)).await.unwrap());
        assert_eq!((kept.change(), &kept.documents), (loaded.change(), &loaded.documents));
    }
}

#[tokio::test]
async fn what_is_held_stays_when_a_rebuilt_generation_takes_the_place_unless_it_lacks_something() {
    let database = database().await;
    let before = live_writer(&database, Duration::ZERO).await;
    before.write(batch(0, 1, 0, 1, true)).await.unwrap();
    let readers = [(); 2].map(|()| PostgresReader::<Integrations>::new(database.clone(), CACHE));
    let [current, behind] = &readers;
    for reader in &readers {
        reader.refresh().await.unwrap();
        reader.snapshot(&tenant(0)).await.unwrap();
    }
    before.write(batch(1, 2, 0, 2, true)).await.unwrap();
    before.write(Batch::empty(Position::new(2), Position::new(3))).await.unwrap();
    before.write(Batch::empty(Position::new(3), Position::new(4))).await.unwrap();
    current.refresh().await.unwrap();
    let held = current.held(&tenant(0)).unwrap();
    let rebuild = rebuild(&database, TTL).await;
    // In fewer writes than the live one took.
    rebuild.writer.write_replayed(batch(0, 1, 0, 1, true)).await.unwrap();
    rebuild.writer.write(Batch { through: Position::new(4), ..batch(1, 2, 0, 2, true) }).await.unwrap();
    assert_eq!(rebuild.switch(&watch::Sender::new(Position::START)).await.unwrap(), Switch::Done);
    for reader in &readers {
        assert_eq!(reader.refresh().await.unwrap(), Refreshed::Through(Position::new(4)));
    }
    assert!(Arc::ptr_eq(&held, &current.held(&tenant(0)).unwrap()), "nothing is loaded again");
    assert!(behind.held(&tenant(0)).is_none(), "it lacks what was written before the switch");
    let after = writer(&database, TTL).await.unwrap();
    after.write(batch(4, 5, 0, 3, true)).await.unwrap();
    for reader in &readers {
        reader.refresh().await.unwrap();
        assert_eq!(reader.snapshot(&tenant(0)).await.unwrap().documents.len(), 3);
    }
}

#[tokio::test]
async fn tenants_at_different_versions_are_a_difference_although_their_documents_are_the_same() {
    let database = database().await;
    let live = live_writer(&database, TTL).await;
    live.write(batch(0, 1, 0, 1, true)).await.unwrap();
    let rebuild = rebuild(&database, TTL).await;
    let mut replayed = batch(0, 1, 0, 1, true);
    replayed.tenants.get_mut(&tenant(0)).unwrap().last.revision = Revision::new(9);
    rebuild.writer.write_replayed(replayed).await.unwrap();
    let version = Difference { tenant: tenant(0).to_string(), key: "(version)".to_owned() };
    assert_eq!(rebuild.switch(&watch::Sender::new(Position::START)).await.unwrap(), Switch::Differs(vec![version]));
}

#[tokio::test]
async fn a_cold_tenant_makes_room_and_is_loaded_again() {
    let database = database().await;
    let writer = live_writer(&database, TTL).await;
    for number in 0..50 {
        writer.write(batch(number.into(), u64::from(number) + 1, number, 1, true)).await.unwrap();
    }
    let reader = PostgresReader::<Integrations>::new(database, 10 * 1_024);
    reader.refresh().await.unwrap();
    for number in (0..50).chain(0..50) {
        assert_eq!(reader.snapshot(&tenant(number)).await.unwrap().documents.len(), 1);
    }
    let held = (0..50).filter(|number| reader.held(&tenant(*number)).is_some()).count();
    assert!((1..=25).contains(&held), "{held} of some ten for which there is room");
}

#[tokio::test]
async fn what_is_added_to_a_tenant_that_is_held_takes_its_room_too() {
    const MORE: u8 = 8;
    let database = database().await;
    let writer = live_writer(&database, TTL).await;
    let first = batch(0, 1, 0, 0, true);
    let changes = &first.tenants[&tenant(0)];
    let (key, document) = changes.documents.iter().next().unwrap();
    let bytes = (key.to_string().len() + serde_json::to_string(document).unwrap().len()) as u64;
    writer.write(first).await.unwrap();
    // Room for it as it was loaded, and for less than half of what comes.
    let reader = PostgresReader::<Integrations>::new(database, 2_048 + bytes * (3 + u64::from(MORE)));
    reader.refresh().await.unwrap();
    assert_eq!(reader.snapshot(&tenant(0)).await.unwrap().documents.len(), 1);
    for number in 1..=MORE {
        writer.write(batch(number.into(), u64::from(number) + 1, 0, number, true)).await.unwrap();
    }
    let evicted = async {
        while reader.held(&tenant(0)).is_some() {
            reader.refresh().await.unwrap();
        }
    };
    tokio::time::timeout(TTL, evicted).await.unwrap();
}

#[tokio::test]
async fn with_the_database_away_what_is_held_is_served_and_all_is_well_when_it_is_back() {
    let postgres = Arc::new(tokio::task::spawn_blocking(Postgres::start).await.unwrap());
    let say = |what: fn(&Postgres)| {
        let postgres = Arc::clone(&postgres);
        tokio::task::spawn_blocking(move || what(&postgres))
    };
    let database = Database::new(&postgres.database(), None, None).unwrap();
    migrate(&database).await.unwrap();
    let writer = live_writer(&database, TTL).await;
    writer.write(batch(0, 1, 0, 1, true)).await.unwrap();
    let (reader, _following) = reader(&database);
    reach(&reader, 1).await;
    let held = reader.snapshot(&tenant(0)).await.unwrap();
    say(Postgres::stop).await.unwrap();
    assert!(matches!(writer.write(batch(1, 2, 0, 2, true)).await, Err(Error::Unavailable(_))));
    assert_eq!(reader.snapshot(&tenant(0)).await.unwrap().change(), held.change());
    assert!(matches!(reader.snapshot(&tenant(1)).await, Err(Error::Unavailable(_))));
    say(Postgres::start_again).await.unwrap();
    writer.write(batch(1, 2, 0, 2, true)).await.unwrap();
    reach(&reader, 2).await;
    assert_eq!(reader.snapshot(&tenant(0)).await.unwrap().documents.len(), 2);
    assert!(reader.snapshot(&tenant(1)).await.unwrap().documents.is_empty());
}

#[tokio::test]
async fn an_empty_batch_is_shown_too() {
    let database = database().await;
    let writer = live_writer(&database, TTL).await;
    let (reader, _following) = reader(&database);
    writer.write(Batch::empty(Position::START, Position::new(7))).await.unwrap();
    reach(&reader, 7).await;
}

#[tokio::test]
async fn over_tls_a_server_is_trusted_that_a_known_authority_signed_and_no_other() {
    let tls = Tls::make();
    let (certificate, key) = (tls.certificate.clone(), tls.key.clone());
    let start = move || Postgres::start_with_tls(&certificate, &key);
    let postgres = tokio::task::spawn_blocking(start).await.unwrap();
    let url = format!("{}?sslmode=require", postgres.database());
    let trusting = Database::new(&url, None, Some(&tls.authority)).unwrap();
    migrate(&trusting).await.unwrap();
    let other = Tls::make();
    let doubting = Database::new(&url, None, Some(&other.authority)).unwrap();
    assert!(matches!(migrate(&doubting).await, Err(SchemaError::Store(Error::Unavailable(_)))));
}

#[tokio::test]
async fn the_row_of_a_deleted_document_stays_for_seven_days() {
    let (url, database) = database_and_url().await;
    let writer = writer(&database, TTL).await.unwrap();
    for number in 1..=3 {
        let from = u64::from(number) - 1;
        writer.write(batch(from, from + 1, 0, number, number == 3)).await.unwrap();
    }
    let client = client(&url).await;
    let sql = "UPDATE view_integrations_v1_g1 SET changed_at = changed_at - make_interval(days => 6)";
    assert_eq!(client.execute(sql, &[]).await.unwrap(), 3);
    assert_eq!(writer.forget_deleted().await.unwrap(), 0);
    let sql = "UPDATE view_integrations_v1_g1 SET changed_at = changed_at - make_interval(days => 2)
               WHERE key LIKE '%1' OR document IS NOT NULL";
    assert_eq!(client.execute(sql, &[]).await.unwrap(), 2);
    assert_eq!(writer.forget_deleted().await.unwrap(), 1);
}

#[tokio::test]
async fn what_was_parked_when_a_tenant_was_loaded_is_not_parked_when_it_is_taken_up() {
    let database = database().await;
    let writer = live_writer(&database, TTL).await;
    let reader = PostgresReader::<Integrations>::new(database, CACHE);
    writer.write(batch(0, 1, 0, 1, true)).await.unwrap();
    reader.refresh().await.unwrap();
    let stream = StreamName::parse("integration-t0:0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5aff").unwrap();
    let parked = vec![Parked { tenant: Some(tenant(0)), stream: stream.clone(), revision: Revision::new(3) }];
    writer.write(Batch { parked, ..Batch::empty(Position::new(1), Position::new(2)) }).await.unwrap();
    // It is loaded before a refresh tells of it, and taken up before the next one.
    assert_eq!(reader.snapshot(&tenant(0)).await.unwrap().parked.len(), 1);
    writer.write(Batch { unparked: vec![stream], ..Batch::empty(Position::new(2), Position::new(3)) }).await.unwrap();
    reader.refresh().await.unwrap();
    assert!(reader.snapshot(&tenant(0)).await.unwrap().parked.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_tenant_is_ever_shown_older_than_the_checkpoint_that_is_told() {
    const TENANTS: u8 = 6;
    const WRITES: u64 = 600;
    let database = database().await;
    let writer = live_writer(&database, TTL).await;
    // Room for next to nothing: tenants are loaded again and again.
    let reader = Arc::new(PostgresReader::<Integrations>::new(database.clone(), 1));
    let (followed, read) = (Arc::clone(&reader), Arc::clone(&reader));
    let written: Arc<[AtomicU64]> = (0..TENANTS).map(|_| AtomicU64::new(0)).collect();
    let told = Arc::clone(&written);
    let reading = async move {
        let mut reads = futures_util::stream::FuturesUnordered::new();
        for number in (0..TENANTS).cycle().take(4_000) {
            let (reader, told) = (Arc::clone(&read), Arc::clone(&told));
            reads.push(async move {
                let at_least = told[usize::from(number)].load(Ordering::SeqCst);
                reach(&reader, at_least).await;
                let shown = reader.snapshot(&tenant(number)).await.unwrap().position().get();
                assert!(shown >= at_least, "tenant {number} is at {shown}, and {at_least} was told");
            });
            if reads.len() >= 8 {
                reads.next().await;
            }
        }
        while reads.next().await.is_some() {}
    };
    let writing = async {
        for from in 0..WRITES {
            let number = u8::try_from(from % u64::from(TENANTS)).unwrap();
            writer.write(batch(from, from + 1, number, 1, true)).await.unwrap();
            written[usize::from(number)].store(from + 1, Ordering::SeqCst);
        }
    };
    tokio::select! {
        _ = followed.follow(|_| {}) => unreachable!("it never ends"),
        ((), ()) = async { tokio::join!(reading, writing) } => {}
    }
}
