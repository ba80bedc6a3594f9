//! The members of a body: each is taken by name, what is left over is refused.

use web::{
    json::{Json, Member},
    problem::Fault,
};

use crate::decide::Field;

/// What a body is for: it decides what null and an empty text mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Null and an empty text count as not given.
    Create,
    /// An empty text counts as null, which clears.
    Update,
}

/// The members that are not taken yet, and what was found wrong so far.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    purpose: Purpose,
    members: Vec<Member<'a>>,
    pub(super) faults: Vec<Fault>,
}

/// Whether it is null, or an empty text in its place.
pub(super) fn is_null(value: &Json<'_>) -> bool {
    match value {
        Json::Null => true,
        Json::String(text) => text.trim().is_empty(),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) | Json::TooDeep => false,
    }
}

impl<'a> Fields<'a> {
    /// The members of a body, which must be an object.
    pub(super) fn of(body: Json<'a>, purpose: Purpose) -> Result<Self, Vec<Fault>> {
        match body {
            Json::Object(members) => Ok(Self { purpose, members, faults: Vec::new() }),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) | Json::TooDeep => {
                Err(vec![Fault::new("", "must be an object")])
            }
        }
    }

    pub(super) fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Takes a member.
    pub(super) fn take(&mut self, name: &str) -> Option<Member<'a>> {
        let at = self.members.iter().position(|member| member.name == name)?;
        Some(self.members.remove(at))
    }

    /// Takes a member that may be given as null, or as an empty text in its place.
    pub(super) fn take_field(&mut self, name: &str) -> Field<Member<'a>> {
        match self.take(name) {
            None => Field::Absent,
            Some(member) if is_null(&member.value) => self.null(),
            Some(member) => Field::Value(member),
        }
    }

    /// What null means.
    fn null<T>(&self) -> Field<T> {
        match self.purpose {
            Purpose::Create => Field::Absent,
            Purpose::Update => Field::Null,
        }
    }

    /// Says what is wrong with a member.
    pub(super) fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.faults.push(Fault::new(format!("/{name}"), message));
    }

    /// Says that a member is missing, unless something else was found wrong with it.
    pub(super) fn require(&mut self, name: &str, message: &str) {
        let pointer = format!("/{name}");
        if self.faults.iter().all(|fault| fault.pointer != pointer) {
            self.fault(name, message);
        }
    }

    /// Takes a text, trimmed, without control characters.
    pub(super) fn text(&mut self, name: &str, chars_max: usize) -> Field<String> {
        self.text_with(name, chars_max, |char| !char.is_control())
    }

    /// Takes a text, trimmed, of characters that are allowed.
    pub(super) fn text_with(&mut self, name: &str, chars_max: usize, allowed: fn(char) -> bool) -> Field<String> {
        let text = match self.take_field(name) {
            Field::Value(Member { value: Json::String(text), .. }) => text,
            Field::Value(_) => {
                self.fault(name, "must be a text");
                return Field::Absent;
            }
            Field::Null => return Field::Null,
            Field::Absent => return Field::Absent,
        };
        let text = text.trim();
        let (is_short, is_allowed) = (text.chars().count() <= chars_max, text.chars().all(allowed));
        if !is_short {
            self.fault(name, format!("must be at most {chars_max} characters"));
        }
        if !is_allowed {
            self.fault(name, "must not have control characters");
        }
        if is_short && is_allowed { Field::Value(text.to_owned()) } else { Field::Absent }
    }

    /// Takes a text that is parsed into something.
    pub(super) fn parsed<T, E>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, E>, rule: &str) -> Field<T> {
        self.parsed_with(name, |text| parse(text).map_err(|_| rule.to_owned()))
    }

    /// Takes a text that is parsed into something, or says why not.
    pub(super) fn parsed_with<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Field<T> {
        match self.text(name, usize::MAX) {
            Field::Absent => Field::Absent,
            Field::Null => Field::Null,
            Field::Value(text) => match parse(&text) {
                Ok(value) => Field::Value(value),
                Err(rule) => {
                    self.fault(name, rule);
                    Field::Absent
                }
            },
        }
    }

    /// Takes an id, which is exactly as it is given.
    pub(super) fn id<T, E>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, E>, rule: &str) -> Field<T> {
        let id = match self.take_field(name) {
            Field::Value(Member { value: Json::String(text), .. }) => parse(&text).ok(),
            Field::Value(_) => None,
            Field::Null => return Field::Null,
            Field::Absent => return Field::Absent,
        };
        if id.is_none() {
            self.fault(name, rule);
        }
        id.map_or(Field::Absent, Field::Value)
    }

    /// Takes a boolean.
    pub(super) fn boolean(&mut self, name: &str) -> Field<bool> {
        match self.take_field(name) {
            Field::Value(Member { value: Json::Bool(value), .. }) => Field::Value(value),
            Field::Value(_) => {
                self.fault(name, "must be true or false");
                Field::Absent
            }
            Field::Null => Field::Null,
            Field::Absent => Field::Absent,
        }
    }

    /// The value of a field that cannot be cleared.
    pub(super) fn not_null<T>(&mut self, name: &str, field: Field<T>) -> Option<T> {
        match field {
            Field::Absent => None,
            Field::Null => {
                self.fault(name, "cannot be cleared");
                None
            }
            Field::Value(value) => Some(value),
        }
    }

    /// Refuses every member that was not taken, by name.
    pub(super) fn refuse_rest(&mut self) {
        for member in std::mem::take(&mut self.members) {
            let name = member.name.replace('~', "~0").replace('/', "~1");
            self.fault(&name, "is not a field of this request");
        }
    }
}
