//! Following the log.

#![expect(missing_docs, reason = "the name of a case is its sentence")]

use tokio::task::JoinSet;

use super::world::{World, assert_events, assert_rising, contents, exact, revisions};
use crate::{
    envelope::RecordedEvent,
    ids::Position,
    store::{ExpectedRevision::NoStream, Message},
    stream::{Kind, StreamName},
};

const INTEGRATIONS: [Kind; 1] = [Kind::Integration];

pub async fn a_subscription_delivers_what_is_there_then_says_so_then_what_comes(world: World) {
    let (stream, given) = world.given(Kind::Integration, 3).await;
    let mut follower = world.follow(&INTEGRATIONS);
    assert_events(&follower.caught_up().await, &given);
    let (more, _) = world.append(&stream, exact(2), 2).await;
    assert_events(&follower.events(2).await, &more);
}

pub async fn a_subscription_after_the_head_has_caught_up_at_once(world: World) {
    let (stream, _) = world.given(Kind::Integration, 3).await;
    let head = world.read(&stream).await[2].position;
    let mut follower = world.follow_after(head, &INTEGRATIONS);
    assert_eq!(follower.caught_up().await, []);
    let (more, _) = world.append(&stream, exact(2), 1).await;
    assert_events(&follower.events(1).await, &more);
}

pub async fn a_subscription_says_once_that_it_has_caught_up(world: World) {
    let (stream, _) = world.given(Kind::Integration, 1).await;
    let mut follower = world.follow(&INTEGRATIONS);
    follower.caught_up().await;
    // The follower fails when it is told a second time.
    for revision in 0..10 {
        world.append(&stream, exact(revision), 1).await;
        follower.events(1).await;
        follower.glance().await;
    }
}

pub async fn live_events_come_in_the_order_of_the_appends(world: World) {
    let streams = [world.integration(), world.integration()];
    let mut follower = world.follow(&INTEGRATIONS);
    follower.caught_up().await;
    let mut given = Vec::new();
    for round in 0..10 {
        let expected = if round == 0 { NoStream } else { exact(2 * round - 1) };
        for stream in &streams {
            given.extend(world.append(stream, expected, 2).await.0);
        }
    }
    assert_events(&follower.events(40).await, &given);
}

pub async fn a_subscription_begins_after_its_position(world: World) {
    let (stream, given) = world.given(Kind::Integration, 4).await;
    for (at, event) in world.read(&stream).await.iter().enumerate() {
        let mut follower = world.follow_after(event.position, &INTEGRATIONS);
        assert_eq!(contents(&follower.caught_up().await), given[at + 1..]);
    }
}

pub async fn a_subscription_that_resumes_where_another_ended_misses_and_repeats_nothing(world: World) {
    let (_, given) = world.given(Kind::Integration, 10).await;
    world.given(Kind::Slug, 3).await;
    let (_, more) = world.given(Kind::Integration, 10).await;
    let (mut seen, mut position): (Vec<RecordedEvent>, Position) = (Vec::new(), world.start);
    while seen.len() < 20 {
        let mut follower = world.follow_after(position, &INTEGRATIONS);
        if let Message::Events(events) = follower.next().await {
            // Takes one of them, and ends.
            position = events[0].position;
            seen.extend(events.into_iter().take(1).filter(|event| world.is_mine(event)));
        } else {
            position = follower.told();
        }
    }
    assert_events(&seen, &[given, more].concat());
}

pub async fn a_subscription_delivers_the_kinds_asked_for_only(world: World) {
    let (_, given) = world.given(Kind::Integration, 2).await;
    world.given(Kind::Slug, 2).await;
    let (_, icon) = world.given(Kind::Icon, 1).await;
    let (_, more) = world.given(Kind::Integration, 1).await;
    let mut follower = world.follow(&[Kind::Integration, Kind::Icon]);
    assert_events(&follower.caught_up().await, &[given, icon, more].concat());
}

pub async fn a_checkpoint_passes_events_of_no_interest_that_were_there(world: World) {
    world.given(Kind::Integration, 1).await;
    let (stream, _) = world.given(Kind::Slug, 3).await;
    let last = world.read(&stream).await[2].position;
    let mut follower = world.follow(&INTEGRATIONS);
    follower.events_through(last).await;
    assert!(follower.told() >= last);
}

pub async fn a_checkpoint_passes_events_of_no_interest_as_they_come(world: World) {
    let stream = world.stream(Kind::Slug);
    let mut follower = world.follow(&INTEGRATIONS);
    follower.caught_up().await;
    for round in 0..3 {
        let expected = if round == 0 { NoStream } else { exact(round - 1) };
        let (_, appended) = world.append(&stream, expected, 1).await;
        assert_eq!(follower.events_through(appended.position).await, []);
    }
}

