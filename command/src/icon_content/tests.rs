//! What is accepted as an icon, and what an attacker would try.

use std::time::{Duration, Instant};

use events::{event::IconType, limits};
use proptest::prelude::*;

use super::{Refused, recognise};

const OPEN: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\">";

fn svg(content: &str) -> String {
    format!("{OPEN}{content}</svg>")
}

#[track_caller]
fn check(bytes: impl AsRef<[u8]>, expected: &Result<IconType, Refused>) {
    let bytes = bytes.as_ref();
    assert_eq!(recognise(bytes), *expected, "{}", String::from_utf8_lossy(&bytes[..bytes.len().min(300)]));
}

#[track_caller]
fn accepted(content: &str) {
    check(svg(content), &Ok(IconType::Svg));
}

/// The SVG is refused for a reason with this in it.
#[track_caller]
fn refused(text: &str, reason: &str) {
    let Err(Refused::UnsafeSvg(actual)) = recognise(text.as_bytes()) else {
        panic!("not refused: {}", &text[..text.len().min(300)]);
    };
    assert!(actual.contains(reason), "{actual:?} instead of {reason:?} for {}", &text[..text.len().min(300)]);
    assert!(actual.starts_with("must ") && actual.len() < 150, "{actual:?}");
}

#[track_caller]
fn refused_within(content: &str, reason: &str) {
    refused(&svg(content), reason);
}

#[test]
fn raster_images_are_told_by_their_first_bytes() {
    check(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &Ok(IconType::Png));
    check(b"\xff\xd8\xff\xe0\0\x10JFIF", &Ok(IconType::Jpeg));
    check(b"\xff\xd8\xff\xdb\0\x43", &Ok(IconType::Jpeg));
    check(b"GIF87a\x01\0\x01\0", &Ok(IconType::Gif));
    check(b"GIF89a\x01\0\x01\0", &Ok(IconType::Gif));
    check(b"RIFF\x24\0\0\0WEBPVP8 ", &Ok(IconType::Webp));
    check(b"RIFF\x24\0\0\0WEBPVP8X", &Ok(IconType::Webp));
}

#[test]
fn other_files_are_of_an_unknown_type() {
    let utf16: Vec<u8> = svg("").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16_marked = [b"\xff\xfe".as_slice(), &utf16].concat();
    let files: [&[u8]; 24] = [
        b"",
        b" ",
        b"\xef\xbb\xbf",
        b"<",
        b"\x89PNG\r\n\x1a",
        b"\x89PNG\n\x1a\n\0\0\0\rIHDR",
        b" \x89PNG\r\n\x1a\n",
        b"\xff\xd8",
        b"GIF88a\x01\0",
        b"GIF89",
        b"gif89a\x01\0",
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"RIFF\x24\0\0\0WEBP",
        b"RIFF\x24\0\0\0AVI LIST",
        b"BM\x36\0\0\0",
        b"\0\0\x01\0\x01\0",
        b"\0\0\0\x1cftypavif",
        b"%PDF-1.7 <svg",
        b"just text with <svg/> in it",
        b"<?xml version=\"1.0\"?><html/>",
        b"<!DOCTYPE html><html><body>no drawing</body></html>",
        b"<html><body><svg xmlns=\"http://www.w3.org/2000/svg\"/></body></html>",
        b"<svgx xmlns=\"http://www.w3.org/2000/svg\"/>",
        &utf16_marked,
    ];
    for file in files {
        check(file, &Err(Refused::UnknownType));
    }
    check(&utf16, &Err(Refused::UnknownType));
}

