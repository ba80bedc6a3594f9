//! Somebody who has a part in a view stops in the middle of it, or says nothing any more.

use std::{sync::atomic::AtomicBool, time::Instant};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

use super::*;

/// How long a lease lasts that is to run out.
const SHORT: Duration = Duration::from_secs(2);

async fn lease(database: &Database) -> Option<Lease> {
    Lease::try_take(database, &PostgresWriter::<Integrations>::lease_name(), "a test", SHORT).await.unwrap()
}

async fn shown(database: &Database, of_tenant: u8) -> u64 {
    let reader = PostgresReader::<Integrations>::new(database.clone(), CACHE);
    assert!(matches!(reader.refresh().await.unwrap(), Refreshed::Through(_)));
    reader.snapshot(&tenant(of_tenant)).await.unwrap().position().get()
}

#[tokio::test]
async fn a_fill_that_takes_longer_than_the_lease_keeps_it_and_hinders_nobody() {
    let (url, database) = database_and_url().await;
    let held = lease(&database).await.unwrap();
    let writer = PostgresWriter::<Integrations>::open(held.clone()).await.unwrap();
    let slow = client(&url).await;
    slow.batch_execute("BEGIN; LOCK TABLE view_integrations_v1_g1 IN SHARE MODE").await.unwrap();
    let filled = tokio::select! {
        filled = writer.write_replayed(batch(0, 1, 1, 1, true)) => Some(filled),
        lost = held.keep() => panic!("{lost}"),
        () = async {
            tokio::time::sleep(SHORT * 3).await;
            assert!(lease(&database).await.is_none(), "nobody else has it");
            // Another view begins beside it.
            let other = Lease::try_take(&database, "another view", "a test", SHORT).await.unwrap().unwrap();
            other.release().await.unwrap();
            slow.batch_execute("COMMIT").await.unwrap();
            std::future::pending().await
        } => None,
    };
    filled.unwrap().unwrap();
    writer.show().await.unwrap();
    assert_eq!(shown(&database, 1).await, 1);
}

