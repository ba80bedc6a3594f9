//! The head: what is durable, told as it moves; and the store's health.

#![expect(missing_docs, reason = "the name of a case is its sentence")]

use tokio::task::JoinSet;

use super::world::{World, append, events, exact, last_position};
use crate::{
    ids::Position,
    store::{Direction, ExpectedRevision::NoStream, Health},
    stream::{Kind, StreamName},
};

pub async fn the_head_is_at_an_append_when_it_is_answered(world: World) {
    let head = world.store.head();
    let stream = world.integration();
    for (expected, n) in [(NoStream, 1), (exact(0), 5), (exact(5), 1)] {
        let (_, appended) = world.append(&stream, expected, n).await;
        assert!(*head.borrow() >= appended.position);
    }
}

pub async fn the_head_is_at_the_last_of_several_writes(world: World) {
    let streams = [world.stream(Kind::Slug), world.integration()];
    let write = |stream| append(stream, NoStream, &events(stream, NoStream, 2));
    let appended = world.write(streams.iter().map(write).collect()).await.expect("both are new");
    assert!(*world.store.head().borrow() >= appended[1].position);
}

pub async fn the_head_moves_on_a_tombstone(world: World) {
    let (stream, _) = world.given(Kind::Key, 1).await;
    let removed = world.remove(&stream).await;
    assert!(*world.store.head().borrow() >= removed.position);
}

pub async fn the_head_is_no_further_than_the_log(world: World) {
    world.given(Kind::Integration, 3).await;
    let head = *world.store.head().borrow();
    let mut after = world.start;
    while after < head {
        let page = world.store.read_all(after, &Kind::ALL, 100).await.expect("the log can be read");
        assert!(!page.is_last || page.through >= head, "the log ends at {}, the head is {head}", page.through);
        after = page.through;
    }
}

pub async fn who_waits_for_the_head_is_woken_by_an_append(world: World) {
    let mut head = world.store.head();
    let mut waiting = JoinSet::new();
    let before = *head.borrow_and_update();
    waiting.spawn(async move { *head.wait_for(|head| *head > before).await.expect("the store is there") });
    tokio::task::yield_now().await;
    world.given(Kind::Integration, 1).await;
    assert!(waiting.join_all().await[0] > before);
}

/// What the head was, and how many events of the stream could be read then.
async fn observe(world: World, stream: StreamName, n: usize) -> Vec<(Position, usize)> {
    let mut head = world.store.head();
    let mut observed = Vec::new();
    loop {
        let at = *head.borrow_and_update();
        let read = world.try_read(&stream, Direction::BackwardsFromEnd, 1).await.expect("it can be read");
        let n_read = read.first().map_or(0, |event| usize::try_from(event.revision.get()).expect("small") + 1);
        observed.push((at, n_read));
        if n_read == n {
            return observed;
        }
        head.changed().await.expect("the store is there");
    }
}

pub async fn everything_up_to_the_head_can_be_read_whenever_it_is_asked(world: World) {
    const N: u64 = 100;
    let stream = world.integration();
    let mut observers = JoinSet::new();
    for _ in 0..4 {
        observers.spawn(observe(world.clone(), stream.clone(), usize::try_from(N).expect("small")));
    }
    world.append(&stream, NoStream, 1).await;
    for revision in 0..N - 1 {
        world.append(&stream, exact(revision), 1).await;
    }
    let positions: Vec<_> = world.read(&stream).await.iter().map(|event| event.position).collect();
    for (head, n_read) in observers.join_all().await.concat() {
        let n_durable = positions.iter().filter(|position| **position <= head).count();
        assert!(n_read >= n_durable, "the head was {head}: {n_durable} events, and {n_read} could be read");
    }
}

pub async fn what_can_be_read_of_the_log_is_no_further_than_its_head(world: World) {
    let (stream, _) = world.given(Kind::Integration, 3).await;
    let last = last_position(&world.read(&stream).await);
    assert!(*world.store.head().borrow() >= last);
}

pub async fn a_store_that_took_an_append_is_well(world: World) {
    world.given(Kind::Integration, 1).await;
    assert_eq!(*world.store.health().borrow(), Health::Ready);
}

pub async fn a_store_that_refused_an_append_is_well(world: World) {
    let (stream, _) = world.given(Kind::Integration, 1).await;
    world.send(&stream, exact(7), &events(&stream, exact(7), 1)).await.expect_err("it is at 0");
    assert_eq!(*world.store.health().borrow(), Health::Ready);
}
