//! A directory of ten thousand manifests. Slow without optimisation, so it is run by name:
//! `cargo test --release many -- --ignored --nocapture`.

use std::time::Instant;

use super::*;

#[expect(clippy::disallowed_methods, reason = "the test measures")]
fn now() -> Instant {
    Instant::now()
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let number = line.and_then(|l| l.split_whitespace().next());
    number.and_then(|n| n.parse().ok()).expect("a number")
}

#[tokio::test]
#[ignore = "measures; meant for an optimised build"]
async fn ten_thousand_manifests() {
    let (above, root) = directory();
    for n in 0..10_000 {
        write(
            &root.join(format!("set-{n:05}.yaml")),
            &set(&format!("set-{n}"), "a:1"),
        );
    }
    let begun = now();
    let mut watched = watch_it(above, root, Memory::default());
    watched.until("all", |s| s.sets.len() == 10_000).await;
    println!(
        "read: {:?}, {} KiB resident",
        begun.elapsed(),
        resident_kib()
    );
    tokio::time::sleep(Duration::from_secs(4)).await;
    for round in 0..3 {
        watched.rename_in("set-05000.yaml", &set("set-5000", &format!("b:{round}")));
        let begun = now();
        let wanted = ("set-5000".to_owned(), format!("b:{round}"));
        let changed = |s: &Snapshot| {
            let key = crate::api::ObjectKey::new("default", &wanted.0);
            let image = &s.sets[&key].0.pod_spec().containers[0].image;
            image.as_deref() == Some(&wanted.1)
        };
        watched.until("changed", changed).await;
        println!("one changed: {:?}", begun.elapsed());
    }
    let begun = now();
    watched.rescan.send(()).await.expect("running");
    watched.rescan.send(()).await.expect("running");
    watched.rescan.send(()).await.expect("running");
    println!(
        "rescans: {:?}, {} KiB resident",
        begun.elapsed(),
        resident_kib()
    );
    watched.stop().await;
}
