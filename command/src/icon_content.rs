//! What an icon may be, told by its content alone: a raster image, or an SVG that neither runs nor loads anything.

use events::{
    event::IconType,
    limits::{ICON_BYTES_MAX, SVG_ATTRIBUTES_MAX, SVG_NAMESPACE_BYTES_MAX, SVG_NAMESPACES_MAX, SVG_NODES_MAX},
};
use roxmltree::{Attribute, Document, Node, ParsingOptions};
use thiserror::Error;

/// Why a file is no icon: a sentence part, "must …".
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Refused {
    /// It is none of the types that an icon can have.
    #[error("must be a PNG, JPEG, GIF, WebP or SVG image")]
    UnknownType,
    /// It is meant as an SVG, but is not well-formed or breaks a rule: the rule, and where.
    #[error("{0}")]
    UnsafeSvg(String),
}

/// Tells the type of an icon, whatever it was declared or named.
///
/// Raster images are told by the patterns of the WHATWG's MIME Sniffing Standard and not looked into: they are served
/// as what they are taken for, with `nosniff`. An SVG is parsed, and every element and attribute is looked at.
///
/// # Errors
/// [`Refused`], which tells apart a file of another type and an SVG that is not accepted.
pub(crate) fn recognise(bytes: &[u8]) -> Result<IconType, Refused> {
    if let Some(raster) = raster(bytes) {
        return Ok(raster);
    }
    if !looks_like_svg(&String::from_utf8_lossy(bytes)) {
        return Err(Refused::UnknownType);
    }
    let text = str::from_utf8(bytes).map_err(|_| Refused::UnsafeSvg("must be UTF-8".to_owned()))?;
    check_svg(text).map_err(Refused::UnsafeSvg)?;
    Ok(IconType::Svg)
}

fn raster(bytes: &[u8]) -> Option<IconType> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(IconType::Png),
        [0xff, 0xd8, 0xff, ..] => Some(IconType::Jpeg),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(IconType::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', b'V', b'P', ..] => Some(IconType::Webp),
        _ => None,
    }
}

/// Whether a text is meant as an SVG: its first tag is an `svg`, or something that may precede one does.
fn looks_like_svg(text: &str) -> bool {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_start().to_ascii_lowercase();
    let Some(rest) = text.strip_prefix('<') else { return false };
    if ["?", "!--", "!doctype"].iter().any(|start| rest.starts_with(start)) {
        return rest.contains("<svg") || rest.contains(":svg");
    }
    let name = rest.split([' ', '\t', '\r', '\n', '/', '>']).next().unwrap_or_default();
    name.rsplit(':').next() == Some("svg")
}

const BYTE_ORDER_MARK: char = '\u{feff}';
const SVG_NAMESPACE: &str = "http://www.w3.org/2000/svg";
const HTML_NAMESPACE: &str = "http://www.w3.org/1999/xhtml";

fn check_svg(text: &str) -> Result<(), String> {
    check_cost(text)?;
    check_declaration(text)?;
    let options = ParsingOptions { allow_dtd: false, nodes_limit: SVG_NODES_MAX, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| not_well_formed(&error))?;
    if !document.root_element().has_tag_name((SVG_NAMESPACE, "svg")) {
        return Err(format!("must have the root element svg in the namespace {SVG_NAMESPACE}"));
    }
    let broken = document.descendants().find_map(|node| check_node(node).err());
    broken.map_or(Ok(()), |(rule, at)| {
        let place = document.text_pos_at(at);
        Err(format!("{rule} (line {}, column {})", place.row, place.col))
    })
}

/// Says where the parser stopped; its own message would echo names of any length.
fn not_well_formed(error: &roxmltree::Error) -> String {
    if *error == roxmltree::Error::DtdDetected {
        return "must not have a DOCTYPE".to_owned();
    }
    if *error == roxmltree::Error::NodesLimitReached {
        return format!("must have at most {SVG_NODES_MAX} nodes");
    }
    let place = error.pos();
    format!("must be well-formed XML (line {}, column {})", place.row, place.col)
}

