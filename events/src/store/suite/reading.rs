//! Reading streams: from where, how many, byte for byte, and no other stream's.

#![expect(missing_docs, reason = "the name of a case is its sentence")]

use super::world::{
    World, assert_events, contents, event, exact, from, integration_id, named, revisions, tenant, time,
};
use crate::{
    envelope::{Digest, Fingerprint, Metadata, NewEvent, Place, new_event_id},
    ids::{BlobId, PrincipalId, Revision, Slug},
    limits,
    store::{Direction::BackwardsFromEnd, ExpectedRevision::NoStream},
    stream::{Kind, StreamName},
};

pub async fn a_stream_that_never_was_has_no_events(world: World) {
    for kind in Kind::ALL {
        let stream = world.stream(kind);
        for direction in [from(0), from(5), BackwardsFromEnd] {
            assert_eq!(world.try_read(&stream, direction, 10).await.expect("it can be read"), []);
        }
    }
}

pub async fn a_stream_is_read_forwards_from_a_revision_on(world: World) {
    let (stream, given) = world.given(Kind::Integration, 5).await;
    for revision in 0..5 {
        let read = world.try_read(&stream, from(revision), 100).await.expect("it can be read");
        assert_eq!(revisions(&read), (revision..5).collect::<Vec<_>>());
        assert_eq!(contents(&read), given[usize::try_from(revision).expect("small")..]);
    }
}

pub async fn nothing_is_read_forwards_from_beyond_the_end(world: World) {
    let (stream, _) = world.given(Kind::Integration, 5).await;
    for revision in [5, 6, 1_000_000] {
        assert_eq!(world.try_read(&stream, from(revision), 100).await.expect("it can be read"), []);
    }
}

pub async fn a_stream_is_read_backwards_from_its_end(world: World) {
    let (stream, given) = world.given(Kind::Integration, 5).await;
    let mut read = world.read_backwards(&stream).await;
    assert_eq!(revisions(&read), [4, 3, 2, 1, 0]);
    read.reverse();
    assert_events(&read, &given);
}

pub async fn no_more_is_read_than_was_asked_for(world: World) {
    let (stream, _) = world.given(Kind::Integration, 5).await;
    for (direction, max, expected) in [
        (from(0), 1, vec![0]),
        (from(0), 5, vec![0, 1, 2, 3, 4]),
        (from(1), 3, vec![1, 2, 3]),
        (from(3), 9, vec![3, 4]),
        (BackwardsFromEnd, 1, vec![4]),
        (BackwardsFromEnd, 3, vec![4, 3, 2]),
        (BackwardsFromEnd, 9, vec![4, 3, 2, 1, 0]),
    ] {
        let read = world.try_read(&stream, direction, max).await.expect("it can be read");
        assert_eq!(revisions(&read), expected, "{direction:?}, {max}");
    }
}

pub async fn a_long_stream_is_read_whole_in_both_directions(world: World) {
    let (stream, given) = world.given(Kind::Integration, 2_000).await;
    assert_events(&world.read(&stream).await, &given);
    let mut backwards = world.read_backwards(&stream).await;
    backwards.reverse();
    assert_events(&backwards, &given);
}

pub async fn as_much_of_a_long_stream_is_read_as_was_asked_for(world: World) {
    let (stream, _) = world.given(Kind::Integration, 2_500).await;
    for max in [999, 1_000, 1_001, 2_000, 2_400] {
        let n = max as u64;
        let forwards = world.try_read(&stream, from(50), max).await.expect("it can be read");
        assert_eq!(revisions(&forwards), (50..50 + n).collect::<Vec<_>>());
        let backwards = world.try_read(&stream, BackwardsFromEnd, max).await.expect("it can be read");
        assert_eq!(revisions(&backwards), (2_500 - n..2_500).rev().collect::<Vec<_>>());
    }
}

pub async fn json_text_is_kept_byte_for_byte(world: World) {
    let texts = [
        "{}",
        " {\t\"a\" :\r\n[ 1 , 2 ]\n} ",
        r#"{"b":1,"a":2,"b":3}"#,
        r#"{"n":[1.0,1e400,-0,1E+2,0.10,123456789012345678901234567890]}"#,
        r#"{"escaped":"\u0041\u00e4\ud83d\ude00\/\u0000"}"#,
        "{\"plain\":\"\u{e4}\u{1f600}\u{2028}\u{feff}\u{301}\u{fb01}\u{10ffff}\"}",
        "{\"nfc\":\"\u{e9}\",\"nfd\":\"e\u{301}\"}",
        "{\"delete\":\"\u{7f}\u{85}\"}",
        "null",
        r#""it's; DROP TABLE events --""#,
    ];
    let stream = world.integration();
    let events: Vec<_> = (0..).zip(texts).map(|(revision, text)| event(&stream, revision, text)).collect();
    world.send(&stream, NoStream, &events).await.expect("they are JSON");
    assert_events(&world.read(&stream).await, &events);
    assert_events(&world.read_all(&[Kind::Integration], 100).await, &events);
}

pub async fn icon_bytes_are_kept_whatever_they_are(world: World) {
    let all: Vec<u8> = (0..=255).collect();
    let icons: [&[u8]; 7] = [&all, b"\x89PNG\r\n\x1a\n\0\0", b"{\"a\": 1}", b"\0", b"\xff\xfe", b" \n", b""];
    for bytes in icons {
        let stream = world.stream(Kind::Icon);
        let icon = event(&stream, 0, bytes.to_vec());
        world.send(&stream, NoStream, std::slice::from_ref(&icon)).await.expect("bytes are bytes");
        assert_events(&world.read(&stream).await, &[icon]);
    }
}

