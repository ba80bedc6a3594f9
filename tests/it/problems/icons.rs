//! Icons that are too large, of another type, unsafe, or in a form that is none.

use super::super::harness::{Answer, Client, Created, Server};
use super::{INVALID, MALFORMED_BODY, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, check, check_status, create};

const ICON_BYTES_MAX: usize = 512 * 1_024;
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const SVG: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path d="M0 0h1v1z"/></svg>"#;

async fn put(alice: &Client, created: &Created, content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
    alice.request("PUT", &created.path("/icon")).body(content_type, body).send().await
}

/// A form with one part.
fn form(disposition: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--frontier\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n--frontier--\r\n"].concat()
}

const FORM: &str = "multipart/form-data; boundary=frontier";
const FILE: &str = r#"name="icon"; filename="icon.png""#;

fn padded(start: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = start.to_vec();
    bytes.resize(length, b' ');
    bytes
}

#[tokio::test]
async fn an_icon_may_have_512_kib_raw_or_in_a_form_and_not_a_byte_more() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    for start in [PNG, SVG.as_bytes()] {
        let (whole, over) = (padded(start, ICON_BYTES_MAX), padded(start, ICON_BYTES_MAX + 1));
        check_status("raw", &put(&alice, &created, "image/png", whole.clone()).await, 200);
        check_status("form", &put(&alice, &created, FORM, form(FILE, &whole)).await, 200);
        check("raw", &put(&alice, &created, "image/png", over.clone()).await, TOO_LARGE, &[]);
        check("form", &put(&alice, &created, FORM, form(FILE, &over)).await, TOO_LARGE, &[]);
        let many = padded(start, 3 * ICON_BYTES_MAX);
        check("raw", &put(&alice, &created, "image/png", many.clone()).await, TOO_LARGE, &[]);
        check("form", &put(&alice, &created, FORM, form(FILE, &many)).await, TOO_LARGE, &[]);
    }
}

#[tokio::test]
async fn content_that_is_no_known_image_is_415_whatever_it_is_called() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let contents: [&[u8]; 14] = [
        b"",
        b" ",
        b"hello",
        b"<html><svg></svg></html>",
        b"<!DOCTYPE html><html></html>",
        b"{}",
        b"%PDF-1.7",
        b"BM\x00\x00\x00\x00",
        b"\x00\x00\x01\x00\x01\x00",
        b"II*\x00",
        b"\x89PN",
        b"GIF86a",
        b"RIFF\x00\x00\x00\x00WAVE",
        b" \x89PNG\r\n\x1a\n",
    ];
    for content in contents {
        let what = String::from_utf8_lossy(content);
        for content_type in ["image/png", "image/svg+xml", "image/webp", "application/octet-stream", "text/html"] {
            check(&what, &put(&alice, &created, content_type, content).await, UNSUPPORTED_MEDIA_TYPE, &[]);
        }
        let untyped = alice.request("PUT", &created.path("/icon")).untyped_body(content).send().await;
        check(&what, &untyped, UNSUPPORTED_MEDIA_TYPE, &[]);
        let in_form = put(&alice, &created, FORM, form(FILE, content)).await;
        check(&what, &in_form, UNSUPPORTED_MEDIA_TYPE, &[]);
    }
    check_status("none was stored", &alice.get(&created.path("/icon")).await, 404);
}