#[tokio::test]
async fn whoever_stops_in_the_middle_of_a_fill_is_taken_over_from_and_writes_nothing_when_it_wakes_up() {
    let (url, database) = database_and_url().await;
    let sleeper = PostgresWriter::<Integrations>::open(lease(&database).await.unwrap()).await.unwrap();
    let slow = client(&url).await;
    slow.batch_execute("BEGIN; LOCK TABLE view_integrations_v1_g1 IN SHARE MODE").await.unwrap();
    let took_over = async {
        let taken = loop {
            match lease(&database).await {
                Some(lease) => break lease,
                None => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        let writer = PostgresWriter::<Integrations>::open(taken).await.unwrap();
        writer.write_replayed(batch(0, 2, 2, 1, true)).await.unwrap();
        writer.show().await.unwrap();
        writer.write(batch(2, 3, 2, 2, true)).await.unwrap();
        assert_eq!(shown(&database, 2).await, 3);
        slow.batch_execute("COMMIT").await.unwrap();
    };
    let (slept, ()) = tokio::join!(sleeper.write_replayed(batch(0, 1, 1, 1, true)), took_over);
    assert!(matches!(slept, Err(Error::Fenced)), "{slept:?}");
    assert_eq!((shown(&database, 1).await, shown(&database, 2).await), (0, 3));
}

#[tokio::test]
async fn a_rebuild_that_stops_in_the_middle_hinders_no_batch_and_no_other_rebuild() {
    let (url, database) = database_and_url().await;
    let live = PostgresWriter::<Integrations>::open(lease(&database).await.unwrap()).await.unwrap();
    live.write(batch(0, 1, 1, 1, true)).await.unwrap();
    live.show().await.unwrap();
    let first = rebuild(&database, Duration::ZERO).await;
    let slow = client(&url).await;
    slow.batch_execute("BEGIN; LOCK TABLE view_integrations_v1_g2 IN SHARE MODE").await.unwrap();
    let beside = async {
        // The second gives up the tables of the first, which it cannot remove yet.
        let second = rebuild(&database, SHORT).await;
        second.writer.write_replayed(batch(0, 1, 1, 1, true)).await.unwrap();
        let began = Instant::now();
        live.write(batch(1, 2, 1, 2, true)).await.unwrap();
        assert!(began.elapsed() < SHORT, "{:?}", began.elapsed());
        slow.batch_execute("COMMIT").await.unwrap();
    };
    let (filled, ()) = tokio::join!(first.writer.write_replayed(batch(0, 1, 1, 1, true)), beside);
    assert!(matches!(filled, Err(Error::Fenced)), "{filled:?}");
}

/// A way to the cluster whose connections, from a moment on, take everything and answer nothing; later ones are as before.
async fn way_that_goes_deaf(url: &str) -> (String, Arc<AtomicBool>) {
    let port = url.rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = url.replace(&port, &listener.local_addr().unwrap().port().to_string());
    let is_deaf = Arc::new(AtomicBool::new(false));
    let deaf = Arc::clone(&is_deaf);
    #[expect(clippy::disallowed_methods, reason = "a test has no drain")]
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
            let (born_deaf, deaf) = (deaf.load(Ordering::SeqCst), Arc::clone(&deaf));
            tokio::spawn(async move {
                let goes_deaf = async {
                    while born_deaf || !deaf.load(Ordering::SeqCst) {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                tokio::select! {
                    _ = copy_bidirectional(&mut client, &mut server) => {}
                    () = goes_deaf => {
                        // What comes is taken, as by a network that has forgotten the connection.
                        let _ = tokio::io::copy(&mut client, &mut tokio::io::sink()).await;
                    }
                }
            });
        }
    });
    (through, is_deaf)
}

#[tokio::test]
async fn connections_that_answer_nothing_any_more_are_given_up_and_all_goes_on_over_others() {
    let (url, direct) = database_and_url().await;
    let (through, is_deaf) = way_that_goes_deaf(&url).await;
    let database = Database::new(&through, None, None).unwrap();
    let held = lease(&database).await.unwrap();
    let writer = PostgresWriter::<Integrations>::open(held.clone()).await.unwrap();
    writer.write(batch(0, 1, 1, 1, true)).await.unwrap();
    writer.show().await.unwrap();
    let reader = PostgresReader::<Integrations>::new(database.clone(), CACHE);
    let followed = async { reader.follow(|_| {}).await };
    let work = async {
        reader.checkpoint().wait_for(|position| position.get() >= 1).await.unwrap();
        is_deaf.store(true, Ordering::SeqCst);
        // Each of these may meet a connection that is gone, and the first may have been done before.
        let mut tried = 0;
        loop {
            match writer.write(batch(1, 2, 1, 2, true)).await {
                Ok(()) => break,
                Err(Error::Elsewhere { actual, .. }) if actual.get() == 2 => break,
                Err(error) => assert!(tried < 10, "no connection is made anew: {error}"),
            }
            tried += 1;
        }
        reader.checkpoint().wait_for(|position| position.get() >= 2).await.unwrap();
        // It is told of what comes at once again, not only when it looks by itself.
        held.release().await.unwrap();
        assert_eq!(shown(&direct, 1).await, 2);
    };
    tokio::select! {
        never = followed => match never {},
        done = tokio::time::timeout(Duration::from_secs(60), work) => done.unwrap(),
    }
}

#[tokio::test]
async fn a_schema_that_has_other_columns_for_the_last_event_is_gone_on_with() {
    let (url, database) = database_and_url().await;
    let before = live_writer(&database, Duration::ZERO).await;
    before.write(batch(0, 1, 1, 1, true)).await.unwrap();
    let sql = "ALTER TABLE view_generations DROP COLUMN last_read, DROP COLUMN follows, DROP COLUMN follows_writes,
                   ADD COLUMN last_stream text, ADD COLUMN last_revision bigint, ADD COLUMN last_id text,
                   ADD COLUMN last_position bigint;
               DELETE FROM schema_migrations WHERE number > 3";
    client(&url).await.batch_execute(sql).await.unwrap();
    migrate(&database).await.unwrap();
    let after = writer(&database, TTL).await.unwrap();
    assert_eq!(after.last_read(), None, "what does not know its log again goes on from its checkpoint");
    after.write(batch(1, 2, 1, 2, true)).await.unwrap();
    assert_eq!(shown(&database, 1).await, 2);
}

#[tokio::test]
async fn a_schema_of_a_newer_release_is_gone_on_with_unless_it_breaks_with_this_one() {
    let (url, database) = database_and_url().await;
    let newer = client(&url).await;
    newer.batch_execute("INSERT INTO schema_migrations (number) VALUES (998)").await.unwrap();
    migrate(&database).await.unwrap();
    newer.batch_execute("INSERT INTO schema_migrations (number, breaks) VALUES (999, true)").await.unwrap();
    assert!(matches!(migrate(&database).await, Err(SchemaError::Newer { found: 999, .. })));
}
