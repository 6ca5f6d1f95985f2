//! When an image is pulled: what its reference says about its tag.

use crate::api::ImageName;

/// The pull policy for an image: `Always` for the tag `latest`, written or meant.
///
/// A reference that cannot be parsed has no tag, so it is `IfNotPresent`, like one with a digest.
pub(in crate::api) fn pull_policy(image: &str) -> &'static str {
    match ImageName::parse(image) {
        Ok(name) if name.is_latest() => "Always",
        _ => "IfNotPresent",
    }
}

#[cfg(test)]
mod tests {
    use super::pull_policy;

    #[test]
    fn only_the_tag_latest_is_always_pulled() {
        let digest = format!("@sha256:{}", "ab".repeat(32));
        for image in [
            "x",
            "x:latest",
            "r.example:5000/a/b",
            "r.example:5000/a:latest",
        ] {
            assert_eq!(pull_policy(image), "Always", "{image}");
        }
        assert_eq!(pull_policy(&format!("x:latest{digest}")), "Always");
        for image in [
            "x:1",
            "x:LATEST",
            "",
            "a b",
            "X",
            "x:",
            "x@sha256:12",
            "https://r.example/x",
        ] {
            assert_eq!(pull_policy(image), "IfNotPresent", "{image}");
        }
        assert_eq!(pull_policy(&format!("x{digest}")), "IfNotPresent");
    }
}