#[test]
fn drawings_are_accepted() {
    accepted("");
    accepted("<title>on the way to href=\"http://example.com\"</title><desc>javascript: a language</desc>");
    accepted("<g fill=\"#f00\" stroke=\"none\"><path d=\"M0 0h24v24z\"/></g><!-- <script> in a comment -->");
    accepted(
        "<defs><linearGradient id=\"a\"/></defs><rect fill=\"url(#a)\" mask='url( \"#b\" )' filter=\"URL('#c')\"/>",
    );
    accepted("<use href=\"#a\"/><use xlink:href=\"#b\"/><a href=\"#c\"><text>c</text></a>");
    accepted("<image href=\"data:image/png;base64,iVBORw0KGgo=\"/><image xlink:href=\"DATA:image/WebP,x\"/>");
    accepted("<feImage href=\"data:image/jpeg;base64,/9j/\"/><image href=\"data:image/gif;charset=x,GIF89a\"/>");
    accepted(
        "<style>.a{cursor:url(data:image/png;base64,iVBORw0KGgo=), auto;mask:url( \"data:image/webp,x\" )}</style>",
    );
    accepted("<g style='mask:url(DATA:image/jpeg;base64,/9j/)'/><g mask='url(data:image/gif,GIF89a)'/>");
    accepted("<style>.a{fill:url(#b);stroke:red} @media (prefers-color-scheme: dark){.a{fill:#fff}}</style>");
    accepted("<style><![CDATA[.a>.b{fill:#123} .c::before{content:'>'}]]></style><g style=\"fill:url('#a')\"/>");
    accepted("<style>.a::before{content:\"\\201C\"}</style>");
    accepted("<style>@font-face{font-family:a;src:local('a')}</style>");
    accepted("<animate attributeName=\"opacity\" from=\"0\" to=\"1\"/><set attributeName=\"fill\" to=\"url(#a)\"/>");
    accepted("<animateTransform attributeName=\"transform\" type=\"rotate\" values=\"0;360\"/>");
    accepted("<text font-family=\"Ubuntu\" xml:space=\"preserve\" xml:lang=\"de\">&lt;script&gt; &amp; &#228;</text>");
    accepted("<g data-name=\"Layer 1\" aria-label=\"on\" role=\"img\" class=\"icon-base\"/>");
    accepted(concat!(
        "<metadata xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\" xmlns:e=\"urn:e\">",
        "<rdf:RDF><rdf:li rdf:resource=\"http://creativecommons.org/ns#Work\" e:action=\"saved\"/></rdf:RDF>",
        "<e:view e:file=\"C:\\(icons)\\icon.svg\" e:page=\"url(x)\"/></metadata>",
    ));
}

#[test]
fn a_drawing_may_be_introduced_and_its_elements_prefixed() {
    let declared = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>\n<!-- made by hand -->\n";
    check(format!("{declared}{}", svg("")), &Ok(IconType::Svg));
    check(format!("\u{feff}<?xml version='1.0' encoding = 'utf-8' ?>{}", svg("")), &Ok(IconType::Svg));
    check(format!("\u{feff}{}", svg("")), &Ok(IconType::Svg));
    check(format!("<?xml version=\"1.0\"?>{}\n<!-- end -->\n", svg("")), &Ok(IconType::Svg));
    check(format!(" \r\n\t{}\n", svg("")), &Ok(IconType::Svg));
    check("<s:svg xmlns:s=\"http://www.w3.org/2000/svg\"><s:g/></s:svg>", &Ok(IconType::Svg));
    check("<svg\nxmlns='http://www.w3.org/2000/svg'/>", &Ok(IconType::Svg));
}

#[test]
fn a_text_that_is_meant_as_svg_has_to_be_one() {
    let root = "must have the root element svg in the namespace http://www.w3.org/2000/svg";
    refused("<svg/>", root);
    refused("<svg xmlns=\"http://www.w3.org/1999/xhtml\"/>", root);
    refused("<svg xmlns=\"http://www.w3.org/2000/svg \"/>", root);
    refused("<SVG xmlns=\"http://www.w3.org/2000/svg\"/>", root);
    refused(&format!("<?xml version=\"1.0\"?><html>{OPEN}</svg></html>"), root);
    refused("<!-- <svg --><html/>", root);
    refused(OPEN, "must be well-formed XML (line 1, column 1)");
    refused("<svg", "must be well-formed XML");
    refused(&svg("<g>"), "must be well-formed XML (line 1, column");
    refused(&svg("<g a=1/>"), "must be well-formed XML");
    refused(&svg("<g a='1' a='2'/>"), "must be well-formed XML");
    refused(&svg("<g xmlns='urn:a' xmlns='http://www.w3.org/1999/xhtml'/>"), "must be well-formed XML");
    refused(&svg("&nbsp;"), "must be well-formed XML");
    refused(&svg("&#0;"), "must be well-formed XML");
    refused(&svg("\u{1}"), "must be well-formed XML");
    refused(&svg("<x:g/>"), "must be well-formed XML");
    refused(&format!("{}<g/>", svg("")), "must be well-formed XML");
    refused(&format!("{}{}", svg(""), svg("")), "must be well-formed XML");
    check(format!("\u{feff}\u{feff}{}", svg("")), &Err(Refused::UnknownType));
    refused(&format!(" <?xml version=\"1.0\"?>{}", svg("")), "must be well-formed XML");
    check([svg("<g id=\"").as_bytes(), b"\xe9\"/>"].concat(), &Err(Refused::UnsafeSvg("must be UTF-8".to_owned())));
}