pub async fn metadata_is_kept_byte_for_byte(world: World) {
    let stream = world.integration();
    let metadata = Metadata {
        tenant: Some(world.tenant.clone()),
        actor: Some(PrincipalId::parse("team:Zo\u{eb} \u{1f600}").expect("a principal")),
        time: time(7),
        correlation_id: Some("a \"quoted\" \\ id".to_owned()),
        causation_id: Some(new_event_id()),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        reason: Some("because\n\tof \u{2028}".to_owned()),
        client: Some("2001:db8::1".to_owned()),
        fingerprint: Some(Fingerprint { request: Digest::of(b"a"), secrets: Some(Digest::of(b"b")) }),
    };
    let place = Place { stream: &stream, revision: Revision::FIRST, previous: Digest::ZERO };
    let event = NewEvent::seal(place, new_event_id(), "SomethingHappened.v12", "{}".into(), &metadata);
    world.send(&stream, NoStream, std::slice::from_ref(&event)).await.expect("it is new");
    assert_events(&world.read(&stream).await, &[event]);
}

pub async fn metadata_that_another_release_wrote_is_kept_byte_for_byte(world: World) {
    let stream = world.integration();
    let mut event = event(&stream, 0, "{}");
    let text = format!(r#"{{ "time" : "{}", "later": 1.0 ,"hash":"{}"}}"#, event.at, event.hash);
    event.metadata = text.into();
    world.send(&stream, NoStream, std::slice::from_ref(&event)).await.expect("it is new");
    assert_events(&world.read(&stream).await, &[event]);
}

pub async fn times_are_kept_to_the_millisecond(world: World) {
    let (stream, given) = world.given(Kind::Integration, 70).await;
    let read = world.read(&stream).await;
    assert!(given.iter().any(|event| event.at.instant().timestamp_subsec_millis() % 10 != 0));
    for (read, given) in read.iter().zip(&given) {
        assert_eq!(read.at, given.at);
        assert_eq!(read.at.to_string(), given.at.to_string());
    }
}

pub async fn a_chain_can_be_checked_as_it_is_read(world: World) {
    let stream = world.integration();
    let (mut previous, mut sealed) = (Digest::ZERO, Vec::new());
    for revision in 0..5 {
        let place = Place { stream: &stream, revision: Revision::new(revision), previous };
        let metadata = Metadata::of_service(Some(world.tenant.clone()), time(revision));
        let data = format!(r#"{{"n": {revision}.0}}"#).into();
        sealed.push(NewEvent::seal(place, new_event_id(), "SomethingHappened.v1", data, &metadata));
        previous = sealed.last().expect("just pushed").hash;
    }
    world.send(&stream, NoStream, &sealed).await.expect("it is new");
    let (read, mut previous) = (world.read(&stream).await, Digest::ZERO);
    assert_eq!(read.len(), 5);
    for event in read {
        assert_eq!(event.check_hash(previous), Ok(()));
        previous = event.hash;
    }
}

/// Streams of such names hold each their own events.
async fn check_apart(world: &World, streams: &[StreamName]) {
    let mut appended = Vec::new();
    for (n, stream) in (1..).zip(streams) {
        appended.push(world.append(stream, NoStream, n).await.0);
    }
    for (stream, given) in streams.iter().zip(&appended) {
        assert_events(&world.read(stream).await, given);
    }
    world.remove(&streams[0]).await;
    for (stream, given) in streams.iter().zip(&appended).skip(1) {
        assert_events(&world.read(stream).await, given);
    }
}

pub async fn tenants_whose_names_are_alike_do_not_meet(world: World) {
    let (own, id) = (&world.tenant, integration_id());
    let names = ["", "-", "-b", "_b", ".b", "_", "B", "b", "-integration", "integration-"];
    let streams: Vec<_> =
        names.into_iter().map(|name| StreamName::integration(&tenant(&format!("{own}{name}")), id)).collect();
    check_apart(&world, &streams).await;
}

pub async fn one_uuid_under_several_kinds_is_several_streams(world: World) {
    let (tenant, id, blob) = (&world.tenant, integration_id(), BlobId::new(new_event_id().uuid()));
    let slug = Slug::parse(format!("s-{id}")).expect("a slug");
    let streams = [
        StreamName::integration(tenant, id),
        StreamName::slug(tenant, &slug),
        StreamName::icon(tenant, id, blob),
        StreamName::icon(tenant, id, BlobId::new(id.uuid())),
    ];
    check_apart(&world, &streams).await;
    world.append(&StreamName::key(tenant, id), NoStream, 1).await;
    assert_eq!(world.read(&streams[1]).await.len(), 2);
}

pub async fn names_that_begin_alike_are_several_streams(world: World) {
    let tenant = &world.tenant;
    let slugs = ["a", "a-b", "a-b-c", "ab", "b"].map(|slug| Slug::parse(slug).expect("a slug"));
    check_apart(&world, &slugs.map(|slug| StreamName::slug(tenant, &slug))).await;
}

pub async fn the_longest_names_are_kept_whole(world: World) {
    let own = world.tenant.as_str();
    let longest = tenant(&format!("{own}{}", "x".repeat(limits::TENANT_CHARS_MAX - own.len())));
    let slug = "y".repeat(limits::SLUG_CHARS_MAX - 1);
    let streams = ["a", "b"].map(|end| {
        let slug = Slug::parse(format!("{slug}{end}")).expect("a slug");
        StreamName::slug(&longest, &slug)
    });
    check_apart(&world, &streams).await;
}

pub async fn a_stream_is_found_by_its_name_as_it_was_read(world: World) {
    let (stream, given) = world.given(Kind::Icon, 1).await;
    let name = world.read(&stream).await[0].stream.to_string();
    assert_events(&world.read(&named(&name)).await, &given);
    world.append(&named(&name), exact(0), 1).await;
}