pub async fn a_subscription_to_no_kinds_tells_checkpoints(world: World) {
    let mut follower = world.follow(&[]);
    let (_, appended) = world.append(&world.integration(), NoStream, 3).await;
    assert_eq!(follower.events_through(appended.position).await, []);
}

pub async fn a_checkpoint_is_where_another_subscription_may_resume(world: World) {
    let (_, passed) = world.append(&world.stream(Kind::Slug), NoStream, 3).await;
    let mut follower = world.follow(&INTEGRATIONS);
    follower.events_through(passed.position).await;
    let (_, given) = world.given(Kind::Integration, 2).await;
    let mut resumed = world.follow_after(follower.told(), &INTEGRATIONS);
    assert_events(&resumed.events(2).await, &given);
}

pub async fn two_subscriptions_see_the_same(world: World) {
    let (stream, given) = world.given(Kind::Integration, 3).await;
    let (mut one, mut other) = (world.follow(&INTEGRATIONS), world.follow(&INTEGRATIONS));
    assert_events(&one.events(3).await, &given);
    let (more, _) = world.append(&stream, exact(2), 3).await;
    assert_events(&one.events(3).await, &more);
    assert_events(&other.events(6).await, &[given, more].concat());
}

pub async fn a_dropped_subscription_leaves_the_others_as_they_were(world: World) {
    let (stream, _) = world.given(Kind::Integration, 1).await;
    let (mut one, mut other) = (world.follow(&INTEGRATIONS), world.follow(&INTEGRATIONS));
    one.caught_up().await;
    other.caught_up().await;
    drop(one);
    let (more, _) = world.append(&stream, exact(0), 1).await;
    assert_events(&other.events(1).await, &more);
}

pub async fn dropping_the_future_of_the_next_message_loses_nothing(world: World) {
    let (stream, mut given) = world.given(Kind::Integration, 5).await;
    let mut follower = world.follow(&INTEGRATIONS);
    let mut seen = Vec::new();
    for revision in 4..54 {
        seen.extend(follower.glance().await);
        given.extend(world.append(&stream, exact(revision), 1).await.0);
        seen.extend(follower.glance().await);
    }
    seen.extend(follower.events(given.len() - seen.len()).await);
    assert_events(&seen, &given);
}

/// Appends so many single events, and answers them.
async fn write_alone(world: World, stream: StreamName, n: u64) -> Vec<crate::envelope::NewEvent> {
    let (mut written, _) = world.append(&stream, NoStream, 1).await;
    for revision in 0..n - 1 {
        written.extend(world.append(&stream, exact(revision), 1).await.0);
    }
    written
}

pub async fn nothing_is_lost_or_doubled_while_many_write(world: World) {
    const WRITERS: usize = 8;
    const EACH: u64 = 40;
    let mut follower = world.follow(&INTEGRATIONS);
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let stream = world.integration();
        let (world, of) = (world.clone(), stream.clone());
        writers.spawn(async move { (stream, write_alone(world, of, EACH).await) });
    }
    let seen = follower.events(WRITERS * usize::try_from(EACH).expect("small")).await;
    assert_rising(&seen);
    for (stream, written) in writers.join_all().await {
        let of_stream: Vec<_> = seen.iter().filter(|event| event.stream == stream).cloned().collect();
        assert_events(&of_stream, &written);
    }
    assert_eq!(seen, world.read_all(&INTEGRATIONS, 1_000).await, "the same order as in the log");
}

pub async fn subscriptions_that_begin_while_others_write_miss_nothing(world: World) {
    let stream = world.integration();
    let mut writers = JoinSet::new();
    writers.spawn(write_alone(world.clone(), stream.clone(), 100));
    let mut readers = JoinSet::new();
    for _ in 0..20 {
        let world = world.clone();
        readers.spawn(async move { world.follow(&INTEGRATIONS).events(100).await });
        tokio::task::yield_now().await;
    }
    let written = writers.join_all().await.remove(0);
    for seen in readers.join_all().await {
        assert_events(&seen, &written);
    }
}

pub async fn a_subscription_far_behind_catches_up(world: World) {
    let (stream, given) = world.given(Kind::Integration, 2_500).await;
    let (_, slugs) = (stream, world.given(Kind::Slug, 1_500).await);
    let mut follower = world.follow(&INTEGRATIONS);
    assert_events(&follower.caught_up().await, &given);
    let last = world.read(&slugs.0).await.pop().expect("there are events").position;
    assert_eq!(follower.events_through(last).await, []);
}

pub async fn a_subscription_delivers_what_reading_answers(world: World) {
    let (stream, _) = world.given(Kind::Integration, 5).await;
    let seen = world.follow(&INTEGRATIONS).caught_up().await;
    assert_eq!(seen, world.read(&stream).await);
    assert_eq!(revisions(&seen), [0, 1, 2, 3, 4]);
}
