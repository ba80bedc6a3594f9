//! Appends whose outcome was not known, sent again.

#![expect(missing_docs, reason = "the name of a case is its sentence")]

use tokio::task::JoinSet;

use super::world::{World, append, assert_events, assert_tombstoned, assert_wrong, event, events, exact, revisions};
use crate::{
    store::{Appended, ExpectedRevision, ExpectedRevision::NoStream},
    stream::{Kind, StreamName},
};

/// Appends three events, as the stream's first.
async fn three(world: &World, kind: Kind) -> (StreamName, Vec<crate::envelope::NewEvent>, Appended) {
    let stream = world.stream(kind);
    let (events, appended) = world.append(&stream, NoStream, 3).await;
    (stream, events, appended)
}

pub async fn a_repeat_at_once_is_answered_as_the_first_was(world: World) {
    let stream = world.integration();
    let (first, appended) = world.append(&stream, NoStream, 1).await;
    assert_eq!(world.send(&stream, NoStream, &first).await.expect("a repeat"), appended);
    assert_events(&world.read(&stream).await, &first);
}

pub async fn a_repeat_behind_a_revision_is_answered_as_the_first_was(world: World) {
    let (stream, mut given, _) = three(&world, Kind::Integration).await;
    let (more, appended) = world.append(&stream, exact(2), 1).await;
    assert_eq!(world.send(&stream, exact(2), &more).await.expect("a repeat"), appended);
    given.extend(more);
    assert_events(&world.read(&stream).await, &given);
}

pub async fn a_repeat_is_known_after_more_events(world: World) {
    let (stream, mut given, appended) = three(&world, Kind::Slug).await;
    for revision in 2..22 {
        given.extend(world.append(&stream, exact(revision), 1).await.0);
    }
    assert_eq!(world.send(&stream, NoStream, &given[..3]).await.expect("a repeat"), appended);
    assert_events(&world.read(&stream).await, &given);
}

pub async fn a_repeat_of_several_events_is_answered_where_the_last_stands(world: World) {
    let (stream, given, appended) = three(&world, Kind::Integration).await;
    assert_eq!(world.send(&stream, NoStream, &given).await.expect("a repeat"), appended);
    assert_eq!(appended.revision.get(), 2);
    assert_events(&world.read(&stream).await, &given);
}

pub async fn a_repeat_of_a_part_is_answered_where_the_part_ends(world: World) {
    let (stream, given, _) = three(&world, Kind::Integration).await;
    let recorded = world.read(&stream).await;
    for (expected, part) in [(NoStream, 0..1), (NoStream, 0..2), (exact(0), 1..2), (exact(0), 1..3)] {
        let last = &recorded[part.end - 1];
        let answer = world.send(&stream, expected, &given[part]).await.expect("a repeat");
        assert_eq!(answer, Appended { revision: last.revision, position: last.position });
    }
    assert_events(&world.read(&stream).await, &given);
}

pub async fn a_repeat_moves_nothing_in_the_log(world: World) {
    let (stream, given, _) = three(&world, Kind::Integration).await;
    world.send(&stream, NoStream, &given).await.expect("a repeat");
    world.send(&stream, exact(0), &given[1..]).await.expect("a repeat");
    assert_events(&world.read_all(&[Kind::Integration], 100).await, &given);
}

