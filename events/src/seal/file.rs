//! The master key file as text, and how a rotation changes it.

use std::path::Path;

use data_encoding::{BASE64, HEXLOWER};
use zeroize::Zeroizing;

use super::{Error, KEY_LEN, MasterKeys, random};

/// The text of a master key file, checked: one `<id> <base64>` a line, the last one active. Zeroed when it is dropped.
pub struct KeyFileText {
    text: Zeroizing<String>,
    keys: MasterKeys,
}

impl std::fmt::Debug for KeyFileText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.keys.fmt(f)
    }
}

impl KeyFileText {
    /// Reads a key file.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Line`], [`Error::NoKey`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(Zeroizing::new(std::fs::read_to_string(path)?))
    }

    /// Takes the text of a key file.
    ///
    /// # Errors
    /// [`Error::Line`], [`Error::NoKey`].
    pub fn parse(text: Zeroizing<String>) -> Result<Self, Error> {
        let keys = MasterKeys::parse(&text)?;
        Ok(Self { text, keys })
    }

    /// The text, for whoever writes the file.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &MasterKeys {
        &self.keys
    }

    /// The same with one more line, a fresh random key, which is the active one.
    #[must_use]
    pub fn with_fresh_key(&self) -> Self {
        let mut line = fresh_line();
        // Four random bytes may be those of another line.
        while self.keys.ids().any(|id| line.starts_with(&format!("{id} "))) {
            line = fresh_line();
        }
        // In one piece: text that grows leaves copies of itself behind, which nobody zeroes.
        let mut text = Zeroizing::new(String::with_capacity(self.text.len() + 1 + line.len()));
        text.push_str(&self.text);
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&line);
        Self::parse(text).expect("a fresh line of another id is a line")
    }

    /// The same with nothing but the line of the active key.
    #[must_use]
    pub fn with_active_key_only(&self) -> Self {
        let last = self.text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let mut text = Zeroizing::new(String::with_capacity(last.len() + 1));
        text.push_str(last);
        text.push('\n');
        Self::parse(text).expect("what was the active line is one")
    }
}

/// One line with a fresh random key.
pub(super) fn fresh_line() -> Zeroizing<String> {
    let bytes: Zeroizing<[u8; KEY_LEN]> = Zeroizing::new(random());
    let id = HEXLOWER.encode(&random::<4>());
    Zeroizing::new(format!("{id} {}\n", BASE64.encode_display(bytes.as_slice())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> KeyFileText {
        KeyFileText::parse(Zeroizing::new(text.to_owned())).expect("a key file")
    }

    #[test]
    fn a_fresh_key_is_the_last_line_and_the_others_stay_as_they_are() {
        let first = MasterKeys::generate_file();
        for text in [first.to_string(), first.trim_end().to_owned(), format!("\n{}\r\n\n", first.trim_end())] {
            let before = parse(&text);
            let after = before.with_fresh_key();
            assert!(after.expose().starts_with(&text));
            assert_eq!(after.keys().ids().count(), 2);
            assert_eq!(after.keys().ids().next(), Some(before.keys().active()));
            assert_ne!(after.keys().active(), before.keys().active());
            assert!(after.keys().opens_all_of(before.keys()) && !before.keys().opens_active_of(after.keys()));
        }
    }

    #[test]
    fn only_the_active_line_is_left_as_it_is() {
        let three = parse(&MasterKeys::generate_file()).with_fresh_key().with_fresh_key();
        let last = three.expose().lines().last().expect("three lines").to_owned();
        for end in ["", "\n\n  \n"] {
            let one = parse(&format!("{}{end}", three.expose())).with_active_key_only();
            assert_eq!(one.expose(), format!("{last}\n"));
            assert!(one.keys().opens_active_of(three.keys()) && !one.keys().opens_all_of(three.keys()));
        }
    }

    #[test]
    fn another_key_under_the_same_id_does_not_open_what_the_first_one_wrapped() {
        let one = parse(&MasterKeys::generate_file());
        let id = one.keys().active().to_owned();
        let other = parse(&format!("{id} {}\n", fresh_line().split_once(' ').expect("two words").1.trim_end()));
        assert!(!other.keys().opens_all_of(one.keys()) && !other.keys().opens_active_of(one.keys()));
    }
}
