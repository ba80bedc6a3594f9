//! Reading the whole log.

#![expect(missing_docs, reason = "the name of a case is its sentence")]

use super::world::{World, append, assert_events, assert_rising, contents, events, exact, last_position};
use crate::{envelope::NewEvent, store::ExpectedRevision::NoStream, stream::Kind};

/// Three integrations and, between them, a slug and an icon; the events in the order of their appends.
async fn mixed(world: &World) -> Vec<(Kind, NewEvent)> {
    let mut all = Vec::new();
    for kind in [Kind::Integration, Kind::Slug, Kind::Integration, Kind::Icon, Kind::Integration] {
        let (_, given) = world.given(kind, 2).await;
        all.extend(given.into_iter().map(|event| (kind, event)));
    }
    all
}

fn of_kinds(all: &[(Kind, NewEvent)], kinds: &[Kind]) -> Vec<NewEvent> {
    all.iter().filter(|(kind, _)| kinds.contains(kind)).map(|(_, event)| event.clone()).collect()
}

pub async fn the_log_is_read_in_the_order_of_the_appends(world: World) {
    let (first, second) = (world.integration(), world.integration());
    let mut given = world.append(&first, NoStream, 2).await.0;
    given.extend(world.append(&second, NoStream, 1).await.0);
    given.extend(world.append(&first, exact(1), 1).await.0);
    given.extend(world.append(&second, exact(0), 2).await.0);
    assert_events(&world.read_all(&[Kind::Integration], 100).await, &given);
}

pub async fn the_log_is_read_by_pages_of_any_size(world: World) {
    let all = mixed(&world).await;
    for page in [1, 2, 3, 7, 1_000, usize::MAX] {
        assert_events(&world.read_all(&Kind::ALL, page).await, &of_kinds(&all, &Kind::ALL));
    }
}

pub async fn only_the_kinds_asked_for_are_answered(world: World) {
    let all = mixed(&world).await;
    let choices: [&[Kind]; 5] =
        [&[Kind::Integration], &[Kind::Slug], &[Kind::Icon, Kind::Slug], &[Kind::Key], &Kind::ALL];
    for kinds in choices {
        for page in [2, 1_000] {
            assert_events(&world.read_all(kinds, page).await, &of_kinds(&all, kinds));
        }
    }
}

pub async fn a_page_goes_on_over_events_of_no_interest(world: World) {
    let (stream, _) = world.given(Kind::Slug, 10).await;
    let last = last_position(&world.read(&stream).await);
    let (mut after, mut n_pages) = (world.start, 0);
    while after < last {
        let page = world.store.read_all(after, &[Kind::JanitorCheckpoint], 4).await.expect("the log can be read");
        assert!(!page.events.iter().any(|event| world.is_mine(event)));
        assert!(page.through > after, "it goes on");
        (after, n_pages) = (page.through, n_pages + 1);
    }
    assert!(n_pages >= 3, "each page looks at 4 events at most");
}

pub async fn no_kinds_answer_no_events_and_go_on(world: World) {
    let (stream, _) = world.given(Kind::Integration, 3).await;
    let last = last_position(&world.read(&stream).await);
    let mut after = world.start;
    while after < last {
        let page = world.store.read_all(after, &[], 1_000).await.expect("the log can be read");
        assert_eq!(page.events, []);
        after = page.through;
    }
}

pub async fn a_page_has_no_more_events_than_were_asked_for(world: World) {
    let (stream, _) = world.given(Kind::Integration, 20).await;
    let last = last_position(&world.read(&stream).await);
    for max in [1, 2, 7, 20] {
        let (mut after, mut n_own) = (world.start, 0);
        while after < last {
            let page = world.store.read_all(after, &[Kind::Integration], max).await.expect("the log can be read");
            assert!(page.events.len() <= max, "{} of {max}", page.events.len());
            assert!(page.events.last().is_none_or(|event| page.through >= event.position));
            n_own += page.events.iter().filter(|event| world.is_mine(event)).count();
            after = page.through;
        }
        assert_eq!(n_own, 20, "by pages of {max}");
    }
}