#[tokio::test]
async fn an_image_is_taken_for_what_its_content_is() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let images: [(&[u8], &str); 6] = [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (SVG.as_bytes(), "image/svg+xml"),
    ];
    for (content, media_type) in images {
        for declared in ["image/png", "image/svg+xml", "text/html", "application/json", "nope", FORM] {
            let body =
                if declared == FORM { form(r#"name="x"; filename="x.html""#, content) } else { content.to_vec() };
            let stored = put(&alice, &created, declared, body).await.expect(200);
            let icon = alice.get_at(&created.path("/icon"), stored.header("integration-position")).await.expect(200);
            assert_eq!(icon.header("content-type"), media_type, "declared as {declared}");
            assert_eq!(icon.header("x-content-type-options"), "nosniff");
            assert_eq!(icon.body, content);
        }
    }
    let policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'";
    let icon = alice.get(&created.path("/icon")).await;
    assert_eq!(icon.header("content-security-policy"), policy);
}

/// An SVG with something in it.
fn svg(inside: &str) -> String {
    let namespaces = r#"xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink""#;
    format!("<svg {namespaces}>{inside}</svg>")
}

#[tokio::test]
async fn an_svg_that_runs_loads_or_is_not_well_formed_is_422() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let inside = [
        "<script>alert(1)</script>",
        "<SCRIPT/>",
        "<g><script xlink:href=\"data:,alert(1)\"/></g>",
        "<x:script xmlns:x=\"http://www.w3.org/2000/svg\"/>",
        "<path onclick=\"alert(1)\"/>",
        "<path ONLOAD=\"alert(1)\"/>",
        "<foreignObject><p xmlns=\"http://www.w3.org/1999/xhtml\"/></foreignObject>",
        "<image href=\"https://evil.example/a.png\"/>",
        "<image xlink:href=\"//evil.example/a.png\"/>",
        "<image href=\"/a.png\"/>",
        "<image href=\"data:image/svg+xml,x\"/>",
        "<image href=\"data:text/html,x\"/>",
        "<use href=\"https://evil.example/a.svg#x\"/>",
        "<a href=\"javascript:alert(1)\"><path/></a>",
        "<a href=\"&#106;avascript:alert(1)\"><path/></a>",
        "<style>@import 'https://evil.example/a.css';</style>",
        "<style>path { fill: url(https://evil.example/a.svg#x) }</style>",
        "<style>path { fill: u\\72l(https://evil.example/) }</style>",
        "<path style=\"fill: url('//evil.example/')\"/>",
        "<path fill=\"url(https://evil.example/#x)\"/>",
        "<animate attributeName=\"href\" to=\"javascript:alert(1)\"/>",
        "<set attributeName=\"onclick\" to=\"alert(1)\"/>",
        "<iframe src=\"#\"/>",
        "<g>",
        "<g></h>",
        "<path d=\"x\" d=\"y\"/>",
        "<path d=x/>",
        "&nbsp;",
        "\u{1}",
        "<?xml-stylesheet href=\"a.css\"?>",
    ];
    let whole = [
        "<!DOCTYPE svg>".to_owned() + SVG,
        r#"<!DOCTYPE svg [<!ENTITY x "y">]>"#.to_owned() + &svg("&x;"),
        r#"<!DOCTYPE svg SYSTEM "file:///etc/passwd">"#.to_owned() + SVG,
        SVG.replace("</svg>", ""),
        SVG.to_owned() + "<x/>",
        "<svg><path/></svg>".to_owned(),
        r#"<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>"#.to_owned(),
        r#"<?xml version="1.0" encoding="utf-16"?>"#.to_owned() + SVG,
    ];
    for icon in inside.iter().map(|inside| svg(inside)).chain(whole) {
        for content_type in ["image/svg+xml", "image/png", FORM] {
            let body = if content_type == FORM { form(FILE, icon.as_bytes()) } else { icon.clone().into_bytes() };
            check(&icon, &put(&alice, &created, content_type, body).await, INVALID, &[""]);
        }
    }
    let not_utf_8 = [svg("<text>").as_bytes(), b"\xff", b"</text></svg>"].concat();
    check("not UTF-8", &put(&alice, &created, "image/svg+xml", not_utf_8).await, INVALID, &[""]);
    check_status("none was stored", &alice.get(&created.path("/icon")).await, 404);
}

#[tokio::test]
async fn an_svg_may_refer_to_itself_and_hold_raster_images() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    for inside in [
        "<use href=\"#a\"/><use xlink:href=\"#a\"/>",
        "<a href=\"#a\"><path/></a>",
        "<image href=\"data:image/png;base64,AAAA\"/><image href=\"data:image/jpeg;base64,AAAA\"/>",
        "<style>path { fill: url(#a); stroke: red }</style><path style=\"fill: url('#a')\" fill=\"url(#a)\"/>",
        "<text>onclick script javascript url(x) &lt;script&gt;</text>",
        "<!-- a comment --><![CDATA[text]]>",
    ] {
        check_status(inside, &put(&alice, &created, "image/svg+xml", svg(inside)).await, 200);
    }
    let declared = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{SVG}");
    check_status("an XML declaration", &put(&alice, &created, "image/svg+xml", declared).await, 200);
}

#[tokio::test]
async fn a_form_without_a_file_is_422() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    for body in [form(r#"name="icon""#, PNG), b"--frontier--\r\n".to_vec()] {
        check("no file", &put(&alice, &created, FORM, body).await, INVALID, &[""]);
    }
    let second =
        [b"--frontier\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n".as_slice(), &form(FILE, PNG)]
            .concat();
    check_status("a field before the file", &put(&alice, &created, FORM, second).await, 200);
}

#[tokio::test]
async fn a_form_that_is_malformed_is_400() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    let whole = form(FILE, PNG);
    let cut = |length: usize| whole[..length].to_vec();
    let rows = [
        ("multipart/form-data", whole.clone()),
        ("multipart/form-data; charset=utf-8", whole.clone()),
        ("multipart/form-data; boundary=", whole.clone()),
        (FORM, Vec::new()),
        (FORM, b"nonsense".to_vec()),
        (FORM, cut(5)),
        (FORM, cut(30)),
        (FORM, cut(whole.len() - 20)),
        (FORM, PNG.to_vec()),
        ("multipart/form-data; boundary=other", whole.clone()),
        (FORM, b"--frontier\r\n\xff\xfe: x\r\n\r\nx\r\n--frontier--\r\n".to_vec()),
    ];
    for (content_type, body) in rows {
        let what = format!("{content_type}: {}", String::from_utf8_lossy(&body));
        check(&what, &put(&alice, &created, content_type, body).await, MALFORMED_BODY, &[]);
    }
}

#[tokio::test]
async fn an_icon_with_a_content_coding_is_415() {
    let server = Server::start().await;
    let alice = server.alice();
    let created = create(&alice).await;
    for (content_type, body) in [("image/png", PNG.to_vec()), (FORM, form(FILE, PNG))] {
        let request = alice.request("PUT", &created.path("/icon")).body(content_type, body);
        let coded = request.header("content-encoding", "gzip").send().await;
        check(content_type, &coded, UNSUPPORTED_MEDIA_TYPE, &[]);
    }
}
