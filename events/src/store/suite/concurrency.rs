//! Many at once.

#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::{collections::BTreeSet, future::poll_fn, task::Poll};

use tokio::task::JoinSet;

use super::world::{
    World, append, assert_events, assert_rising, assert_tombstoned, assert_wrong, events, exact, from, revisions,
    tombstone,
};
use crate::{
    envelope::NewEvent,
    store::{Appended, Error, ExpectedRevision, ExpectedRevision::NoStream},
    stream::{Kind, StreamName},
};

/// Sends an append of another event 64 times at once: what each sent, and how it was answered.
async fn race(
    world: &World,
    stream: &StreamName,
    expected: ExpectedRevision,
) -> Vec<(Vec<NewEvent>, Result<Appended, Error>)> {
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let (world, stream) = (world.clone(), stream.clone());
        tasks.spawn(async move {
            let sent = events(&stream, expected, 1);
            let result = world.send(&stream, expected, &sent).await;
            (sent, result)
        });
    }
    tasks.join_all().await
}

async fn check_race(world: World, n_given: u64) {
    let stream = world.integration();
    let (mut expected, mut kept) = (NoStream, Vec::new());
    if n_given > 0 {
        kept = world.append(&stream, NoStream, n_given).await.0;
        expected = exact(n_given - 1);
    }
    let mut n_won = 0;
    for (sent, result) in race(&world, &stream, expected).await {
        if result.is_ok() {
            n_won += 1;
            kept.extend(sent);
        } else {
            assert_wrong(result, &stream, Some(n_given));
        }
    }
    assert_eq!(n_won, 1, "exactly one wins");
    assert_events(&world.read(&stream).await, &kept);
}

pub async fn of_many_appends_that_expect_no_stream_exactly_one_wins(world: World) {
    check_race(world, 0).await;
}

pub async fn of_many_appends_that_expect_the_same_revision_exactly_one_wins(world: World) {
    check_race(world, 3).await;
}

pub async fn of_many_appends_of_several_streams_that_share_one_exactly_one_wins(world: World) {
    let slug = world.stream(Kind::Slug);
    let mut tasks = JoinSet::new();
    for _ in 0..32 {
        let (world, slug, own) = (world.clone(), slug.clone(), world.integration());
        tasks.spawn(async move {
            let write = |stream| append(stream, NoStream, &events(stream, NoStream, 1));
            let won = world.write(vec![write(&slug), write(&own)]).await.is_ok();
            assert_eq!(world.read(&own).await.len(), usize::from(won), "a loser leaves nothing behind");
            won
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|won| *won).count(), 1);
    assert_eq!(revisions(&world.read(&slug).await), [0]);
}

pub async fn appends_to_many_streams_at_once_are_all_there(world: World) {
    let mut tasks = JoinSet::new();
    for _ in 0..32 {
        let world = world.clone();
        tasks.spawn(async move {
            let (stream, mut written) = world.given(Kind::Integration, 1).await;
            for round in 0..5 {
                written.extend(world.append(&stream, exact(2 * round), 2).await.0);
            }
            (stream, written)
        });
    }
    let log = world.read_all(&[Kind::Integration], 7);
    assert_rising(&log.await);
    for (stream, written) in tasks.join_all().await {
        let recorded = world.read(&stream).await;
        assert_events(&recorded, &written);
        assert_eq!(revisions(&recorded), (0..11).collect::<Vec<_>>());
    }
    assert_eq!(world.read_all(&[Kind::Integration], 100).await.len(), 32 * 11);
}

pub async fn positions_of_appends_at_once_are_each_given_once(world: World) {
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        let world = world.clone();
        tasks.spawn(async move { world.append(&world.integration(), NoStream, 1).await.1.position });
    }
    let positions: BTreeSet<_> = tasks.join_all().await.into_iter().collect();
    assert_eq!(positions.len(), 100);
    let recorded: BTreeSet<_> = world.read_all(&Kind::ALL, 1_000).await.iter().map(|event| event.position).collect();
    assert_eq!(recorded, positions);
}

