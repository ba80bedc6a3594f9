//! The flat list past the routes. What it answers is held against the route over HTTP; here, that it answers at all.

use std::net::SocketAddr;

use axum::body::Body;
use events::store::{EventStore, sqlite::SqliteStore};
use http::Request;
use projector::{
    store::{ReadViews, memory::MemoryViews},
    view::{MakeReader, Readers, View},
};
use web::{
    bearer::{Claims, TokenKey, Tokens},
    layers::Stack,
    position::INTEGRATION_POSITION,
};

use super::*;
use crate::Settings;

const EXP: u64 = 1_000_000;

/// Views of nothing.
struct Empty;

impl MakeReader for Empty {
    fn make<V: View>(&mut self) -> Arc<dyn ReadViews<V>> {
        Arc::<MemoryViews<V>>::default()
    }
}

#[tokio::test]
async fn the_flat_list_is_at_hand_once_the_route_has_made_it() {
    let directory = tempfile::tempdir().unwrap();
    let log: Arc<dyn EventStore> = Arc::new(SqliteStore::open(directory.path()).unwrap());
    let settings = Settings { cache_bytes: 1_024 * 1_024 };
    let queries = Arc::new(Queries::new(Readers::make(&mut Empty), log, settings));
    let key = Arc::new(TokenKey::new(&[7; 32]).unwrap());
    let claims: Claims =
        serde_json::from_value(serde_json::json!({ "sub": "alice", "tenant": "acme", "exp": EXP })).unwrap();
    let bearer = HeaderValue::try_from(format!("Bearer {}", key.mint(&claims).unwrap())).unwrap();
    let tokens = Some(Arc::new(Tokens::signed_with(key, || EXP - 1)));
    let door = Stack { tokens, ..Stack::default() }.wrap(router(Arc::clone(&queries)).into(), None);
    let caller = Arc::new(Caller::from(claims));
    let at_hand = |headers: &HeaderMap| AtHand::answer(&*queries, Arc::clone(&caller), headers);
    let by_route = async |headers: &HeaderMap| {
        let mut request = Request::get(AtHand::route(&*queries)).body(Body::empty()).unwrap();
        *request.headers_mut() = headers.clone();
        request.headers_mut().insert(header::AUTHORIZATION, bearer.clone());
        door.answer(request, SocketAddr::from(([127, 0, 0, 1], 1))).await
    };

    let plain = HeaderMap::new();
    assert!(at_hand(&plain).is_none(), "nobody has made it");
    let tag = by_route(&plain).await.headers()[header::ETAG].clone();
    assert_eq!(at_hand(&plain).map(|answer| answer.status()), Some(StatusCode::OK));

    let gzip = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
    assert!(at_hand(&gzip).is_none(), "each coding is made by itself");
    by_route(&gzip).await;
    assert_eq!(at_hand(&gzip).map(|answer| answer.status()), Some(StatusCode::OK));

    let known = HeaderMap::from_iter([(header::IF_NONE_MATCH, tag)]);
    queries.cache.forget();
    assert_eq!(at_hand(&known).map(|answer| answer.status()), Some(StatusCode::NOT_MODIFIED), "a 304 needs no body");
    assert!(at_hand(&plain).is_none(), "nothing is kept any more");

    let waiting = HeaderMap::from_iter([(INTEGRATION_POSITION, HeaderValue::from_static("0000000000000000"))]);
    by_route(&plain).await;
    assert!(at_hand(&waiting).is_none(), "who asks for a position may have to wait");
}
