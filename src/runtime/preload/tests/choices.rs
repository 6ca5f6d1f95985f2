//! Which of several images an archive's names stand for, and by which digests.

use super::*;

#[test]
fn layouts_bring_what_is_in_them() {
    let mut files = Files::default();
    let manifest = files.manifest(&config("amd64"));
    let missing =
        json!({"mediaType": MANIFEST, "digest": digest(b"another platform's"), "size": 1});
    let index = files.index(&[missing, manifest.clone()]);
    let files = files.layout(&[named(index.clone(), "r.io/app:v1")]);
    let brought = brought(&files.tar()).unwrap();
    let image = &brought.images["r.io/app:v1"];
    assert_eq!(image.digest, index["digest"]);
    assert_eq!(image.media_type, INDEX);
    let documents: Vec<_> = brought.documents.iter().map(|d| &d.digest).collect();
    let config = digest(&config("amd64"));
    assert_eq!(documents[0], &config);
    assert_eq!(documents[1], &manifest["digest"]);
    assert_eq!(documents[2], &index["digest"]);
    let labels = &brought.documents[2].labels;
    assert_eq!(
        labels["containerd.io/gc.ref.content.m.0"],
        manifest["digest"]
    );
}

#[test]
fn names_by_digest_come_with_names_by_tag() {
    let mut files = Files::default();
    let manifest = files.manifest(&config("amd64"));
    let index = files.index(std::slice::from_ref(&manifest));
    let files = files.layout(&[named(index.clone(), "app:v1")]);
    let brought = brought(&files.tar()).unwrap();
    let image = &brought.images["docker.io/library/app:v1"];
    let by = |target: &Value| {
        let digest = target["digest"].as_str().unwrap();
        format!("docker.io/library/app@{digest}")
    };
    let digests: Vec<_> = image.digests.keys().cloned().collect();
    let mut expected = vec![by(&index), by(&manifest)];
    expected.sort();
    assert_eq!(digests, expected);
    assert_eq!(image.digests[&by(&manifest)].0, MANIFEST);
}

/// For docker's archives the manifest is made here, and its digest is not the registry's.
#[test]
fn a_name_by_digest_of_something_else_is_refused() {
    let mut files = saved_of(&config("amd64"), &[LAYER]);
    let other = format!("app@{}", digest(b"another manifest"));
    let manifest =
        json!([{"Config": "c.json", "RepoTags": [other, "app:v1"], "Layers": ["0/layer.tar"]}]);
    files.put("manifest.json", manifest.to_string());
    let brought = brought(&files.tar()).expect("the other name is fine");
    assert_eq!(names(&brought), ["docker.io/library/app:v1"]);
    let refused = brought.refused[0].to_string();
    assert!(
        refused.starts_with("docker.io/library/app@sha256:"),
        "{refused}"
    );
}

/// One bad image took all others of its archive with it.
#[test]
fn a_bad_image_is_left_out_of_its_archive() {
    for lacks in [false, true] {
        let mut files = Files::default();
        let good = files.manifest(&config("amd64"));
        let spoilt = br#"{"architecture": 7}"#;
        let bad = files.manifest(spoilt);
        if lacks {
            files.0.retain(|(path, _)| *path != blob(spoilt));
        }
        let archive = files.layout(&[named(bad, "r.io/bad:v1"), named(good, "r.io/good:v1")]);
        let brought = brought(&archive.tar()).expect("the good one");
        assert!(brought.images.contains_key("r.io/good:v1"), "{lacks}");
        assert!(!brought.images.contains_key("r.io/bad:v1"), "{lacks}");
        assert_eq!(brought.refused.len(), 1, "{:?}", brought.refused);
    }
}

#[test]
fn names_are_one_however_they_are_spelled() {
    for name in [
        "docker.io/app:v1",
        "index.docker.io/library/app:v1",
        "library/app:v1",
    ] {
        let brought = brought(&layout(name).tar()).unwrap();
        assert_eq!(names(&brought), ["docker.io/library/app:v1"], "{name}");
    }
}

#[test]
fn this_machines_platform_wins() {
    let architectures = ["386", "arm64", "amd64", "s390x"];
    for shift in 0..architectures.len() {
        let mut order = architectures;
        order.rotate_left(shift);
        // In one index, which may say so or not, or under one name.
        for how in ["said", "unsaid", "names"] {
            let mut files = Files::default();
            let targets = order.map(|architecture| {
                let target = files.manifest(&config(architecture));
                match how {
                    "said" => of_platform(target, architecture),
                    _ => target,
                }
            });
            let targets = match how {
                "names" => targets.to_vec(),
                _ => vec![files.index(&targets)],
            };
            let targets: Vec<_> = targets
                .into_iter()
                .map(|target| named(target, "r.io/app:v1"))
                .collect();
            let archive = files.layout(&targets).tar();
            for (architecture, taken) in [("amd64", "amd64"), ("386", "386"), ("arm64", "arm64")] {
                let (brought, _) = read_for(&archive, &machine(architecture)).unwrap();
                let config = &brought.images["r.io/app:v1"].layers.config;
                assert_eq!(*config, digest(&super::config(taken)), "{order:?} {how}");
                assert!(brought.refused.is_empty());
            }
            let refused = read_for(&archive, &machine("riscv64")).unwrap_err();
            assert!(refused.to_string().contains("platform"), "{refused}");
        }
    }
}

#[test]
fn another_platforms_image_is_refused_with_both_named() {
    let saved = said(&saved_of(&config("arm64"), &[LAYER]).tar());
    let mut files = Files::default();
    let target = files.manifest(&config("arm64"));
    let alone = said(&files.layout(&[named(target, "r.io/app:v1")]).tar());
    let mut files = Files::default();
    let target = of_platform(files.manifest(&config("arm64")), "arm64");
    let index = files.index(&[target]);
    let index = said(&files.layout(&[named(index, "r.io/app:v1")]).tar());
    for said in [saved, alone, index] {
        assert!(
            said.ends_with(
                "app:v1 in it is for another platform: linux/arm64; this machine is linux/amd64"
            ) || said.contains("app:latest in it is for another platform: linux/arm64"),
            "{said}"
        );
    }
}

#[test]
fn one_name_for_another_platform_does_not_keep_the_others_out() {
    let mut files = Files::default();
    let other = files.manifest(&config("arm64"));
    let own = files.manifest(&config("amd64"));
    let files = files.layout(&[named(other, "r.io/arm:v1"), named(own, "r.io/app:v1")]);
    let brought = brought(&files.tar()).unwrap();
    assert_eq!(names(&brought), ["r.io/app:v1"]);
    let [refused] = &brought.refused[..] else {
        panic!("{brought:?}");
    };
    assert!(refused.to_string().contains("r.io/arm:v1"));
}

#[test]
fn a_machines_manifest_that_is_saved_in_part_is_named() {
    let mut files = Files::default();
    let other = of_platform(files.manifest(&config("arm64")), "arm64");
    let gone = json!({"mediaType": MANIFEST, "digest": digest(b"gone"), "size": 1});
    let index = files.index(&[other, of_platform(gone, "amd64")]);
    let said = said(&files.layout(&[named(index, "r.io/app:v1")]).tar());
    assert!(said.contains(&blob(b"gone")), "{said}");
}

#[test]
fn media_types_that_lie_are_refused() {
    let mut files = Files::default();
    let mut manifest = files.manifest(&config("amd64"));
    manifest["mediaType"] = json!(INDEX);
    let index = files.index(&[manifest]);
    let said = said(&files.layout(&[named(index, "r.io/app:v1")]).tar());
    assert!(said.contains("is not its media type"), "{said}");
}
