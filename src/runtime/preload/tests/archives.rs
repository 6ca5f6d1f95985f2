//! What tools write: links, holes, packings, and what is broken.

use super::*;

#[test]
fn docker_archives_become_manifests() {
    let brought = brought(&saved_of(&config("amd64"), &[LAYER]).tar()).unwrap();
    assert_eq!(
        names(&brought),
        ["docker.io/library/app:latest", "r.io/app:v1"]
    );
    let manifest = brought.documents.last().unwrap();
    let image = &brought.images["r.io/app:v1"];
    assert_eq!(image.digest, manifest.digest);
    let labels: Vec<_> = manifest
        .labels
        .iter()
        .map(|(k, v)| (k.as_str(), v.clone()))
        .collect();
    assert_eq!(
        labels,
        [
            (
                "containerd.io/gc.ref.content.config",
                digest(&config("amd64"))
            ),
            ("containerd.io/gc.ref.content.l.0", digest(LAYER)),
        ]
    );
    assert_eq!(image.layers.layers[0].diff_id, digest(LAYER));
}

#[test]
fn a_layer_that_is_saved_once_is_linked_to() {
    let two = json!({"os": "linux", "architecture": "amd64",
        "rootfs": {"diff_ids": [digest(LAYER), digest(LAYER)]}});
    let files = saved_of(two.to_string().as_bytes(), &[LAYER, b"->../0/layer.tar"]);
    let brought = brought(&files.tar()).unwrap();
    let layers = &brought.images["r.io/app:v1"].layers.layers;
    assert_eq!(layers[1].digest, digest(LAYER));
}

#[test]
fn zstd_layers_of_docker_archives_have_a_type_that_old_containerds_read() {
    let zstd =
        ruzstd::encoding::compress_to_vec(LAYER, ruzstd::encoding::CompressionLevel::Fastest);
    let brought = brought(&saved_of(&config("amd64"), &[&zstd]).tar()).unwrap();
    let layer = &brought.images["r.io/app:v1"].layers.layers[0];
    assert_eq!(
        layer.media_type,
        "application/vnd.oci.image.layer.v1.tar+zstd"
    );
}

#[test]
fn blobs_may_be_links_in_the_archive() {
    for sign in ["->../../store/", "=>store/"] {
        let mut files = Files::default();
        for (path, bytes) in layout("r.io/app:v1").0 {
            match path.strip_prefix("blobs/sha256/") {
                Some(hex) => {
                    files.put(&format!("./store/{hex}"), bytes);
                    files.put(&path, format!("{sign}{hex}"));
                }
                None => files.put(&path, bytes),
            }
        }
        let (brought, read) = read_for(&files.tar(), &machine("amd64")).unwrap();
        assert_eq!(names(&brought), ["r.io/app:v1"], "{sign}");
        assert_eq!(read[&digest(LAYER)], LAYER);
    }
}

/// GNU tar's own way with holes, of every format it has.
#[test]
fn files_with_holes_are_whole_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let holes = std::fs::File::create(path("holes")).unwrap();
    holes.set_len(300 << 10).unwrap();
    let write = |bytes: &[u8], at| std::os::unix::fs::FileExt::write_all_at(&holes, bytes, at);
    for at in (0..40).step_by(2) {
        write(b"some bytes", at << 12).unwrap();
    }
    let whole = std::fs::read(path("holes")).unwrap();
    let formats = ["gnu", "pax 0.0", "pax 0.1", "pax 1.0"];
    for format in formats {
        let (format, version) = format.split_once(' ').unwrap_or((format, "1.0"));
        let tar = std::process::Command::new("tar")
            .args(["-S", &format!("--format={format}")])
            .args([&format!("--sparse-version={version}"), "-cf", "-", "-C"])
            .arg(directory.path())
            .arg("holes")
            .output()
            .unwrap();
        assert!(tar.status.success(), "{tar:?}");
        assert!(tar.stdout.len() < whole.len(), "tar saw the holes");
        let file = file_of(&tar.stdout);
        let (opened, step) = (open(file.path()).unwrap(), || Ok(()));
        let survey = survey(&opened, file.path(), &Bounds::USUAL, &step).unwrap();
        let found = survey.files["holes"];
        assert_eq!(found.size, whole.len() as u64, "{format} {version}");
        let wanted = [found.number].into();
        let mut read = Vec::new();
        let mut pass_on = |piece| {
            if let Piece::Data(data) = piece {
                read.extend(data);
            }
            Ok(())
        };
        let bounds = &Bounds::USUAL;
        deliver(&opened, file.path(), bounds, &wanted, &step, &mut pass_on).unwrap();
        assert_eq!(read.len(), whole.len());
        assert!(read == whole, "{format} {version}");
    }
}