/// Refuses what would keep the parser busy for seconds: it only limits nodes itself, but compares each attribute of an
/// element with each, their namespaces byte by byte, and copies those in scope for each element that declares one.
/// Its memory does not depend on how deep elements are nested; nor does its stack, since 0.21.2.
fn check_cost(text: &str) -> Result<(), String> {
    if text.len() > ICON_BYTES_MAX {
        return Err(format!("must have at most {ICON_BYTES_MAX} bytes"));
    }
    if text.split('<').any(|tag| attributes(tag) > SVG_ATTRIBUTES_MAX) {
        return Err(format!("must have at most {SVG_ATTRIBUTES_MAX} attributes in an element"));
    }
    if text.matches("xmlns").count() > SVG_NAMESPACES_MAX {
        return Err(format!("must declare at most {SVG_NAMESPACES_MAX} namespaces"));
    }
    for (at, _) in text.match_indices("xmlns") {
        if namespace_bytes(&text[at..]) > SVG_NAMESPACE_BYTES_MAX {
            return Err(format!("must not have a namespace of more than {SVG_NAMESPACE_BYTES_MAX} bytes"));
        }
        // The parser takes `x:xmlns="…"` for a declaration of the default namespace, browsers do not.
        if text[..at].ends_with(':') {
            return Err("must not have a prefix before xmlns".to_owned());
        }
    }
    Ok(())
}

/// At least how many attributes a tag has: what follows it is counted too if it looks like an attribute.
fn attributes(tag: &str) -> usize {
    tag.split('=').skip(1).filter(|value| value.trim_start().starts_with(['"', '\''])).count()
}

fn namespace_bytes(declaration: &str) -> usize {
    let Some(start) = declaration.find(['"', '\'']) else { return 0 };
    let (quote, namespace) = declaration[start..].split_at(1);
    namespace.find(quote).unwrap_or(namespace.len())
}

/// Refuses an XML declaration by which a browser would read other characters than we do.
fn check_declaration(text: &str) -> Result<(), String> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let Some((declaration, _)) = text.strip_prefix("<?xml ").and_then(|rest| rest.split_once("?>")) else {
        return Ok(());
    };
    let declaration: String = declaration.replace('\'', "\"").to_ascii_lowercase().split_ascii_whitespace().collect();
    let parts: Vec<&str> = declaration.split('"').collect();
    let known = parts.chunks(2).all(|part| {
        matches!(part, ["version=", "1.0"] | ["encoding=", "utf-8" | "us-ascii"] | ["standalone=", "yes" | "no"] | [""])
    });
    if known { Ok(()) } else { Err("must be XML 1.0 in UTF-8, and its XML declaration say nothing else".to_owned()) }
}

/// A rule that is broken.
type Rule = &'static str;

/// Finds the first rule that a node breaks, and at which byte.
fn check_node(node: Node<'_, '_>) -> Result<(), (Rule, usize)> {
    if node.is_pi() {
        return Err(("must not have processing instructions", node.range().start));
    }
    if !node.is_element() {
        return Ok(());
    }
    check_element(node).map_err(|rule| (rule, node.range().start))?;
    for attribute in node.attributes() {
        check_attribute(node, attribute).map_err(|rule| (rule, attribute.range().start))?;
    }
    Ok(())
}

/// Elements that bring in another document or code, in whatever namespace: some browsers gave SVG some of HTML's.
const FOREIGN_ELEMENTS: [&str; 12] =
    ["applet", "audio", "base", "embed", "frame", "handler", "iframe", "link", "listener", "meta", "object", "video"];

fn check_element(element: Node<'_, '_>) -> Result<(), Rule> {
    // The parser lets a second `xmlns="…"` pass, and which of the two counts would be its choice.
    if element.namespaces().filter(|namespace| namespace.name().is_none()).count() > 1 {
        return Err("must be well-formed XML: xmlns stands twice");
    }
    let name = element.tag_name().name().to_ascii_lowercase();
    match name.as_str() {
        "script" => return Err("must not have a script element"),
        "foreignobject" => return Err("must not have a foreignObject element"),
        "style" => check_css(&style_sheet(element))?,
        _ => {}
    }
    if element.tag_name().namespace() == Some(HTML_NAMESPACE) || FOREIGN_ELEMENTS.contains(&name.as_str()) {
        return Err("must not have HTML elements, or any that embed a document or media");
    }
    Ok(())
}

/// The text that a browser would parse: a comment or an element in between does not split a word.
fn style_sheet(style: Node<'_, '_>) -> String {
    style.children().filter(Node::is_text).filter_map(|text| text.text()).collect()
}