pub async fn contenders_that_read_and_try_again_all_get_through(world: World) {
    const CONTENDERS: u64 = 8;
    const EACH: u64 = 5;
    let (stream, _) = world.given(Kind::Integration, 1).await;
    let mut tasks = JoinSet::new();
    for _ in 0..CONTENDERS {
        let (world, stream) = (world.clone(), stream.clone());
        tasks.spawn(async move {
            let mut n_done = 0;
            while n_done < EACH {
                let last = world.read(&stream).await.pop().expect("there are events").revision;
                let expected = ExpectedRevision::Exact(last);
                match world.send(&stream, expected, &events(&stream, expected, 1)).await {
                    Ok(_) => n_done += 1,
                    Err(error) => assert!(matches!(error, Error::WrongExpectedRevision { .. }), "{error:?}"),
                }
            }
        });
    }
    tasks.join_all().await;
    let recorded = world.read(&stream).await;
    assert_rising(&recorded);
    assert_eq!(revisions(&recorded), (0..=CONTENDERS * EACH).collect::<Vec<_>>());
}

pub async fn an_append_whose_caller_goes_away_is_done_whole_or_not_at_all(world: World) {
    for _ in 0..20 {
        let streams = [world.integration(), world.stream(Kind::Slug)];
        let write = |stream| append(stream, NoStream, &events(stream, NoStream, 3));
        let writes: Vec<_> = streams.iter().map(write).collect();
        let mut abandoned = Box::pin(world.write(writes.clone()));
        poll_fn(|context| {
            let _ = abandoned.as_mut().poll(context);
            Poll::Ready(())
        })
        .await;
        drop(abandoned);
        world.write(writes).await.expect("the first or a repeat");
        for stream in &streams {
            assert_eq!(revisions(&world.read(stream).await), [0, 1, 2]);
        }
    }
}

pub async fn who_reads_a_stream_while_it_grows_sees_how_it_began(world: World) {
    let (stream, given) = world.given(Kind::Integration, 1).await;
    let mut reader = JoinSet::new();
    let (reading, of) = (world.clone(), stream.clone());
    reader.spawn(async move {
        let mut n_seen = 0;
        while n_seen < 150 {
            let recorded = reading.read(&of).await;
            assert!(recorded.len() >= n_seen, "it never becomes shorter");
            n_seen = recorded.len();
            assert_eq!(revisions(&recorded), (0..n_seen as u64).collect::<Vec<_>>());
        }
    });
    for revision in 0..50 {
        world.append(&stream, exact(3 * revision), 3).await;
    }
    reader.join_all().await;
    assert_eq!(world.read(&stream).await.len(), given.len() + 150);
}

pub async fn a_last_only_stream_is_never_seen_empty_while_it_is_written(world: World) {
    const N: u64 = 200;
    let (stream, _) = world.given(Kind::Key, 1).await;
    let mut readers = JoinSet::new();
    for _ in 0..2 {
        let (world, stream) = (world.clone(), stream.clone());
        readers.spawn(async move {
            let mut seen = 0;
            while seen < N {
                let recorded = world.read(&stream).await;
                assert_eq!(recorded.len(), 1, "what was before or what is after");
                assert!(recorded[0].revision.get() >= seen, "it never goes back");
                seen = recorded[0].revision.get();
            }
        });
    }
    for revision in 0..N {
        world.append(&stream, exact(revision), 1).await;
    }
    readers.join_all().await;
}

pub async fn a_stream_that_is_being_tombstoned_is_seen_whole_or_tombstoned(world: World) {
    for _ in 0..30 {
        let (stream, given) = world.given(Kind::Key, 1).await;
        let mut readers = JoinSet::new();
        let (reading, of) = (world.clone(), stream.clone());
        readers.spawn(async move {
            loop {
                let read = reading.try_read(&of, from(0), 10).await;
                if read.is_err() {
                    assert_tombstoned(read, &of);
                    return;
                }
                assert_events(&read.expect("it is no error"), &given);
            }
        });
        tokio::task::yield_now().await;
        world.remove(&stream).await;
        readers.join_all().await;
    }
}

pub async fn nothing_gets_into_a_stream_once_it_is_tombstoned(world: World) {
    for _ in 0..10 {
        let (stream, _) = world.given(Kind::Key, 1).await;
        let mut tasks = JoinSet::new();
        for at in 0..16 {
            let (world, stream) = (world.clone(), stream.clone());
            tasks.spawn(async move {
                if at == 7 {
                    return world.write(vec![tombstone(&stream)]).await.map(|_| ());
                }
                world.send(&stream, exact(0), &events(&stream, exact(0), 1)).await.map(|_| ())
            });
        }
        let n_done = tasks.join_all().await.iter().filter(|result| result.is_ok()).count();
        assert!((1..=2).contains(&n_done), "the tombstone, and at most one append before it");
        assert_tombstoned(world.try_read(&stream, from(0), 10).await, &stream);
    }
}
