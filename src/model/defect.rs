//! Defects of setlet: a panic is one, and costs whom it met and nobody else.

use std::any::Any;

/// What a panic said, in a sentence for people.
#[must_use]
pub fn defect(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let said = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!(
        "setlet failed, which is a defect of it: {}",
        said.unwrap_or("no reason given")
    )
}
