//! Which fields the objects have and of what type: the table that strict decoding goes by.
//!
//! The field names and types are those of the Kubernetes v1.36 API. The table also tells what Go's
//! `omitempty` tells: a field that is no pointer there loses its zero value (`""`, `0`, `false`) on
//! the way through the API server, a pointer keeps it. Nothing here reads a value.

mod container;
mod meta;
mod pod;
mod volume;
mod workload;

pub(crate) use workload::{CONFIG_MAP, DAEMON_SET, SECRET};

/// The type of a field; the `Ptr` types are pointers in Go and keep their zero value.
#[derive(Debug)]
pub(crate) enum Type {
    /// Text that disappears when empty.
    Str,
    /// Text that may be empty.
    StrPtr,
    /// A boolean that disappears when false.
    Bool,
    /// A boolean that may be false.
    BoolPtr,
    /// 32 bits, disappearing when zero.
    Int32,
    /// 32 bits, zero allowed.
    Int32Ptr,
    /// 64 bits, disappearing when zero.
    Int64,
    /// 64 bits, zero allowed.
    Int64Ptr,
    /// A `resource.Quantity`, canonicalised while decoding.
    Quantity,
    /// A number or text.
    IntOrString,
    /// An RFC 3339 time.
    Time,
    /// Bytes in base64.
    Bytes,
    /// Anything; taken as it is.
    Any,
    /// A list.
    List(&'static Type),
    /// A map with text as keys.
    Map(&'static Type),
    /// An object with known fields.
    Object(&'static Struct),
}

/// An object type: its name in the Kubernetes API and its fields.
#[derive(Debug)]
pub(crate) struct Struct {
    /// The type's name, for messages.
    pub(crate) name: &'static str,
    /// Name and type of each field.
    pub(crate) fields: &'static [(&'static str, Type)],
}

impl Struct {
    /// The type of the field with exactly this name.
    pub(crate) fn field(&self, name: &str) -> Option<&'static Type> {
        self.fields
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, ty)| ty)
    }

    /// The known field that differs from `name` in letter case only.
    pub(crate) fn other_case(&self, name: &str) -> Option<&'static str> {
        self.fields
            .iter()
            .map(|(known, _)| *known)
            .find(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Declares one static [`Struct`] per entry: `NAME "Name" { field: type, … }`.
macro_rules! structs {
    ($($id:ident $name:literal { $($field:ident: $ty:expr),* $(,)? })*) => {
        #[allow(unused_imports)]
        use $crate::api::schema::Type::*;
        $(pub(crate) static $id: $crate::api::schema::Struct = $crate::api::schema::Struct {
            name: $name,
            fields: &[$((stringify!($field), $ty)),*],
        };)*
    };
}
use structs;
