//! The envelope of an entry: format version and checksum around a JSON value.
//!
//! The file is JSON itself, of a fixed shape, `{"version":1,"sha256":"…","value":…}` and a line
//! feed; the checksum is over the value's bytes as they stand there.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

const VERSION: u32 = 1;
const BEGIN: &[u8] = b"{\"version\":";
const SUM: &[u8] = b",\"sha256\":\"";
const VALUE: &[u8] = b"\",\"value\":";
const END: &[u8] = b"}\n";

/// Why an envelope could not be opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsealed {
    /// It was written by a later version in another format.
    Newer(u32),
    /// It is not what was written.
    Damaged(String),
}

/// The bytes of an entry of whole Kubernetes objects. By way of a `Value`, here and in
/// [`unseal_objects`]: the code that writes and reads these is large, and everything else that does
/// goes that way, so that the program holds it once.
pub(super) fn seal_objects<T: Serialize>(value: &T) -> serde_json::Result<Vec<u8>> {
    seal(&serde_json::to_value(value)?)
}

/// The value of an entry of whole Kubernetes objects.
pub(super) fn unseal_objects<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unsealed> {
    let value = unseal::<serde_json::Value>(bytes)?;
    serde_json::from_value(value).map_err(|error| Unsealed::Damaged(error.to_string()))
}

/// The bytes of an entry.
pub(super) fn seal<T: Serialize>(value: &T) -> serde_json::Result<Vec<u8>> {
    let value = serde_json::to_vec(value)?;
    let version = VERSION.to_string();
    let sum = checksum(&value);
    let parts: [&[u8]; 7] = [
        BEGIN,
        version.as_bytes(),
        SUM,
        sum.as_bytes(),
        VALUE,
        &value,
        END,
    ];
    Ok(parts.concat())
}

/// The value of an entry.
pub(super) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unsealed> {
    let damaged = |what: &str| Unsealed::Damaged(what.to_owned());
    let rest = bytes
        .strip_prefix(BEGIN)
        .ok_or_else(|| damaged("it does not begin as an entry does"))?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (version, rest) = rest.split_at(digits);
    let version: u32 = std::str::from_utf8(version)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| damaged("its version is not a number"))?;
    if version > VERSION {
        return Err(Unsealed::Newer(version));
    }
    let (sum, rest) = rest
        .strip_prefix(SUM)
        .and_then(|rest| rest.split_at_checked(64))
        .ok_or_else(|| damaged("it has no checksum"))?;
    let value = rest
        .strip_prefix(VALUE)
        .and_then(|rest| rest.strip_suffix(END))
        .ok_or_else(|| damaged("it is cut off"))?;
    if checksum(value).as_bytes() != sum {
        return Err(damaged("its checksum does not match"));
    }
    serde_json::from_slice(value).map_err(|error| Unsealed::Damaged(error.to_string()))
}

/// The hexadecimal SHA-256 of some bytes.
pub(super) fn checksum(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