#[test]
fn there_is_no_document_type() {
    let doctype = "must not have a DOCTYPE";
    refused(&format!("<!DOCTYPE svg>{}", svg("")), doctype);
    refused(&format!("<!DOCTYPE svg [<!ENTITY a \"javascript:\">]>{}", svg("<a href=\"&a;alert(1)\"/>")), doctype);
    refused(&format!("<!DOCTYPE svg SYSTEM \"http://example.com/svg.dtd\">{}", svg("")), doctype);
    refused(&format!("<?xml version=\"1.0\"?><!-- a --><!DOCTYPE svg>{}", svg("")), doctype);
    refused(&format!("<!doctype svg>{}", svg("")), "must be well-formed XML");
}

#[test]
fn the_declaration_cannot_change_how_the_text_is_read() {
    let rule = "must be XML 1.0 in UTF-8";
    for declaration in [
        "version=\"1.0\" encoding=\"UTF-7\"",
        "version=\"1.0\" encoding=\"UTF-16\"",
        "version='1.0' encoding='ISO-2022-JP'",
        "version='1.1'",
        "version='1.0\" encoding=\"utf-8' encoding='utf-7'",
        "version=\"1.0\" encoding=\"utf-8\" encoding=\"utf-7\"",
    ] {
        refused(&format!("<?xml {declaration}?>{}", svg("")), rule);
    }
    refused(&format!("<?xml\tversion=\"1.0\" encoding=\"UTF-7\"?>{}", svg("")), "processing instructions");
}

#[test]
fn there_are_no_processing_instructions() {
    let rule = "must not have processing instructions";
    refused(&format!("<?xml-stylesheet href=\"http://example.com/a.xsl\"?>{}", svg("")), rule);
    refused(&format!("<?xml version=\"1.0\"?><?xml-stylesheet href=\"#a\"?>{}", svg("")), rule);
    refused(&svg("<?php echo 1 ?>"), rule);
    refused(&format!("<?php echo 1 ?>{}", svg("")), rule);
    refused(&format!("{}<?xml-stylesheet href=\"#a\"?>", svg("")), rule);
}

#[test]
fn there_are_no_scripts_and_no_foreign_elements() {
    refused_within("<script>alert(1)</script>", "must not have a script element (line 1, column");
    refused_within("<script/>", "script element");
    refused_within("<SCRIPT/>", "script element");
    refused_within("<s:script xmlns:s=\"http://www.w3.org/2000/svg\"/>", "script element");
    refused_within("<h:script xmlns:h=\"http://www.w3.org/1999/xhtml\"/>", "script element");
    refused_within("<script xmlns=\"urn:other\"/>", "script element");
    refused_within("<g><defs><style/><script href=\"#a\"/></defs></g>", "script element");
    refused("<s:svg xmlns:s=\"http://www.w3.org/2000/svg\"><s:script/></s:svg>", "script element");
    refused_within("<foreignObject/>", "foreignObject");
    refused_within("<foreignobject/>", "foreignObject");
    refused_within("<x:foreignObject xmlns:x=\"http://www.w3.org/2000/svg\"/>", "foreignObject");
    for name in ["iframe", "embed", "object", "audio", "video", "link", "meta", "handler", "listener", "IFrame"] {
        refused_within(&format!("<{name}/>"), "must not have HTML elements");
    }
    refused_within("<div xmlns=\"http://www.w3.org/1999/xhtml\"/>", "must not have HTML elements");
    refused_within("<h:p xmlns:h=\"http://www.w3.org/1999/xhtml\"/>", "must not have HTML elements");
    refused_within("<p x:xmlns='urn:x' xmlns='http://www.w3.org/1999/xhtml' xmlns:x='urn:y'/>", "prefix before xmlns");
}

#[test]
fn there_are_no_event_handlers() {
    let rule = "must not have event handler attributes (line 1, column";
    refused("<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>", rule);
    refused("<svg onload='' xmlns=\"http://www.w3.org/2000/svg\"/>", rule);
    refused_within("<g ONCLICK=\"alert(1)\"/>", rule);
    refused_within("<g OnMouseOver=\"\"/>", rule);
    refused_within("<animate onbegin=\"alert(1)\" attributeName=\"x\"/>", rule);
    refused_within("<g x:onload=\"\" xmlns:x=\"http://www.w3.org/2000/svg\"/>", rule);
}

