//! Kinds of streams that keep their last event only.

#![expect(missing_docs, reason = "the name of a case is its sentence")]

use super::world::{World, append, assert_events, assert_wrong, events, exact, from, revisions};
use crate::{
    store::{Direction, ExpectedRevision::NoStream},
    stream::Kind,
};

const LAST_ONLY: [Kind; 2] = [Kind::Key, Kind::JanitorCheckpoint];

pub async fn a_last_only_stream_keeps_the_last_event_of_several_appends(world: World) {
    for kind in LAST_ONLY {
        let stream = world.stream(kind);
        world.append(&stream, NoStream, 1).await;
        world.append(&stream, exact(0), 1).await;
        let (last, _) = world.append(&stream, exact(1), 1).await;
        assert_events(&world.read(&stream).await, &last);
    }
}

pub async fn a_last_only_stream_keeps_the_last_event_of_one_append(world: World) {
    for kind in LAST_ONLY {
        let (stream, given) = world.given(kind, 4).await;
        let recorded = world.read(&stream).await;
        assert_events(&recorded, &given[3..]);
        assert_eq!(revisions(&recorded), [3]);
    }
}

pub async fn revisions_of_a_last_only_stream_go_on(world: World) {
    for kind in LAST_ONLY {
        let (stream, _) = world.given(kind, 1).await;
        for revision in 0..10 {
            let (_, appended) = world.append(&stream, exact(revision), 1).await;
            assert_eq!(appended.revision.get(), revision + 1);
        }
        assert_eq!(revisions(&world.read(&stream).await), [10]);
    }
}

pub async fn a_last_only_stream_refuses_every_expectation_but_its_last_revision(world: World) {
    for kind in LAST_ONLY {
        let (stream, given) = world.given(kind, 3).await;
        for expected in [NoStream, exact(0), exact(1), exact(3)] {
            assert_wrong(world.send(&stream, expected, &events(&stream, expected, 1)).await, &stream, Some(2));
        }
        assert_events(&world.read(&stream).await, &given[2..]);
        world.append(&stream, exact(2), 1).await;
    }
}

pub async fn the_last_event_is_read_forwards_from_any_revision_up_to_its_own(world: World) {
    for kind in LAST_ONLY {
        let (stream, given) = world.given(kind, 3).await;
        for revision in [0, 1, 2] {
            let read = world.try_read(&stream, from(revision), 10).await.expect("it can be read");
            assert_events(&read, &given[2..]);
        }
        assert_eq!(world.try_read(&stream, from(3), 10).await.expect("it can be read"), []);
    }
}

pub async fn the_last_event_is_read_backwards(world: World) {
    for kind in LAST_ONLY {
        let (stream, given) = world.given(kind, 3).await;
        for max in [1, 2, usize::MAX] {
            let read = world.try_read(&stream, Direction::BackwardsFromEnd, max).await.expect("it can be read");
            assert_events(&read, &given[2..]);
        }
    }
}

pub async fn the_log_holds_the_last_event_of_a_last_only_stream_where_it_was_appended(world: World) {
    let stream = world.key();
    world.append(&stream, NoStream, 1).await;
    let (_, between) = world.given(Kind::Integration, 1).await;
    let (last, appended) = world.append(&stream, exact(0), 1).await;
    let recorded = world.read_all(&Kind::ALL, 100).await;
    assert_events(&recorded, &[between[0].clone(), last[0].clone()]);
    assert_eq!(recorded[1].position, appended.position);
}

pub async fn a_later_subscriber_sees_the_last_event_of_a_last_only_stream(world: World) {
    let (stream, _) = world.given(Kind::Key, 2).await;
    let (last, appended) = world.append(&stream, exact(1), 1).await;
    let mut follower = world.follow(&[Kind::Key]);
    assert_events(&follower.events_through(appended.position).await, &last);
}

pub async fn a_subscriber_sees_the_last_event_of_a_last_only_stream_as_it_comes(world: World) {
    let (stream, first) = world.given(Kind::Key, 1).await;
    let mut follower = world.follow(&[Kind::Key]);
    assert_events(&follower.events(1).await, &first);
    let (next, _) = world.append(&stream, exact(0), 1).await;
    assert_events(&follower.events(1).await, &next);
}

pub async fn a_last_only_stream_may_be_written_together_with_another(world: World) {
    let (key, _) = world.given(Kind::Key, 1).await;
    let stream = world.integration();
    let (wrapped, created) = (events(&key, exact(0), 1), events(&stream, NoStream, 1));
    let writes = vec![append(&key, exact(0), &wrapped), append(&stream, NoStream, &created)];
    world.write(writes).await.expect("both are as expected");
    assert_events(&world.read(&key).await, &wrapped);
    assert_events(&world.read(&stream).await, &created);
}

pub async fn a_refused_append_leaves_the_event_that_a_last_only_stream_keeps(world: World) {
    let (key, given) = world.given(Kind::Key, 2).await;
    let (taken, _) = world.given(Kind::Slug, 1).await;
    let write = |stream, expected| append(stream, expected, &events(stream, expected, 1));
    assert_wrong(world.write(vec![write(&taken, NoStream), write(&key, exact(1))]).await, &taken, Some(0));
    assert_events(&world.read(&key).await, &given[1..]);
}

pub async fn streams_of_other_kinds_keep_every_event(world: World) {
    for kind in Kind::ALL.into_iter().filter(|kind| !kind.keeps_last_only()) {
        let (stream, mut given) = world.given(kind, 2).await;
        given.extend(world.append(&stream, exact(1), 2).await.0);
        assert_events(&world.read(&stream).await, &given);
    }
}