/// Attributes without a namespace that refer to something, beside `href` and `src`.
const REFERENCES: [&str; 12] = [
    "action",
    "archive",
    "background",
    "classid",
    "codebase",
    "data",
    "formaction",
    "longdesc",
    "manifest",
    "ping",
    "poster",
    "srcset",
];

fn check_attribute(element: Node<'_, '_>, attribute: Attribute<'_, '_>) -> Result<(), Rule> {
    let name = attribute.name().to_ascii_lowercase();
    if is_event_handler(&name) {
        return Err("must not have event handler attributes");
    }
    if name == "base" {
        return Err("must not have the attribute xml:base");
    }
    if has_script_uri(attribute.value()) {
        return Err("must not have a javascript: URI");
    }
    let plain = attribute.namespace().is_none();
    if is_reference(&name) || plain && REFERENCES.contains(&name.as_str()) {
        return check_reference(element, attribute.value());
    }
    if !plain {
        return Ok(());
    }
    if name == "attributename" {
        return check_animated(attribute.value());
    }
    check_css(attribute.value())
}

fn is_event_handler(name: &str) -> bool {
    name.strip_prefix("on").is_some_and(|event| event.starts_with(|first: char| first.is_alphabetic()))
}

fn is_reference(name: &str) -> bool {
    matches!(name, "href" | "src")
}

/// White space and control characters are skipped as a browser would; entities are resolved already.
fn has_script_uri(value: &str) -> bool {
    let value: String = value.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
    let value = value.to_ascii_lowercase();
    value.contains("javascript:") || value.contains("vbscript:")
}

const RASTER_TYPES: [&str; 4] = ["data:image/png", "data:image/jpeg", "data:image/gif", "data:image/webp"];

fn check_reference(element: Node<'_, '_>, value: &str) -> Result<(), Rule> {
    if value.starts_with('#') {
        return Ok(());
    }
    if element.tag_name().name().eq_ignore_ascii_case("a") {
        return Err("must not link to anything but #fragments");
    }
    if is_raster_data(&value.to_ascii_lowercase()) {
        return Ok(());
    }
    Err("must not refer to anything but #fragments and data: URIs of PNG, JPEG, GIF or WebP images")
}

/// Whether a URI in lower case holds a raster image itself.
fn is_raster_data(uri: &str) -> bool {
    let is_of = |of: &&str| uri.strip_prefix(of).is_some_and(|rest| rest.starts_with([';', ',']));
    RASTER_TYPES.iter().any(is_of)
}

/// An animation could set what the attribute itself must not have.
fn check_animated(target: &str) -> Result<(), Rule> {
    let target = target.trim().to_ascii_lowercase();
    let name = target.rsplit(':').next().unwrap_or_default();
    if is_reference(name) || is_event_handler(name) || name == "base" {
        return Err("must not animate references or event handlers");
    }
    Ok(())
}

/// What loads something in CSS, beside `url()`.
const CSS_LOADERS: [&str; 4] = ["@import", "image(", "image-set(", "src("];

/// Checks a style sheet, a `style` attribute or a presentation attribute. It does not tokenise: CSS comments and
/// strings are looked into like the rest, so that nothing depends on where they end.
fn check_css(css: &str) -> Result<(), Rule> {
    let css = css.to_ascii_lowercase();
    // An escape may stand for a letter of a name, but not for the `(` or `@` that makes it a function or at-rule.
    if css.contains('\\') && css.contains(['(', '@']) {
        return Err("must not have escapes in CSS that has functions or at-rules");
    }
    if CSS_LOADERS.iter().any(|loader| css.contains(loader)) {
        return Err("must not load anything by CSS: no @import, image(), image-set() or src()");
    }
    if !css.split("url(").skip(1).all(is_within) {
        return Err(
            "must not have a url() of anything but a #fragment or a data: URI of a PNG, JPEG, GIF or WebP image",
        );
    }
    Ok(())
}

/// Whether what follows `url(` is within the file. White space is CSS's: any other would be part of the URL.
fn is_within(url: &str) -> bool {
    let url = url.trim_start_matches([' ', '\t', '\n', '\r']);
    let url = url.strip_prefix(['"', '\'']).unwrap_or(url);
    url.starts_with('#') || is_raster_data(url)
}

#[cfg(test)]
mod tests;
