//! Documents as Go's `encoding/json` reads them: what containerd could not read is refused, and what it
//! reads is taken: into the types of image-spec's `v1.Image`, by the rules of Go's documentation.

use super::*;

/// What is said of a configuration with these fields more.
fn of(more: &str) -> Result<(), String> {
    let config = format!(
        r#"{{"os": "linux", "architecture": "amd64", "rootfs": {{"diff_ids": ["{}"]}}, {more}}}"#,
        digest(LAYER)
    );
    let saved = saved_of(config.as_bytes(), &[LAYER]);
    brought(&saved.tar()).map(drop).map_err(|e| e.to_string())
}

#[test]
fn configurations_that_containerd_reads_are_taken() {
    for more in [
        r#""created": null"#,
        r#""created": "0001-01-01T00:00:00Z""#,
        r#""created": "2024-02-29T23:59:59.123456789+23:59""#,
        r#""author": null, "history": null, "config": null"#,
        r#""history": []"#,
        r#""history": [{}, null, {"created": "2020-01-01T00:00:00-07:00", "created_by": "RUN",
            "author": null, "comment": "", "empty_layer": true, "other": [1]}]"#,
        r#""rootfs": {"type": null}"#,
        r#""os.version": "10", "os.features": ["a", null]"#,
        r#""config": {"ExposedPorts": {"80/tcp": {"a": 1}, "81/tcp": null}, "Labels": {"a": null}}"#,
        r#""config": {"Healthcheck": 5, "OnBuild": "x", "Memory": 1.5, "ArgsEscaped": true}"#,
        // Keys but for their case; the long s and the Kelvin sign are cases of theirs.
        r#""CREATED": null, "HiſTory": [], "Author": "a""#,
        // The later counts, and an object is read over the earlier.
        r#""os": "windows", "os": "linux""#,
        r#""os": "windows", "OS": "linux""#,
        r#""os": null, "architecture": null"#,
        r#""rootfs": {"type": "layers"}, "rootfs": null"#,
        r#""config": {"Env": ["A=b"]}, "Config": {"Env": null}"#,
        r#""unknown": [[[{"deep": 1e999}]]]"#,
    ] {
        assert_eq!(of(more), Ok(()), "{more}");
    }
}

#[test]
fn configurations_that_containerd_cannot_read_are_refused() {
    for (more, why) in [
        (r#""created": """#, "expected a time of RFC 3339"),
        (
            r#""created": 5"#,
            "invalid type: integer `5`, expected a time",
        ),
        (r#""created": "2023-02-29T00:00:00Z""#, "a time"),
        (r#""created": "2023-02-28 00:00:00Z""#, "a time"),
        (r#""created": "2023-02-28T24:00:00Z""#, "a time"),
        (r#""created": "2023-02-28T00:00:60Z""#, "a time"),
        (r#""created": "2023-02-28T00:00:00""#, "a time"),
        (r#""created": "2023-02-28T00:00:00.Z""#, "a time"),
        (r#""created": "2023-02-28T00:00:00,5Z""#, "a time"),
        (r#""created": "2023-02-28T00:00:00z""#, "a time"),
        (r#""created": "2023-02-28T00:00:00+24:00""#, "a time"),
        (r#""created": "2023-02-28T00:00:00é""#, "a time"),
        (r#""created": "+023-02-28T00:00:00Z""#, "a time"),
        (
            r#""author": ["a"]"#,
            "invalid type: sequence, expected a text",
        ),
        (r#""history": {}"#, "invalid type: map, expected a list"),
        (r#""history": ["RUN"]"#, "expected an object"),
        (
            r#""history": [{"empty_layer": "true"}]"#,
            "expected true or false",
        ),
        (r#""history": [{"created": "today"}]"#, "expected a time"),
        (r#""history": [{"created_by": ["RUN"]}]"#, "expected a text"),
        (r#""rootfs": {"type": 1}"#, "expected a text"),
        (r#""rootfs": []"#, "expected an object"),
        (r#""ROOTFS": {"Type": 1}"#, "expected a text"),
        (r#""os.version": 10"#, "expected a text"),
        (r#""os.features": "a""#, "expected a list of texts"),
        (
            r#""config": {"ExposedPorts": {"80/tcp": 1}}"#,
            "expected an object",
        ),
        (r#""config": {"Volumes": ["/a"]}"#, "expected an object"),
        (r#""config": {"Labels": {"a": 1}}"#, "expected a text"),
        (r#""config": {"env": "A=b"}"#, "expected a list of texts"),
        (
            r#""config": {"ArgsEscaped": "true"}"#,
            "expected true or false",
        ),
        // What counts no longer must be right all the same.
        (r#""author": 1, "author": "a""#, "expected a text"),
    ] {
        let said = of(more).expect_err(more);
        assert!(
            said.starts_with("c.json in it cannot be understood"),
            "{said}"
        );
        assert!(said.contains(why), "{more}: {said}");
    }
}

#[test]
fn lists_of_images_are_read_alike() {
    let mut files = saved_of(&config("amd64"), &[LAYER]);
    files.0.pop();
    let list = r#"[{"CONFIG": "x", "config": "c.json", "repotags": ["r.io/app:v1"], "RepoTags": null,
        "repoTags": ["r.io/app:v2"], "layers": ["0/layer.tar"], "Parent": 5}]"#;
    files.put("manifest.json", list);
    assert_eq!(names(&brought(&files.tar()).unwrap()), ["r.io/app:v2"]);

    let mut files = Files::default();
    let mut target = named(files.manifest(&config("amd64")), "r.io/app:v1");
    target["urls"] = json!(null);
    target["platform"] = json!({"os": "linux", "ARCHITECTURE": "amd64", "os.features": null});
    let files = files.layout(&[target.clone()]);
    assert_eq!(names(&brought(&files.tar()).unwrap()), ["r.io/app:v1"]);
    for (field, value, why) in [
        ("urls", json!("a"), "expected a list of texts"),
        ("size", json!(1.5), "expected a whole number"),
        ("annotations", json!({"a": 1}), "expected a text"),
        ("platform", json!({"os.version": 1}), "expected a text"),
    ] {
        let mut wrong = target.clone();
        wrong[field] = value;
        let said = said(&Files::default().layout(&[wrong]).tar());
        assert!(said.contains(why), "{field}: {said}");
    }
}

#[test]
fn long_texts_are_not_kept() {
    let long = "a".repeat(5000);
    let said = of(&format!(r#""architecture": "{long}""#)).unwrap_err();
    assert!(said.contains("a text has more than 4096 bytes"), "{said}");
    assert_eq!(of(&format!(r#""author": "{long}""#)), Ok(()));
}