#[test]
fn references_stay_within_the_file() {
    let rule = "must not refer to anything but";
    for reference in [
        "",
        " #a",
        "other.svg#a",
        "/icons/a.png",
        "//example.com/a.png",
        "http://example.com/a.png",
        "HTTPS://example.com/a.svg#a",
        "file:///etc/passwd",
        "data:",
        "data:,x",
        "data:image/svg+xml,&lt;svg/>",
        "data:image/svg+xml;base64,PHN2Zy8+",
        "data:text/html,&lt;b>",
        "data:image/png",
        "data:image/pngx,",
        "data:image/x;image/png,",
        "da&#9;ta:image/png,",
        "\u{a0}#a",
        "blob:x",
    ] {
        for attribute in ["href", "xlink:href", "src", "HREF", "xml:href"] {
            refused_within(&format!("<image {attribute}=\"{reference}\"/>"), rule);
        }
    }
    refused_within("<use href=\"#a\" xlink:href=\"other.svg#a\"/>", rule);
    refused_within("<x:include xmlns:x=\"http://www.w3.org/2001/XInclude\" href=\"a.txt\"/>", rule);
    refused_within("<g poster=\"a.png\"/>", rule);
    refused_within("<g srcset=\"a.png 2x\"/>", rule);
    refused_within(
        "<g xml:base=\"http://example.com/\"><use href=\"#a\"/></g>",
        "must not have the attribute xml:base",
    );
    refused_within("<a href=\"http://example.com/\"/>", "must not link to anything but #fragments");
    refused_within("<a xlink:href=\"data:image/png,x\"/>", "must not link to anything but #fragments");
    refused_within(
        "<s:a xmlns:s=\"http://www.w3.org/2000/svg\" href=\"?a\"/>",
        "must not link to anything but #fragments",
    );
}

#[test]
fn there_are_no_script_uris_however_written() {
    for uri in [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "javascript&#58;alert(1)",
        "java&#x0A;script&#x3a;alert(1)",
        "  java\tscript :alert(1)",
        "&#106;&#97;&#118;&#97;&#115;&#99;&#114;&#105;&#112;&#116;&#58;1",
        "vbscript:x",
    ] {
        for attribute in ["href", "xlink:href", "to", "values", "x", "style"] {
            refused_within(&format!("<a {attribute}=\"{uri}\"/>"), "must not have a javascript: URI");
        }
    }
}

#[test]
fn animations_leave_references_and_handlers_alone() {
    for target in ["href", "xlink:href", " HREF ", "l:href", "src", "onload", "onClick", "xml:base"] {
        for element in ["set", "animate", "animateTransform", "animateColor"] {
            let content = format!("<a><{element} attributeName=\"{target}\" to=\"#a\"/></a>");
            refused_within(&content, "must not animate references or event handlers");
        }
    }
    refused_within("<set attributeName=\"fill\" to=\"url(http://example.com/#a)\"/>", "url()");
}

#[test]
fn css_loads_nothing() {
    let cases = [
        ("@import 'a.css';", "must not load anything by CSS"),
        ("@IMPORT url(#a);", "must not load anything by CSS"),
        ("@im\\port 'a.css';", "escapes"),
        ("@\\69mport 'a.css';", "escapes"),
        ("@\\000069 mport 'a.css';", "escapes"),
        ("a{fill:u\\72l(http://example.com)}", "escapes"),
        ("a{fill:\\75\\72\\6c(http://example.com)}", "escapes"),
        ("a{fill:url(\\23 a)}", "escapes"),
        ("a{fill:url(http://example.com/#a)}", "url()"),
        ("a{fill:URL( //example.com )}", "url()"),
        ("a{fill:url(\"http://example.com\")}", "url()"),
        ("a{fill:url('a.svg#a')}", "url()"),
        ("a{fill:url()}", "url()"),
        ("a{fill:url(\u{a0}#a)}", "url()"),
        ("a{fill:url(/**/#a)}", "url()"),
        ("a{fill:url(data:image/svg+xml,x)}", "url()"),
        ("a{fill:url(data:image/pngx,x)}", "url()"),
        ("a{fill:url(data:,x)}", "url()"),
        ("a{fill:url(\" data:image/png,x\")}", "url()"),
        ("a{fill:url(#a);mask:url(b.svg#b)}", "url()"),
        ("/* url(#a) */ a{cursor:url(http://example.com/a.cur),auto}", "url()"),
        ("a{mask:image-set('http://example.com/a.png' 1x)}", "must not load anything by CSS"),
        ("a{mask:-webkit-image-set('a.png' 1x)}", "must not load anything by CSS"),
        ("a{mask:image('a.png')}", "must not load anything by CSS"),
        ("a{mask:src('a.png')}", "must not load anything by CSS"),
        ("@font-face{font-family:a;src:url(//example.com/a.woff)}", "url()"),
        ("@namespace url(http://www.w3.org/1999/xhtml);", "url()"),
    ];
    for (css, reason) in cases {
        refused_within(&format!("<style>{css}</style>"), reason);
        refused_within(&format!("<style type=\"text/css\"><![CDATA[{css}]]></style>"), reason);
        refused_within(&format!("<g style=\"{}\"/>", css.replace('"', "&quot;")), reason);
        refused_within(&format!("<g fill=\"{}\"/>", css.replace('"', "&#34;")), reason);
    }
}