#[test]
fn archives_are_unpacked() {
    let plain = layout("r.io/app:v1").tar();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let half = plain.len() / 2;
    let frame = |bytes: &[u8]| {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    };
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..]].concat();
    let zstd = [frame(&plain[..half]), skippable, frame(&plain[half..])].concat();
    for packed in [gzip.finish().unwrap(), zstd] {
        let (brought, read) = read_for(&packed, &machine("amd64")).unwrap();
        assert_eq!(names(&brought), ["r.io/app:v1"]);
        assert_eq!(read[&digest(LAYER)], LAYER);
    }
    let cut = frame(&plain);
    assert!(brought(&cut[..cut.len() / 2]).is_err());
}

#[test]
fn packings_that_containerd_does_not_read_are_refused_by_name() {
    let xz = b"\xfd7zXZ\0 and so on";
    assert!(said(xz).contains("is packed with xz"), "{}", said(xz));
    assert!(said(b"BZh91AY&SY").contains("is packed with bzip2"));
    let layer = said(&saved_of(&config("amd64"), &[xz]).tar());
    assert!(layer.contains("0/layer.tar is packed with xz"), "{layer}");
}

#[test]
fn documents_may_begin_with_white_space() {
    let mut files = layout("r.io/app:v1");
    for (path, bytes) in &mut files.0 {
        if path == "index.json" {
            bytes.splice(0..0, *b"\n \t\r\n");
        }
    }
    assert_eq!(names(&brought(&files.tar()).unwrap()), ["r.io/app:v1"]);
}

#[test]
fn long_names_are_read() {
    let long = format!("{}/{}", "d".repeat(90), "f".repeat(90));
    let mut files = Files::default();
    files.put(&long, "x");
    files.put("l", format!("->{long}"));
    let survey = surveyed(&files.tar(), &Bounds::USUAL).unwrap();
    assert_eq!(survey.files[&long].size, 1);
    assert_eq!(survey.links["l"], long);
}

#[test]
fn broken_archives_say_what_is_wrong_and_where() {
    let whole = saved_of(&config("amd64"), &[LAYER]).tar();
    assert!(
        said(&whole[..515]).contains("cut short within 0/layer.tar"),
        "{}",
        said(&whole[..515])
    );
    assert!(said(b"").contains("neither index.json nor manifest.json"));
    assert!(said(b"hello, this is no archive at all").contains("no image archive"));
    let mut files = Files::default();
    files.put("manifest.json", "[{");
    assert!(said(&files.tar()).contains("manifest.json in it cannot be understood"));
    assert!(said(&layout("v1").tar()).contains("does not name its images"));
    assert!(said(&layout("r.io/App:v1").tar()).contains("names an image"));
    let mut files = layout("r.io/app:v1");
    files.0.last_mut().unwrap().1 = b"another".to_vec();
    let (file, step) = (file_of(&files.tar()), || Ok(()));
    let survey = survey(
        &open(file.path()).unwrap(),
        file.path(),
        &Bounds::USUAL,
        &step,
    );
    let choice = choose(&survey.unwrap(), &machine("amd64")).unwrap();
    let (wanted, _) = choice.wanted.values().next().unwrap();
    assert_eq!(*wanted, Some(digest(LAYER)), "the importer compares");
    let mut files = saved_of(&config("amd64"), &[LAYER]);
    files.0.remove(0);
    assert!(said(&files.tar()).contains("it lacks 0/layer.tar"));
    let gone = open(std::path::Path::new("/nonexistent"));
    assert!(matches!(gone, Err(Problem::Read(_))));
}

#[test]
fn configurations_that_cannot_be_understood_are_named() {
    let no_json = b"{not json".as_slice();
    let wrong_type = br#"{"config": {"Env": ["A=b"], "Cmd": "sh"}}"#.as_slice();
    for (config, why) in [
        (
            no_json,
            "cannot be understood: key must be a string at line 1 column 2",
        ),
        (wrong_type, "expected a list of texts at line 1 column 39"),
        (b"no json at all", "should be JSON"),
        (b"\xef\xbb\xbf{}", "should be JSON"),
        (
            b"{}",
            "names 0 layers (rootfs.diff_ids), but its manifest 1",
        ),
    ] {
        let saved = said(&saved_of(config, &[LAYER]).tar());
        assert!(saved.starts_with("c.json in it"), "{saved}");
        assert!(saved.contains(why), "{saved}");
        let mut files = Files::default();
        let target = files.manifest(config);
        let oci = said(&files.layout(&[named(target, "r.io/app:v1")]).tar());
        assert!(oci.contains(&blob(config)) && oci.contains(why), "{oci}");
    }
}
