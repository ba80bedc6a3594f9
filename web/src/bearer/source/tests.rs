//! Where keys are fetched from, and where not.

use super::*;

#[test]
fn keys_come_over_tls_or_from_this_host() {
    for url in [
        "https://id.example.com/keys",
        "https://10.0.0.1:8443/keys",
        "http://localhost:8080/keys",
        "http://127.0.0.1/keys",
        "http://127.8.9.1/keys",
        "http://[::1]:8080/keys",
    ] {
        assert!(is_trusted(&Url::parse(url).unwrap()), "{url}");
    }
    for url in [
        "http://id.example.com/keys",
        "http://10.0.0.1/keys",
        "http://localhost.example.com/keys",
        "http://127.0.0.1.example.com/keys",
        "http://[::ffff:10.0.0.1]/keys",
        "http://0.0.0.0/keys",
        "ftp://127.0.0.1/keys",
        "file:///etc/keys",
        "data:application/json,{}",
    ] {
        assert!(matches!(KeyUrl::parse(url), Err(UrlError::Clear)), "{url}");
    }
    assert!(matches!(KeyUrl::parse("https://"), Err(UrlError::Malformed)));
    assert!(matches!(KeyUrl::parse("http://user:secret@localhost/"), Err(UrlError::Credentials)));
    assert!(matches!(KeyUrl::parse("http://user@localhost/"), Err(UrlError::Credentials)));
}

fn follows(urls: &[&str]) -> bool {
    let urls: Vec<_> = urls.iter().map(|url| Url::parse(url).unwrap()).collect();
    let (next, previous) = urls.split_last().unwrap();
    may_follow(previous, next).is_ok()
}

#[test]
fn a_redirect_keeps_the_scheme_and_there_are_three_at_most() {
    const A: &str = "https://a.example.com/";
    const B: &str = "https://b.example.com/";
    assert!(follows(&[A, B]));
    assert!(follows(&[A, B, A, B]));
    assert!(!follows(&[A, B, A, B, A]));
    assert!(!follows(&[A, "http://a.example.com/"]));
    assert!(!follows(&[A, "http://localhost/"]), "from https never to http");
    assert!(follows(&["http://localhost/", "http://127.0.0.1/"]));
    assert!(!follows(&["http://localhost/", "http://10.0.0.1/"]));
    assert!(!follows(&["http://localhost/", A]));
}

#[tokio::test]
async fn a_file_is_read_up_to_a_bound() {
    let path = std::env::temp_dir().join(format!("token-keys-{}", std::process::id()));
    std::fs::write(&path, vec![b' '; limits::TOKEN_KEYS_BYTES_MAX]).unwrap();
    assert!(KeyFile(path.clone()).fetch().await.is_ok());
    std::fs::write(&path, vec![b' '; limits::TOKEN_KEYS_BYTES_MAX + 1]).unwrap();
    assert!(matches!(KeyFile(path.clone()).fetch().await, Err(FetchError::TooLarge)));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(KeyFile(path).fetch().await, Err(FetchError::File(_))));
}
