//! Content codings (RFC 9110 §8.4, §12.5.3): which one a client gets, and a tag for each.

use super::{furnish, unzip};
use crate::harness::{Answer, Client, Server};

async fn get(client: &Client, path: &str, accept: &[&str]) -> Answer {
    let mut request = client.request("GET", path);
    for value in accept {
        request = request.header("accept-encoding", value);
    }
    request.send().await.expect(200)
}

#[tokio::test]
async fn a_compressed_body_is_the_plain_one_and_has_a_tag_of_its_own() {
    let world = furnish().await;
    for path in world.paths().into_iter().filter(|path| !path.ends_with("/icon")) {
        let plain = get(&world.alice, &path, &[]).await;
        let zipped = get(&world.alice, &path, &["gzip"]).await;
        assert_eq!(plain.try_header("content-encoding"), None, "{path}");
        assert_eq!(zipped.header("content-encoding"), "gzip", "{path}");
        assert_eq!(unzip(&zipped.body), plain.body, "{path}");
        assert_eq!(zipped.header("content-type"), plain.header("content-type"), "{path}");
        assert_ne!(zipped.header("etag"), plain.header("etag"), "{path}");
        // A strong tag is of these very bytes.
        assert_eq!(get(&world.alice, &path, &["gzip"]).await.body, zipped.body, "{path}");
    }
}

#[tokio::test]
async fn the_tag_of_one_coding_says_nothing_of_another() {
    let world = furnish().await;
    for path in world.paths().into_iter().filter(|path| !path.ends_with("/icon")) {
        for (has, wants) in [("identity", "gzip"), ("gzip", "identity")] {
            let tag = get(&world.alice, &path, &[has]).await.header("etag").to_owned();
            let request = world.alice.request("GET", &path).header("accept-encoding", wants);
            let answer = request.header("if-none-match", &tag).send().await.expect(200);
            assert_ne!(answer.header("etag"), tag, "{path}");
        }
    }
}

#[tokio::test]
async fn an_icon_is_never_compressed_since_its_tag_is_of_its_content() {
    let world = furnish().await;
    let plain = get(&world.alice, &world.slack.path("/icon"), &[]).await;
    let answer = get(&world.alice, &world.slack.path("/icon"), &["gzip"]).await;
    assert_eq!(answer.try_header("content-encoding"), None);
    assert_eq!(answer.body, plain.body);
    assert_eq!(answer.header("etag"), plain.header("etag"));
}

#[tokio::test]
async fn accept_encoding_is_read_as_the_standard_says() {
    let server = Server::start().await;
    let alice = server.alice();
    let plain = get(&alice, "/api/me", &[]).await;
    let check = async |accept: &[&str], expected: Option<&str>, rule: &str| {
        let answer = get(&alice, "/api/me", accept).await;
        assert_eq!(answer.try_header("content-encoding"), expected, "{rule}: {accept:?}");
        let body = if expected.is_some() { unzip(&answer.body) } else { answer.body };
        assert_eq!(body, plain.body, "{rule}: {accept:?}");
    };
    check(&[], None, "nothing asked for").await;
    check(&[""], None, "nothing taken but the plain body").await;
    check(&["gzip"], Some("gzip"), "gzip").await;
    check(&["x-gzip"], Some("gzip"), "the old name of gzip").await;
    check(&["GZip"], Some("gzip"), "names are without case").await;
    check(&["deflate, gzip, br, zstd"], Some("gzip"), "what browsers send").await;
    check(&["br", "gzip"], Some("gzip"), "several headers are one list").await;
    check(&["br, deflate"], None, "codings that we do not have").await;
    check(&["gzip;q=0"], None, "gzip is not taken").await;
    check(&["gzip ; q=0.000, *"], None, "gzip is not taken").await;
    check(&["*;q=0"], None, "nothing named is taken").await;
    check(&["gzip;q=0.5, identity;q=0.9"], None, "the plain body is preferred").await;
    check(&["gzip;q=0.9, identity;q=0.5"], Some("gzip"), "gzip is preferred").await;
    check(&["gzip;Q=0.9, identity;q=0.5"], Some("gzip"), "weights are without case").await;
    check(&["identity;q=0, gzip;q=0.1"], Some("gzip"), "the plain body is not taken").await;
    check(&["identity;q=0, *"], Some("gzip"), "the plain body is not taken, anything else is").await;
    check(&["identity"], None, "the plain body").await;
}
