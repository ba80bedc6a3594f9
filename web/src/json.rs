//! Strict JSON (RFC 8259): members twice are refused, numbers and the order of members are kept as they were sent.

use std::{collections::HashSet, fmt::Write as _};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use thiserror::Error;

/// Deeper than this nothing is looked at: every route's own limit is below.
const DEPTH_MAX: usize = 64;

/// The text is not JSON, or an object of it names a member twice.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct Malformed(#[from] serde_json::Error);

/// A JSON value; numbers as they were written, members in the order they were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it was written.
    Number(&'a str),
    /// A text.
    String(String),
    /// An array.
    Array(Vec<Self>),
    /// An object.
    Object(Vec<Member<'a>>),
    /// Something nested deeper than any route allows.
    TooDeep,
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Json<'a>,
    /// How long its value's text is, in bytes, as it was sent.
    pub sent_bytes: usize,
}

impl<'a> Json<'a> {
    /// Parses a text.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(text: &'a [u8]) -> Result<Self, Malformed> {
        let raw: &RawValue = serde_json::from_slice(text)?;
        Self::of(raw, 1)
    }

    fn of(raw: &'a RawValue, depth: usize) -> Result<Self, Malformed> {
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'{' | b'[') if depth > DEPTH_MAX => check_deep(text).map(|()| Self::TooDeep)?,
            Some(b'{') => {
                let Members(members) = serde_json::from_str(text)?;
                let members = members.into_iter().map(|(name, raw)| Member::of(name, raw, depth + 1));
                Self::Object(members.collect::<Result<_, _>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                Self::Array(items.into_iter().map(|raw| Self::of(raw, depth + 1)).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Self::String(serde_json::from_str(text)?),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') => Self::Null,
            Some(_) | None => Self::Number(text),
        })
    }

    /// How deep it is nested: 1 for an object of plain values, 0 for a plain value.
    #[must_use]
    pub fn depth(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => 0,
            Self::Array(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Object(members) => 1 + members.iter().map(|member| member.value.depth()).max().unwrap_or(0),
            Self::TooDeep => DEPTH_MAX,
        }
    }

    /// Its text without white space, members in the order they were given.
    #[must_use]
    pub fn compact(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, Order::AsGiven);
        text
    }

    /// Its text without white space, members sorted by name at every depth.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, Order::Sorted);
        text
    }

    fn write(&self, text: &mut String, order: Order) {
        match self {
            Self::Null | Self::TooDeep => text.push_str("null"),
            Self::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => text.push_str(number),
            Self::String(value) => write_string(text, value),
            Self::Array(items) => write_all(text, ['[', ']'], items, |text, item| item.write(text, order)),
            Self::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                if order == Order::Sorted {
                    members.sort_by(|a, b| a.name.cmp(&b.name));
                }
                write_all(text, ['{', '}'], &members, |text, member| {
                    write_string(text, &member.name);
                    text.push(':');
                    member.value.write(text, order);
                });
            }
        }
    }

    /// The value as serde_json has it, for a comparison with what the service shows.
    #[must_use]
    pub fn to_value(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&self.compact()).ok()
    }
}

/// Checks what is too deep to be taken apart, without recursion: that its texts are Unicode, and each name of an object
/// another. Its grammar has been checked.
fn check_deep(text: &str) -> Result<(), Malformed> {
    // For each object around, its names so far; none for an array.
    let (mut open, mut at) = (Vec::<Option<HashSet<String>>>::new(), 0);
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'{' => open.push(Some(HashSet::new())),
            b'[' => open.push(None),
            b'}' | b']' => drop(open.pop()),
            b'"' => {
                let end = at + string_length(&text.as_bytes()[at..]);
                let string: String = serde_json::from_str(&text[at..end])?;
                let is_name = text[end..].trim_start().starts_with(':');
                if let (true, Some(Some(names))) = (is_name, open.last_mut())
                    && !names.insert(string)
                {
                    return Err(named_twice::<serde_json::Error>().into());
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// How long a string is with its quotes, which the text begins with.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while text.get(at).is_some_and(|byte| *byte != b'"') {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

fn named_twice<E: serde::de::Error>() -> E {
    E::custom("an object names a member twice")
}

impl<'a> Member<'a> {
    fn of(name: String, raw: &'a RawValue, depth: usize) -> Result<Self, Malformed> {
        Ok(Self { name, value: Json::of(raw, depth)?, sent_bytes: raw.get().len() })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    AsGiven,
    Sorted,
}

fn write_string(text: &mut String, value: &str) {
    let quoted = serde_json::to_string(value).expect("every text can be quoted");
    write!(text, "{quoted}").expect("a String takes every write");
}

fn write_all<T>(text: &mut String, [open, close]: [char; 2], items: &[T], write: impl Fn(&mut String, &T)) {
    text.push(open);
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        write(text, item);
    }
    text.push(close);
}

/// The members of an object, each name once.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;

        impl<'de> Visitor<'de> for Once {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut members, mut names) = (Vec::new(), HashSet::new());
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    if !names.insert(name.clone()) {
                        return Err(named_twice());
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let json = Json::parse(text.as_bytes());
        assert_eq!(json.ok().map(|json| json.compact()).as_deref(), expected, "{text}");
    }

    #[test]
    fn numbers_and_the_order_of_members_are_kept_and_white_space_is_not() {
        check(
            r#" { "b" : 1.0e400 , "a" : [ 1 , "\u00e4 x" , null , true ] } "#,
            Some(r#"{"b":1.0e400,"a":[1,"ä x",null,true]}"#),
        );
    }

    #[test]
    fn what_is_no_json_or_names_a_member_twice_is_malformed() {
        for text in ["", "{", "{}x", "{'a':1}", "[1,]", "01", "\u{feff}{}", r#""\ud800""#, "nul"] {
            check(text, None);
        }
        check(r#"{"a":1,"a":2}"#, None);
        check(r#"{"a":1,"\u0061":2}"#, None);
        check(r#"[{"x":{"a":1,"a":1}}]"#, None);
        let deep = |text: &str| format!("{}{text}{}", "[".repeat(2_000), "]".repeat(2_000));
        for text in [r#"{"a":1,"a":2}"#, r#"{"a":{"a":"a"} , "\u0061" : 2}"#, r#""\ud800""#, r#"{"\"":1,"\"":[]}"#] {
            check(&deep(text), None);
        }
        for text in [r#"{"a":{"a":"a"},"b":["a","a",{"a":1}],"\"a":1}"#, r#""\ud83d\ude00 \" : ""#] {
            assert!(Json::parse(deep(text).as_bytes()).is_ok(), "{text}");
        }
        assert!(Json::parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn depth_is_counted_and_a_bottomless_text_does_not_overflow() {
        let depth = |text: &str| Json::parse(text.as_bytes()).expect("JSON").depth();
        assert_eq!(depth("1"), 0);
        assert_eq!(depth("{}"), 1);
        assert_eq!(depth(r#"{"a":[{}]}"#), 3);
        let bottomless = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(depth(&bottomless) >= DEPTH_MAX);
    }

    #[test]
    fn the_canonical_text_sorts_members_at_every_depth() {
        let json = Json::parse(br#"{"b":{"d":1,"c":2},"a":[{"z":1,"y":2}]}"#).expect("JSON");
        assert_eq!(json.canonical(), r#"{"a":[{"y":2,"z":1}],"b":{"c":2,"d":1}}"#);
    }
}
