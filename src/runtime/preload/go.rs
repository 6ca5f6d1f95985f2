//! Reads JSON as Go's `encoding/json` does, by which containerd reads an image's documents: what that
//! refuses must be refused before a pod needs it, and what that takes must be taken.
//!
//! A key is the field's that it equals, or else that it equals but for its case. Of a key that is
//! there twice the later counts; into an object it is read over the earlier. `null` leaves text,
//! numbers and objects as they are, and empties lists, maps and what may be absent.
//! What is only checked is not kept: a document of a few megabytes must not take a hundred times as much.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess};
use serde::de::{Unexpected, Visitor};

/// A list that is kept may be this long; an image has at most 127 layers.
const LONGEST: usize = 1024;
/// Text that is kept may have so many bytes: digests, media types and paths are shorter.
const TEXT: usize = 4096;

/// What a value can be read into. Each of these takes a value of its kind, or says that it is of
/// another one by `false`.
pub(super) trait Go: Default {
    /// What the value should be, for errors.
    const WHAT: &'static str;

    fn null(&mut self) {}

    fn text<E: Error>(&mut self, _: &str) -> Result<bool, E> {
        Ok(false)
    }

    fn number(&mut self, _: i64) -> bool {
        false
    }

    fn truth(&mut self) -> bool {
        false
    }

    fn list<'de, A: SeqAccess<'de>>(&mut self, _: A) -> Result<bool, A::Error> {
        Ok(false)
    }

    fn object<'de, A: MapAccess<'de>>(&mut self, _: A) -> Result<bool, A::Error> {
        Ok(false)
    }
}

/// Reads a whole document.
pub(super) fn read<T: Go>(bytes: &[u8]) -> serde_json::Result<T> {
    // Go replaces what is no UTF-8.
    let text = String::from_utf8_lossy(bytes);
    let mut value = T::default();
    let mut json = serde_json::Deserializer::from_str(&text);
    Over(&mut value).deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

/// Reads a value over what is there already.
pub(super) struct Over<'a, T>(pub &'a mut T);

impl<'de, T: Go> DeserializeSeed<'de> for Over<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

fn if_taken<T: Go, E: Error>(taken: bool, found: Unexpected<'_>) -> Result<(), E> {
    match taken {
        true => Ok(()),
        false => Err(E::invalid_type(found, &T::WHAT)),
    }
}

impl<'de, T: Go> Visitor<'de> for Over<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WHAT)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.null();
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let taken = self.0.text(text)?;
        if_taken::<T, E>(taken, Unexpected::Str(shown(text)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        if_taken::<T, E>(self.0.number(number), Unexpected::Signed(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        let taken = i64::try_from(number).is_ok_and(|number| self.0.number(number));
        if_taken::<T, E>(taken, Unexpected::Unsigned(number))
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<(), E> {
        if_taken::<T, E>(self.0.truth(), Unexpected::Bool(truth))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        let taken = self.0.list(list)?;
        if_taken::<T, A::Error>(taken, Unexpected::Seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let taken = self.0.object(map)?;
        if_taken::<T, A::Error>(taken, Unexpected::Map)
    }
}

/// As much of a text as an error shows.
pub(super) fn shown(text: &str) -> &str {
    text.char_indices()
        .nth(64)
        .map_or(text, |(at, _)| &text[..at])
}

/// Reads a key, and says which of these it is.
pub(super) struct Key(pub &'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        let mut exact = self.0.iter().filter(|name| **name == key);
        let mut folded = self.0.iter().filter(|name| is_folded(key, name));
        Ok(exact.next().or_else(|| folded.next()).copied())
    }
}

/// Whether a key is a field's but for its case; two letters have a third one each.
fn is_folded(key: &str, name: &str) -> bool {
    let fold = |c: char| match c {
        '\u{212a}' => 'k',
        '\u{17f}' => 's',
        c => c.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(name.chars().map(fold))
}

/// Says which fields of an object there are: what is kept of it, and what is only checked.
macro_rules! object {
    ($type:ty { $($name:literal => $field:ident),* $(,)? } checked { $($also:literal => $kind:ty),* $(,)? }) => {
        impl Go for $type {
            const WHAT: &'static str = "an object";

            fn object<'de, A: MapAccess<'de>>(&mut self, mut map: A) -> Result<bool, A::Error> {
                while let Some(key) = map.next_key_seed(Key(&[$($name,)* $($also),*]))? {
                    match key {
                        $(Some($name) => map.next_value_seed(Over(&mut self.$field))?,)*
                        $(Some($also) => map.next_value_seed(Over(&mut <$kind>::default()))?,)*
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(true)
            }
        }
    };
}
pub(super) use object;

/// Text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text(pub String);

impl Go for Text {
    const WHAT: &'static str = "a text";

    fn text<E: Error>(&mut self, text: &str) -> Result<bool, E> {
        if text.len() > TEXT {
            let long = format_args!("a text has more than {TEXT} bytes");
            return Err(E::custom(long));
        }
        text.clone_into(&mut self.0);
        Ok(true)
    }
}

/// A whole number that is not negative.
impl Go for u64 {
    const WHAT: &'static str = "a whole number, of 0 or more";

    fn number(&mut self, number: i64) -> bool {
        let number = u64::try_from(number);
        *self = number.unwrap_or(*self);
        number.is_ok()
    }
}

/// A value that may be absent.
impl<T: Go> Go for Option<T> {
    const WHAT: &'static str = T::WHAT;

    fn null(&mut self) {
        *self = None;
    }

    fn text<E: Error>(&mut self, text: &str) -> Result<bool, E> {
        self.get_or_insert_default().text(text)
    }

    fn list<'de, A: SeqAccess<'de>>(&mut self, list: A) -> Result<bool, A::Error> {
        self.get_or_insert_default().list(list)
    }

    fn object<'de, A: MapAccess<'de>>(&mut self, map: A) -> Result<bool, A::Error> {
        self.get_or_insert_default().object(map)
    }
}

/// A bounded list.
#[derive(Debug, Clone)]
pub(super) struct List<T>(Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> IntoIterator for List<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T> List<T> {
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<T: Go> Go for List<T> {
    const WHAT: &'static str = "a list";

    fn null(&mut self) {
        self.0.clear();
    }

    fn list<'de, A: SeqAccess<'de>>(&mut self, mut list: A) -> Result<bool, A::Error> {
        self.0.clear();
        loop {
            let mut value = T::default();
            if list.next_element_seed(Over(&mut value))?.is_none() {
                return Ok(true);
            }
            if self.0.len() == LONGEST {
                let long = format_args!("a list has more than {LONGEST} entries");
                return Err(A::Error::custom(long));
            }
            self.0.push(value);
        }
    }
}