pub async fn a_page_begins_after_the_position_that_it_is_asked_for(world: World) {
    let (stream, given) = world.given(Kind::Integration, 5).await;
    for (at, event) in world.read(&stream).await.iter().enumerate() {
        let page = world.store.read_all(event.position, &[Kind::Integration], 1_000).await.expect("it can be read");
        let own: Vec<_> = page.events.into_iter().filter(|event| world.is_mine(event)).collect();
        assert_eq!(contents(&own), given[at + 1..]);
    }
}

pub async fn the_last_page_says_so_and_the_next_begins_behind_it(world: World) {
    world.given(Kind::Integration, 3).await;
    let mut after = world.start;
    let last = loop {
        let page = world.store.read_all(after, &Kind::ALL, 2).await.expect("the log can be read");
        after = page.through;
        if page.is_last {
            break page.through;
        }
    };
    let (_, more) = world.given(Kind::Integration, 2).await;
    let page = world.store.read_all(last, &Kind::ALL, 1_000).await.expect("the log can be read");
    let own: Vec<_> = page.events.into_iter().filter(|event| world.is_mine(event)).collect();
    assert_events(&own, &more);
}

pub async fn a_page_that_is_not_the_last_does_not_say_that_it_is(world: World) {
    world.given(Kind::Integration, 10).await;
    for max in [1, 5, 9] {
        let page = world.store.read_all(world.start, &Kind::ALL, max).await.expect("the log can be read");
        assert!(!page.is_last, "{max} of at least 10");
    }
}

pub async fn the_writes_of_one_append_stand_in_the_log_in_their_order(world: World) {
    let streams = [Kind::Integration, Kind::Slug, Kind::Integration].map(|kind| world.stream(kind));
    let sent: Vec<_> = streams.iter().map(|stream| events(stream, NoStream, 2)).collect();
    let writes = streams.iter().zip(&sent).map(|(stream, events)| append(stream, NoStream, events)).collect();
    world.write(writes).await.expect("all are new");
    assert_events(&world.read_all(&Kind::ALL, 100).await, &sent.concat());
}

pub async fn the_log_holds_nothing_of_a_refused_append(world: World) {
    let (stream, given) = world.given(Kind::Integration, 2).await;
    world.send(&stream, NoStream, &events(&stream, NoStream, 3)).await.expect_err("it is at 1");
    assert_events(&world.read_all(&Kind::ALL, 100).await, &given);
}

pub async fn the_log_shows_nothing_of_the_stores_own(world: World) {
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_removable()) {
        let (stream, _) = world.given(kind, 2).await;
        world.remove(&stream).await;
    }
    let mut after = world.start;
    loop {
        let page = world.store.read_all(after, &Kind::ALL, 3).await.expect("the log can be read");
        assert!(page.events.iter().all(|event| !event.event_type.starts_with('$')));
        assert!(page.events.iter().all(|event| !world.is_mine(event)), "all of them are tombstoned");
        after = page.through;
        if page.is_last {
            break;
        }
    }
}

pub async fn a_log_of_several_pages_is_read_whole(world: World) {
    let streams = [Kind::Integration, Kind::Slug, Kind::Integration].map(|kind| world.stream(kind));
    let mut given = Vec::new();
    for stream in &streams {
        given.extend(world.append(stream, NoStream, 900).await.0);
    }
    for page in [500, 1_000, usize::MAX] {
        assert_events(&world.read_all(&Kind::ALL, page).await, &given);
    }
}

pub async fn stream_and_log_show_the_same_events(world: World) {
    let (stream, _) = world.given(Kind::Integration, 7).await;
    let of_log = world.read_all(&[Kind::Integration], 3).await;
    assert_rising(&of_log);
    assert_eq!(world.read(&stream).await, of_log);
}
