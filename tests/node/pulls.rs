//! Trials of pulls by what a registry sees of them: shared between pods, as many at a time as is
//! configured, slow ones that hold up nobody else, TLS with a certificate of the machine's own; and
//! that what was pulled outlives a clean-up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use setlet::cri;
use setlet::cri::image_service_client::ImageServiceClient;
use setlet::cri::runtime_service_client::RuntimeServiceClient;

use crate::harness::agent::SOON;
use crate::harness::containerd::block_on;
use crate::harness::mirror::{Manners, Mirror};
use crate::harness::{Agent, Containerd};
use crate::image::Image;
use crate::images::{manifest, report};
use crate::set::{Set, sleeper};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("pulls::pods_share_one", pods_share_one);
    suite.together("pulls::as_many_at_a_time_as_configured", one_at_a_time);
    suite.together("pulls::a_slow_registry_holds_up_nobody_else", slow);
    suite.together("pulls::a_certificate_of_the_machines_own", tls);
    suite.alone(
        "pulls::wanted_images_outlive_a_prune",
        wanted_images_outlive_a_prune,
    );
}

fn slowly(seconds: u64) -> Manners {
    Manners {
        delay: Duration::from_secs(seconds),
        ..Manners::default()
    }
}

fn pods_share_one(containerd: &Arc<Containerd>) {
    let mirror = Mirror::start(containerd, "shared.test", slowly(1));
    let name = "shared.test/team/app:v1";
    containerd.publish(&Image::named(name).label("v", "shared"));
    let agent = Agent::started(containerd, "pulls-shared");
    agent.ready();
    let sets = ["share-a", "share-b", "share-c"];
    for set in sets {
        agent.put(&format!("{set}.yaml"), &manifest(set, name, "IfNotPresent"));
    }
    sets.iter().for_each(|set| drop(agent.wait_running(set, 1)));
    let asked = mirror.asked();
    let different: BTreeSet<_> = asked.iter().collect();
    assert_eq!(
        different.len(),
        asked.len(),
        "nothing is asked for twice: {asked:#?}"
    );
    assert!(
        asked.iter().any(|line| line.contains("/blobs/")),
        "{asked:#?}"
    );
}

fn one_at_a_time(containerd: &Arc<Containerd>) {
    let mirror = Mirror::start(containerd, "single.test", slowly(1));
    let mut agent = Agent::new(containerd, "pulls-single");
    agent.config["imagePull"] = json!({"maxParallel": 1});
    agent.start();
    agent.ready();
    let sets = ["single-a", "single-b", "single-c"];
    for set in sets {
        let name = format!("single.test/team/{set}:v1");
        containerd.publish(&Image::named(&name).label("v", set));
        agent.put(&format!("{set}.yaml"), &manifest(set, &name, "Always"));
    }
    sets.iter().for_each(|set| drop(agent.wait_running(set, 1)));
    let asked = mirror.asked();
    let mut turns: Vec<&str> = asked
        .iter()
        .filter_map(|line| line.split('/').nth(3))
        .collect();
    turns.dedup();
    assert_eq!(
        turns.len(),
        sets.len(),
        "one image after the other: {asked:#?}"
    );
}

fn slow(containerd: &Arc<Containerd>) {
    Mirror::start(containerd, "slow.test", slowly(600));
    let agent = Agent::started(containerd, "pulls-slow");
    agent.ready();
    let name = "slow.test/team/app:v1";
    agent.put("slow.yaml", &manifest("slow", name, "Always"));
    agent.wait_for(SOON, "the pull is told of", || {
        let told = report(&agent).to_string();
        let pulling = told.contains(&format!("pulling image {name}"));
        pulling.then_some(()).ok_or(told)
    });
    agent.put("quick.yaml", &sleeper("quick").yaml());
    agent.wait_running("quick", 1);
    // A pull nobody wants any more is not waited for.
    let begun = Instant::now();
    agent.remove("slow.yaml");
    agent.remove("quick.yaml");
    agent.wait_empty();
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
}

fn tls(containerd: &Arc<Containerd>) {
    let manners = Manners {
        tls: true,
        ..Manners::default()
    };
    let mirror = Mirror::start(containerd, "tls.test", manners);
    let name = "tls.test/team/app:v1";
    containerd.publish(&Image::named(name).label("v", "tls"));
    let agent = Agent::started(containerd, "pulls-tls");
    agent.ready();
    agent.put("tls.yaml", &manifest("tls", name, "IfNotPresent"));
    agent.wait_for(SOON, "the certificate is refused", || {
        let told = report(&agent).to_string();
        let refused = told.contains("ErrImagePull") && told.contains("x509: ");
        refused.then_some(()).ok_or(told)
    });
    mirror.trust(mirror.certificate.as_deref());
    agent.wait_running("tls", 1);
}

/// Removes what `crictl rmi --prune` does: images that no container has and that are not pinned.
fn prune(containerd: &Containerd) {
    block_on(async {
        let mut runtime = RuntimeServiceClient::new(containerd.channel().await);
        let containers = runtime
            .list_containers(cri::ListContainersRequest::default())
            .await;
        let containers = containers.expect("containers").into_inner().containers;
        let used: BTreeSet<_> = containers.into_iter().map(|one| one.image_ref).collect();
        let mut images = ImageServiceClient::new(containerd.channel().await);
        let all = images.list_images(cri::ListImagesRequest::default()).await;
        for image in all.expect("images").into_inner().images {
            if image.pinned || used.contains(&image.id) {
                continue;
            }
            let spec = cri::ImageSpec {
                image: image.id,
                ..Default::default()
            };
            let request = cri::RemoveImageRequest { image: Some(spec) };
            images.remove_image(request).await.expect("it goes");
        }
    });
}

fn wanted_images_outlive_a_prune() {
    let containerd = Arc::new(Containerd::launch());
    let agent = Agent::started(&containerd, "pulls-prune");
    agent.ready();
    let name = "prune.test/team/app:v1";
    containerd.publish(&Image::named(name).label("v", "prune"));
    containerd.import(&Image::named("unused.test/team/app:v1").label("v", "unused"));
    // Its container cannot be made yet, so that nothing but the wish holds the image.
    let waiting = Set {
        image: name,
        container: &["envFrom: [{configMapRef: {name: late}}]"],
        ..sleeper("waiting")
    };
    agent.put("waiting.yaml", &waiting.yaml());
    let line = |name: &str| {
        let images = containerd.ctr(&["images", "ls"]);
        images
            .lines()
            .find(|line| line.starts_with(name))
            .map(str::to_owned)
    };
    agent.wait_for(SOON, "the image is there and pinned", || {
        let line = line(name).ok_or("it is not there")?;
        let pinned = line.contains("io.cri-containerd.pinned=pinned");
        pinned.then_some(()).ok_or(line)
    });
    agent.wait_for(SOON, "the container waits", || {
        let told = report(&agent).to_string();
        let waits = told.contains("CreateContainerConfigError");
        waits.then_some(()).ok_or(told)
    });
    containerd.stop_registry();
    prune(&containerd);
    assert_eq!(line("unused.test"), None, "what nobody wants is gone");
    // containerd 1.6 tells nobody of pins, so there it would be gone, too.
    let version = containerd.ctr(&["version"]);
    if version.contains("1.6.") {
        return;
    }
    assert!(line(name).is_some(), "what is wanted is not");
    let late = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: late, namespace: default}\n";
    agent.put("late.yaml", late);
    agent.wait_running("waiting", 1);
}