#[test]
fn a_style_sheet_cannot_hide_in_xml() {
    refused_within("<style>@im<!-- -->port 'a.css'</style>", "must not load anything by CSS");
    refused_within("<style>@im<g/>port 'a.css'</style>", "must not load anything by CSS");
    refused_within("<style>@im<![CDATA[port]]> 'a.css'</style>", "must not load anything by CSS");
    refused_within("<style>&#64;import 'a.css'</style>", "must not load anything by CSS");
    refused_within("<style>&#92;40 x @import</style>", "escapes");
    refused_within("<s:style xmlns:s=\"http://www.w3.org/2000/svg\">@import 'a'</s:style>", "must not load anything");
    refused_within("<g fill=\"u&#114;l(http://example.com)\"/>", "url()");
}

#[test]
fn a_costly_file_is_refused_at_once() {
    let started = Instant::now();
    let room = limits::ICON_BYTES_MAX - 2_000;
    let deep = room / "<g></g>".len();
    refused_within(&"<g/>".repeat(room / 4), "must have at most 65536 nodes");
    refused_within(&format!("{}{}", "<g>".repeat(deep), "</g>".repeat(deep)), "must have at most 65536 nodes");
    refused_within(&format!("<g{}/>", (0..room / 12).map(|n| format!(" a{n}=''")).collect::<String>()), "attributes");
    refused_within(&"<g xmlns:a='urn:a'>".repeat(room / 20), "must declare at most");
    refused_within(
        &format!("<g xmlns:a='{}'/>", "a".repeat(limits::SVG_NAMESPACE_BYTES_MAX + 1)),
        "must not have a namespace of",
    );
    refused_within(&" ".repeat(limits::ICON_BYTES_MAX), "must have at most 524288 bytes");
    let long = (0..126).map(|n| format!(" a:a{n}=''")).collect::<String>();
    let namespace = format!("xmlns:a='{}'", "a".repeat(limits::SVG_NAMESPACE_BYTES_MAX));
    let elements = format!("<g{long}/>").repeat(room / (long.len() + 4));
    check(svg(&format!("<g {namespace}>{elements}</g>")), &Ok(IconType::Svg));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn nesting_does_not_exhaust_the_stack() {
    let deep = 60_000;
    let nested = svg(&format!("{}{}", "<g>".repeat(deep), "</g>".repeat(deep)));
    let thread = std::thread::Builder::new().stack_size(256 * 1_024);
    let answer = thread.spawn(move || recognise(nested.as_bytes())).unwrap().join().unwrap();
    assert_eq!(answer, Ok(IconType::Svg));
}

proptest! {
    #[test]
    fn a_damaged_file_is_answered(at in 0_usize..400, with in any::<[u8; 3]>(), cut in 0_usize..3) {
        let content = "<style>a{fill:url(#b)}</style><a xlink:href='#c'><image href='data:image/png,x'/></a>&#228;";
        let mut bytes = format!("<?xml version='1.0'?><!-- c -->{}", svg(content)).into_bytes();
        let at = at.min(bytes.len() - 3);
        bytes.splice(at..at + cut, with);
        let _ = recognise(&bytes);
    }

    #[test]
    fn a_script_anywhere_is_found(before in "(<g>|<!-- a -->|text|<path d='M0'/>){0,8}") {
        let open = before.matches("<g>").count();
        let text = svg(&format!("{before}<script/>{}", "</g>".repeat(open)));
        prop_assert!(matches!(recognise(text.as_bytes()), Err(Refused::UnsafeSvg(_))));
    }
}
