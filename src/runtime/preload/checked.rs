//! What of an image's documents is only checked, and not kept: whether containerd could read it.

use std::marker::PhantomData;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Unexpected};

use super::go::{Go, Over, shown};
use crate::api::rfc3339;

/// Text that is not kept.
#[derive(Debug, Default)]
pub(super) struct Word;

impl Go for Word {
    const WHAT: &'static str = "a text";

    fn text<E: Error>(&mut self, _: &str) -> Result<bool, E> {
        Ok(true)
    }
}

/// A whole number that is not kept.
#[derive(Debug, Default)]
pub(super) struct Whole;

impl Go for Whole {
    const WHAT: &'static str = "a whole number";

    fn number(&mut self, _: i64) -> bool {
        true
    }
}

/// True or false, not kept.
#[derive(Debug, Default)]
pub(super) struct Truth;

impl Go for Truth {
    const WHAT: &'static str = "true or false";

    fn truth(&mut self) -> bool {
        true
    }
}

/// A time, not kept.
#[derive(Debug, Default)]
pub(super) struct Time;

impl Go for Time {
    const WHAT: &'static str = "a time of RFC 3339";

    fn text<E: Error>(&mut self, text: &str) -> Result<bool, E> {
        match is_time(text) {
            true => Ok(true),
            false => Err(E::invalid_value(Unexpected::Str(shown(text)), &Self::WHAT)),
        }
    }
}

/// Whether Go's `time.Time` takes a text: to the letter, where `time.Parse` takes some more
/// (`parseStrictRFC3339`).
fn is_time(text: &str) -> bool {
    let is_strict = text.as_bytes().get(13) == Some(&b':') && !text.contains(',');
    let zone = text.split_at_checked(text.len().saturating_sub(5));
    let is_zone = text.ends_with('Z')
        || zone.is_some_and(|(_, zone)| zone < "24:00" && !zone.ends_with("60"));
    is_strict && is_zone && rfc3339(text).is_some()
}

/// An object of which nothing is looked at.
#[derive(Debug, Default)]
pub(super) struct Empty;

impl Go for Empty {
    const WHAT: &'static str = "an object";

    fn object<'de, A: MapAccess<'de>>(&mut self, mut map: A) -> Result<bool, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(true)
    }
}

/// A list of texts, not kept.
#[derive(Debug, Default)]
pub(super) struct Words;

impl Go for Words {
    const WHAT: &'static str = "a list of texts";

    fn list<'de, A: SeqAccess<'de>>(&mut self, list: A) -> Result<bool, A::Error> {
        Each::<Word>::default().list(list)
    }
}

/// A list that is not kept.
#[derive(Debug)]
pub(super) struct Each<T>(PhantomData<T>);

/// Values by names, not kept.
#[derive(Debug)]
pub(super) struct Named<T>(PhantomData<T>);

impl<T> Default for Each<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Go> Go for Each<T> {
    const WHAT: &'static str = "a list";

    fn list<'de, A: SeqAccess<'de>>(&mut self, mut list: A) -> Result<bool, A::Error> {
        while list.next_element_seed(Over(&mut T::default()))?.is_some() {}
        Ok(true)
    }
}

impl<T: Go> Go for Named<T> {
    const WHAT: &'static str = "an object";

    fn object<'de, A: MapAccess<'de>>(&mut self, mut map: A) -> Result<bool, A::Error> {
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(Over(&mut T::default()))?;
        }
        Ok(true)
    }
}
