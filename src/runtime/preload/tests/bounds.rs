//! What a small archive may stand for: everything is bounded, shown with small bounds.

use super::*;

const SMALL: Bounds = Bounds {
    document: 100,
    documents: 150,
    small: 50,
    record: 2048,
    names: 4096,
    zeros: 1 << 20,
    unpacked: 64 << 10,
    times: 2,
};

fn refused(bytes: &[u8]) -> String {
    surveyed(bytes, &SMALL).unwrap_err().to_string()
}

fn member(kind: u8, size: u64, data: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_path("m").unwrap();
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_size(size);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

#[test]
fn an_index_that_is_referred_to_again_and_again_is_read_once() {
    let mut files = Files::default();
    let mut target = of_platform(files.manifest(&config("arm64")), "arm64");
    for _ in 0..6 {
        target = files.index(&vec![target; 500]);
    }
    let said = said(&files.layout(&[named(target, "r.io/app:v1")]).tar());
    assert!(said.contains("for another platform"), "{said}");
}

#[test]
fn records_before_a_member_are_bounded() {
    for kind in *b"LKx" {
        let said = refused(&member(kind, 3 << 30, b"a"));
        assert!(said.contains("has 3221225472 bytes"), "{said}");
        // Within the bound, but not there.
        assert!(surveyed(&member(kind, 2048, b"a"), &SMALL).is_err());
    }
    let pax = b"30 GNU.sparse.realsize=999999\n26 GNU.sparse.map=0,9,1,9\n";
    let wrong = [
        member(b'x', pax.len() as u64, pax),
        member(b'0', 18, &[0; 18]),
    ]
    .concat();
    assert!(refused(&wrong).contains("a list of holes is wrong"));
    for record in [
        "", "5", "99 a=b\n", "6 a=b ", "5 ab\n", "x a=b\n", "0 a=b\n",
    ] {
        let pax = member(b'x', record.len() as u64, record.as_bytes());
        let told = surveyed(&[pax, member(b'0', 0, b"")].concat(), &SMALL);
        assert_eq!(told.is_ok(), record.is_empty(), "{record:?}");
    }
}

#[test]
fn names_documents_and_holes_are_bounded() {
    let mut files = Files::default();
    for number in 0..100 {
        files.put(&format!("file-{number}"), "");
    }
    assert!(refused(&files.tar()).contains("names in it have more than 4096 bytes"));
    let mut files = Files::default();
    files.put("large", format!("{{{}}}", " ".repeat(200)));
    for number in 0..6 {
        files.put(
            &format!("small-{number}"),
            format!("{{{}}}", " ".repeat(38)),
        );
    }
    let survey = surveyed(&files.tar(), &SMALL).unwrap();
    assert_eq!(survey.files.len(), 7);
    assert_eq!(survey.documents.len(), 3, "150 bytes of 40 each");
    let pax = b"31 GNU.sparse.realsize=9999999\n22 GNU.sparse.map=0,1\n";
    let holes = [member(b'x', pax.len() as u64, pax), member(b'0', 1, b"a")].concat();
    let bound = (1 << 20) + 2 * holes.len();
    let said = refused(&holes);
    let expected = format!("holes in its files have more than {bound} bytes");
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn a_small_archive_has_no_gibibytes_of_holes() {
    let pax = b"34 GNU.sparse.realsize=2147483648\n22 GNU.sparse.map=0,1\n";
    let holes = [member(b'x', pax.len() as u64, pax), member(b'0', 1, b"a")].concat();
    let said = surveyed(&holes, &Bounds::USUAL).unwrap_err().to_string();
    assert!(said.contains("the holes in its files"), "{said}");
    // Large ones have large files.
    assert!(Bounds::USUAL.zeros(1 << 30) > 100 << 30);
}

#[test]
fn records_before_one_member_are_bounded_together() {
    let value = "v".repeat(1000);
    let pax = format!("1010 k={value}\n");
    assert_eq!(pax.len(), 1008);
    let pax = pax.replacen("1010", "1008", 1);
    let record = |kind| member(kind, pax.len() as u64, pax.as_bytes());
    let file = member(b'0', 0, b"");
    let two = [record(b'x'), record(b'x'), file.clone()].concat();
    assert!(surveyed(&two, &SMALL).is_ok());
    // Each member has as many.
    assert!(surveyed(&[two.clone(), two].concat(), &SMALL).is_ok());
    for kinds in [*b"xxx", *b"LKx", *b"LLL"] {
        let records: Vec<_> = kinds.into_iter().flat_map(record).collect();
        let said = refused(&[records, file.clone()].concat());
        assert!(said.contains("has 3024 bytes"), "{said}");
    }
}

#[test]
fn what_is_no_file_has_no_bytes_whatever_size_it_says() {
    let named = |kind: u8, name: &str| {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_entry_type(tar::EntryType::new(kind));
        header.as_mut_bytes()[156] = kind;
        header.set_size(5 << 30);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let file = member(b'0', 1, b"a");
    for (kind, name) in [
        (b'1', "n"),
        (b'2', "n"),
        (b'3', "n"),
        (b'4', "n"),
        (b'5', "n"),
        (b'6', "n"),
        (0, "n/"),
    ] {
        let survey = surveyed(&[named(kind, name), file.clone()].concat(), &SMALL);
        let files: Vec<_> = survey.unwrap().files.into_keys().collect();
        assert_eq!(files, ["m"], "{kind} {name}");
    }
}

#[test]
fn lists_in_documents_are_bounded() {
    let many = vec![json!({}); 2000];
    let files = Files::default().layout(&many);
    let said = said(&files.tar());
    assert!(said.contains("a list has more than 1024 entries"), "{said}");
}

/// Each name had a copy of its image's configuration.
#[test]
fn names_share_their_image_and_are_bounded() {
    let tags = |count: usize| {
        let names: Vec<_> = (0..count).map(|n| format!("app:{n}")).collect();
        let mut files = saved_of(&config("amd64"), &[LAYER]);
        let one = json!({"Config": "c.json", "RepoTags": names, "Layers": ["0/layer.tar"]});
        let manifest = json!([one, one]);
        files.put("manifest.json", manifest.to_string());
        files.tar()
    };
    let brought = brought(&tags(512)).expect("as many as are allowed");
    assert_eq!(brought.images.len(), 512);
    assert_eq!(brought.documents.len(), 2, "a manifest and a configuration");
    let said = said(&tags(513));
    assert!(said.contains("names more than 1024 images"), "{said}");
}

#[test]
fn packed_archives_unpack_to_so_much_and_no_more() {
    let mut files = Files::default();
    files.put("zeros", vec![0; 1 << 20]);
    let plain = files.tar();
    assert!(surveyed(&plain, &SMALL).is_ok());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&plain).unwrap();
    let zstd = ruzstd::encoding::compress_to_vec(
        plain.as_slice(),
        ruzstd::encoding::CompressionLevel::Fastest,
    );
    for packed in [gzip.finish().unwrap(), zstd] {
        let said = refused(&packed);
        assert!(said.contains("unpacks to more"), "{said}");
    }
}

#[test]
fn links_that_lead_in_circles_end() {
    let mut files = saved_of(&config("amd64"), &[b"->../1/layer.tar"]);
    files.put("1/layer.tar", "->../0/layer.tar");
    assert!(said(&files.tar()).contains("it lacks 0/layer.tar"));
}

#[test]
fn reading_ends_when_it_is_told_to() {
    let stop = || Err(Problem::Stopped(crate::blocking::Stopped));
    let file = file_of(&layout("r.io/app:v1").tar());
    let opened = open(file.path()).unwrap();
    let stopped = survey(&opened, file.path(), &Bounds::USUAL, &stop);
    assert!(matches!(stopped, Err(Problem::Stopped(_))));
}