pub async fn a_repeat_with_other_bytes_changes_none(world: World) {
    let stream = world.integration();
    let (given, appended) = world.append(&stream, NoStream, 1).await;
    let mut other = event(&stream, 0, r#"{"n":"other"}"#);
    other.id = given[0].id;
    assert_eq!(world.send(&stream, NoStream, &[other]).await.expect("the same id"), appended);
    assert_events(&world.read(&stream).await, &given);
}

/// Sends events that are no repeat, though some stand there.
async fn check_no_repeat(sent: [usize; 2], expected: ExpectedRevision, world: World) {
    let (stream, given, _) = three(&world, Kind::Integration).await;
    let fresh = events(&stream, exact(2), 1);
    let pool: Vec<_> = given.iter().chain(&fresh).cloned().collect();
    let sent = sent.map(|at| pool[at].clone());
    assert_wrong(world.send(&stream, expected, &sent).await, &stream, Some(2));
    assert_events(&world.read(&stream).await, &given);
}

pub async fn events_of_which_the_first_stands_and_the_next_is_new_are_no_repeat(world: World) {
    check_no_repeat([2, 3], exact(1), world).await;
}

pub async fn events_of_which_the_next_is_another_than_stands_are_no_repeat(world: World) {
    check_no_repeat([0, 3], NoStream, world).await;
}

pub async fn events_of_which_the_first_is_another_than_stands_are_no_repeat(world: World) {
    check_no_repeat([3, 1], NoStream, world).await;
}

pub async fn the_same_ids_in_another_order_are_no_repeat(world: World) {
    check_no_repeat([1, 0], NoStream, world).await;
}

pub async fn the_same_ids_with_one_left_out_are_no_repeat(world: World) {
    check_no_repeat([0, 2], NoStream, world).await;
}

pub async fn the_same_ids_under_an_earlier_expectation_are_no_repeat(world: World) {
    check_no_repeat([1, 2], NoStream, world).await;
}

pub async fn the_same_ids_under_a_later_expectation_are_no_repeat(world: World) {
    check_no_repeat([0, 1], exact(0), world).await;
}

pub async fn the_same_ids_beyond_the_end_are_no_repeat(world: World) {
    check_no_repeat([1, 2], exact(7), world).await;
}

pub async fn other_ids_with_the_same_bytes_are_no_repeat(world: World) {
    let stream = world.integration();
    let (given, _) = world.append(&stream, NoStream, 1).await;
    let mut other = given[0].clone();
    other.id = crate::envelope::new_event_id();
    assert_wrong(world.send(&stream, NoStream, &[other]).await, &stream, Some(0));
    assert_events(&world.read(&stream).await, &given);
}

pub async fn the_same_id_in_another_stream_is_another_event(world: World) {
    let (stream, given, _) = three(&world, Kind::Integration).await;
    let other = world.integration();
    world.send(&other, NoStream, &given[1..]).await.expect("it is empty");
    assert_events(&world.read(&other).await, &given[1..]);
    assert_events(&world.read(&stream).await, &given);
}

pub async fn a_repeat_of_several_streams_is_answered_as_the_first_was(world: World) {
    let streams = [Kind::Slug, Kind::Key, Kind::Integration].map(|kind| world.stream(kind));
    let write = |stream| append(stream, NoStream, &events(stream, NoStream, 2));
    let writes: Vec<_> = streams.iter().map(write).collect();
    let first = world.write(writes.clone()).await.expect("all are new");
    assert_eq!(world.write(writes.clone()).await.expect("a repeat"), first);
    world.append(&streams[2], exact(1), 1).await;
    assert_eq!(world.write(writes).await.expect("a repeat, later"), first);
    assert_eq!(revisions(&world.read(&streams[0]).await), [0, 1]);
    assert_eq!(revisions(&world.read(&streams[2]).await), [0, 1, 2]);
}

pub async fn a_repeat_of_some_streams_does_the_rest(world: World) {
    let streams = [Kind::Slug, Kind::Key, Kind::Integration].map(|kind| world.stream(kind));
    let write = |stream| append(stream, NoStream, &events(stream, NoStream, 1));
    let writes: Vec<_> = streams.iter().map(write).collect();
    let first = world.write(vec![writes[0].clone()]).await.expect("it is new");
    let all = world.write(writes).await.expect("the rest is new");
    assert_eq!(all[0], first[0], "what stood there stands there");
    for stream in &streams {
        assert_eq!(revisions(&world.read(stream).await), [0], "{stream}");
    }
}

pub async fn a_repeat_beside_a_write_that_is_refused_is_refused_with_it(world: World) {
    let (stream, given, _) = three(&world, Kind::Integration).await;
    let (taken, _) = world.given(Kind::Slug, 1).await;
    let writes = vec![append(&stream, NoStream, &given), append(&taken, NoStream, &events(&taken, NoStream, 1))];
    assert_wrong(world.write(writes).await, &taken, Some(0));
    assert_events(&world.read(&stream).await, &given);
}

pub async fn a_repeat_after_a_tombstone_is_refused(world: World) {
    let (stream, given, _) = three(&world, Kind::Integration).await;
    world.remove(&stream).await;
    assert_tombstoned(world.send(&stream, NoStream, &given).await, &stream);
    assert_tombstoned(world.send(&stream, exact(1), &given[2..]).await, &stream);
}

pub async fn repeats_at_the_same_time_are_all_answered_alike(world: World) {
    let stream = world.integration();
    let sent = events(&stream, NoStream, 2);
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let (world, stream, sent) = (world.clone(), stream.clone(), sent.clone());
        tasks.spawn(async move { world.send(&stream, NoStream, &sent).await.expect("the first or a repeat") });
    }
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_events(&world.read(&stream).await, &sent);
}

pub async fn a_repeat_of_the_event_that_a_last_only_stream_keeps_is_known(world: World) {
    for kind in [Kind::Key, Kind::JanitorCheckpoint] {
        let stream = world.stream(kind);
        let (first, appended) = world.append(&stream, NoStream, 1).await;
        assert_eq!(world.send(&stream, NoStream, &first).await.expect("a repeat"), appended);
        let (next, appended) = world.append(&stream, exact(0), 1).await;
        assert_eq!(world.send(&stream, exact(0), &next).await.expect("a repeat"), appended);
        assert_events(&world.read(&stream).await, &next);
    }
}

pub async fn a_repeat_of_several_events_is_known_while_a_last_only_stream_keeps_the_last(world: World) {
    let (stream, given, appended) = three(&world, Kind::Key).await;
    assert_eq!(world.send(&stream, NoStream, &given).await.expect("a repeat"), appended);
    assert_events(&world.read(&stream).await, &given[2..]);
}

pub async fn an_event_that_a_last_only_stream_has_forgotten_is_no_repeat(world: World) {
    let (stream, given, _) = three(&world, Kind::Key).await;
    assert_wrong(world.send(&stream, NoStream, &given[..1]).await, &stream, Some(2));
    assert_wrong(world.send(&stream, exact(0), &given[1..2]).await, &stream, Some(2));
    assert_events(&world.read(&stream).await, &given[2..]);
}

pub async fn the_last_event_of_a_last_only_stream_with_a_new_one_is_no_repeat(world: World) {
    let (stream, given, _) = three(&world, Kind::Key).await;
    let overlapping = [given[2].clone(), event(&stream, 3, "{}")];
    assert_wrong(world.send(&stream, exact(1), &overlapping).await, &stream, Some(2));
    assert_events(&world.read(&stream).await, &given[2..]);
}
