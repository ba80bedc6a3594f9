//! Streams that were removed for good.

#![expect(missing_docs, reason = "the name of a case is its sentence")]

use super::world::{
    World, append, assert_events, assert_tombstoned, assert_wrong, events, exact, from, revisions, tombstone,
};
use crate::{
    store::{Direction, ExpectedRevision, ExpectedRevision::NoStream},
    stream::Kind,
};

pub async fn a_tombstone_removes_streams_of_every_kind(world: World) {
    for kind in Kind::ALL {
        let (stream, _) = world.given(kind, 3).await;
        world.remove(&stream).await;
        assert_tombstoned(world.try_read(&stream, from(0), 10).await, &stream);
    }
}

pub async fn a_tombstoned_stream_is_told_from_one_that_never_was_however_it_is_read(world: World) {
    let (stream, _) = world.given(Kind::Integration, 3).await;
    world.remove(&stream).await;
    for direction in [from(0), from(2), from(3), from(100), Direction::BackwardsFromEnd] {
        for max in [1, 10, usize::MAX] {
            assert_tombstoned(world.try_read(&stream, direction, max).await, &stream);
        }
    }
}

pub async fn a_stream_that_never_was_can_be_tombstoned(world: World) {
    let stream = world.key();
    world.remove(&stream).await;
    assert_tombstoned(world.try_read(&stream, from(0), 10).await, &stream);
    assert_tombstoned(world.send(&stream, NoStream, &events(&stream, NoStream, 1)).await, &stream);
}

pub async fn a_second_tombstone_is_answered_as_the_first_was(world: World) {
    let (given, absent) = (world.given(Kind::Key, 2).await.0, world.key());
    for stream in [given, absent] {
        let first = world.remove(&stream).await;
        world.given(Kind::Integration, 1).await;
        assert_eq!(world.remove(&stream).await, first);
    }
}

pub async fn a_tombstone_stands_behind_everything_before_it(world: World) {
    let stream = world.integration();
    let (_, last) = world.append(&stream, NoStream, 3).await;
    let removed = world.remove(&stream).await;
    assert!(removed.position > last.position);
    assert!(removed.revision > last.revision);
    let (_, next) = world.append(&world.integration(), NoStream, 1).await;
    assert!(next.position > removed.position);
}

pub async fn a_tombstoned_stream_takes_no_append_whatever_it_expects(world: World) {
    let (stream, _) = world.given(Kind::Integration, 3).await;
    world.remove(&stream).await;
    let expectations: [ExpectedRevision; 6] = [NoStream, exact(0), exact(2), exact(3), exact(4), exact(100)];
    for expected in expectations {
        assert_tombstoned(world.send(&stream, expected, &events(&stream, expected, 1)).await, &stream);
    }
    assert_tombstoned(world.try_read(&stream, from(0), 10).await, &stream);
}

pub async fn the_events_of_a_tombstoned_stream_are_gone_from_the_log(world: World) {
    let (before, kept) = world.given(Kind::Integration, 2).await;
    let (removed, _) = world.given(Kind::Icon, 2).await;
    let (_, kept_after) = world.given(Kind::Integration, 2).await;
    world.remove(&removed).await;
    let kept: Vec<_> = kept.into_iter().chain(kept_after).collect();
    assert_events(&world.read_all(&Kind::ALL, 2).await, &kept);
    assert_eq!(revisions(&world.read(&before).await), [0, 1]);
}

pub async fn a_tombstone_changes_no_position_of_the_rest(world: World) {
    let (first, _) = world.given(Kind::Integration, 2).await;
    let (removed, _) = world.given(Kind::Key, 1).await;
    let (last, _) = world.given(Kind::Integration, 2).await;
    let before = (world.read(&first).await, world.read(&last).await);
    world.remove(&removed).await;
    assert_eq!((world.read(&first).await, world.read(&last).await), before);
}

pub async fn a_later_subscriber_sees_nothing_of_a_tombstoned_stream(world: World) {
    let (removed, _) = world.given(Kind::Icon, 2).await;
    let (_, kept) = world.given(Kind::Integration, 1).await;
    let at = world.remove(&removed).await.position;
    let mut follower = world.follow(&Kind::ALL);
    assert_events(&follower.events_through(at).await, &kept);
}

pub async fn a_subscriber_passes_a_tombstone_by_a_checkpoint(world: World) {
    let (stream, given) = world.given(Kind::Integration, 1).await;
    let mut follower = world.follow(&Kind::ALL);
    assert_events(&follower.events(1).await, &given);
    let at = world.remove(&stream).await.position;
    assert_events(&follower.events_through(at).await, &[]);
    let (_, next) = world.given(Kind::Integration, 1).await;
    assert_events(&follower.events(1).await, &next);
}

pub async fn a_tombstone_and_an_append_may_be_one_append(world: World) {
    let (key, _) = world.given(Kind::Key, 1).await;
    let (stream, mut given) = world.given(Kind::Integration, 1).await;
    let deleted = events(&stream, exact(0), 1);
    let writes = vec![append(&stream, exact(0), &deleted), tombstone(&key)];
    let answers = world.write(writes.clone()).await.expect("both can be done");
    given.extend(deleted);
    assert_events(&world.read(&stream).await, &given);
    assert_tombstoned(world.try_read(&key, from(0), 10).await, &key);
    assert_eq!(world.write(writes).await.expect("a repeat"), answers);
}

pub async fn a_tombstone_behind_a_write_that_is_refused_is_not_done(world: World) {
    let (key, wrapped) = world.given(Kind::Key, 1).await;
    let (stream, _) = world.given(Kind::Integration, 2).await;
    let late = append(&stream, exact(0), &events(&stream, exact(0), 1));
    assert_wrong(world.write(vec![late, tombstone(&key)]).await, &stream, Some(1));
    assert_events(&world.read(&key).await, &wrapped);
}

pub async fn a_tombstone_before_a_write_that_is_refused_is_not_done_where_the_store_is_atomic(world: World) {
    let (key, wrapped) = world.given(Kind::Key, 1).await;
    let (stream, _) = world.given(Kind::Integration, 2).await;
    let late = append(&stream, exact(0), &events(&stream, exact(0), 1));
    assert_wrong(world.write(vec![tombstone(&key), late]).await, &stream, Some(1));
    if world.store.is_atomic() {
        assert_events(&world.read(&key).await, &wrapped);
    } else {
        assert_tombstoned(world.try_read(&key, from(0), 10).await, &key);
    }
}

pub async fn several_streams_may_be_tombstoned_by_one_append(world: World) {
    let given = world.given(Kind::Icon, 1).await.0;
    let removed = world.given(Kind::Icon, 1).await.0;
    let already = world.remove(&removed).await;
    let streams = [given, world.key(), removed];
    let answers = world.write(streams.iter().map(tombstone).collect()).await.expect("tombstones succeed");
    assert_eq!(answers[2], already);
    for stream in &streams {
        assert_tombstoned(world.try_read(stream, from(0), 10).await, stream);
    }
}
