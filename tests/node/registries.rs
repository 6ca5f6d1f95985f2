//! Trials of registries: the pull policies, credentials from every source, and registries that
//! refuse, fail or are away. A small proxy in front of the real registry asks for a password and
//! answers as it is told by the repository's first part.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::thread;

use serde_json::json;

use crate::harness::agent::SOON;
use crate::harness::{Agent, Containerd};
use crate::image::Image;
use crate::images::{manifest, report};
use crate::suite::Suite;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together("registries::policies", policies);
    suite.together(
        "registries::credentials_of_every_source",
        credentials_of_every_source,
    );
    suite.together(
        "registries::wanted_images_are_pinned",
        wanted_images_are_pinned,
    );
    suite.together("registries::refusals_are_told", refusals_are_told);
    suite.alone(
        "registries::a_stale_image_is_told_and_asked_for_again",
        a_stale_image_is_told_and_asked_for_again,
    );
}

/// `me:secret`.
const BASIC: &str = "bWU6c2VjcmV0";

/// Starts the proxy, and has containerd take every image of `host` from it.
fn proxy(containerd: &Containerd, host: &str) {
    let registry = containerd.start_registry();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let directory = containerd.base().join("certs.d").join(host);
    std::fs::create_dir_all(&directory).expect("a directory");
    let url = format!("http://127.0.0.1:{port}");
    let text =
        format!("server = \"{url}\"\n[host.\"{url}\"]\n  capabilities = [\"pull\", \"resolve\"]\n");
    std::fs::write(directory.join("hosts.toml"), text).expect("hosts.toml");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || drop(answer(client, registry)));
        }
    });
}

/// One request on one connection.
fn answer(mut client: TcpStream, registry: u16) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let is_allowed = head.contains(&format!("Basic {BASIC}"));
    let status = match head.split('/').nth(2).unwrap_or_default() {
        "reset" => return Ok(()),
        "s404" => "404 Not Found",
        "s429" => "429 Too Many Requests",
        "s500" => "500 Internal Server Error",
        _ if !is_allowed => "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"trial\"",
        _ => "",
    };
    if !status.is_empty() {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return client.write_all(answer.as_bytes());
    }
    let mut server = TcpStream::connect(("127.0.0.1", registry))?;
    let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    server.write_all(head.as_bytes())?;
    std::io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}

/// Waits until status says all of these.
fn wait_told(agent: &Agent, words: &[&str]) -> String {
    agent.wait_for(SOON, &format!("status says {words:?}"), || {
        let text = report(agent).to_string();
        if words.iter().all(|word| text.contains(word)) {
            Ok(text)
        } else {
            Err(text)
        }
    })
}

fn policies(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "registries-policies");
    agent.ready();
    let name = "policy.test/team/app:v1";
    containerd.publish(&Image::named(name).ballast(2));
    agent.put(
        "never.yaml",
        &manifest("never", "policy.test/team/no:v1", "Never"),
    );
    wait_told(&agent, &["ErrImageNeverPull"]);
    // Two pods, one pull.
    agent.put("one.yaml", &manifest("one", name, "IfNotPresent"));
    agent.put("two.yaml", &manifest("two", name, "Always"));
    agent.wait_running("one", 1);
    agent.wait_running("two", 1);
    let images = containerd.ctr(&["images", "ls"]);
    let digest = images
        .lines()
        .find(|line| line.starts_with(name))
        .and_then(|line| {
            line.split_whitespace()
                .find(|word| word.starts_with("sha256:"))
        })
        .expect("the image is listed");
    let by_digest = format!("policy.test/team/app@{digest}");
    agent.put("digest.yaml", &manifest("digest", &by_digest, "Always"));
    agent.wait_running("digest", 1);
}

fn credentials_of_every_source(containerd: &Arc<Containerd>) {
    for host in ["secret.test", "file.test", "plugin.test"] {
        proxy(containerd, host);
        containerd.publish(&Image::named(&format!("{host}/private/{host}:v1")).ballast(1));
    }
    let mut agent = Agent::new(containerd, "registries-credentials");
    let config = |host: &str| json!({"auths": {host: {"auth": BASIC}}}).to_string();
    let (file, bin) = (agent.dir().join("docker.json"), agent.dir().join("bin"));
    std::fs::write(&file, config("file.test")).expect("a docker config");
    std::fs::create_dir_all(&bin).expect("a directory");
    let version = "credentialprovider.kubelet.k8s.io/v1";
    let response = json!({"kind": "CredentialProviderResponse", "apiVersion": version,
        "cacheKeyType": "Registry", "auth": {"plugin.test": {"username": "me", "password": "secret"}}});
    let script = format!("#!/bin/sh\ncat >\"$0.asked\"\nprintf '%s' '{response}'\n");
    std::fs::write(bin.join("ask"), script).expect("a program");
    std::fs::set_permissions(bin.join("ask"), std::fs::Permissions::from_mode(0o755))
        .expect("an executable");
    let providers = json!({"apiVersion": "kubelet.config.k8s.io/v1",
        "kind": "CredentialProviderConfig", "providers": [{"name": "ask",
        "matchImages": ["plugin.test"], "defaultCacheDuration": "1h", "apiVersion": version}]});
    let providers_file = agent.dir().join("providers.yaml");
    std::fs::write(&providers_file, providers.to_string()).expect("a configuration");
    agent.config["dockerConfigFile"] = json!(file);
    agent.config["imageCredentialProviderConfigFile"] = json!(providers_file);
    agent.config["imageCredentialProviderBinDir"] = json!(bin);
    agent.start();
    agent.ready();

    let image = |host: &str| format!("{host}/private/{host}:v1");
    let secret = manifest("secret", &image("secret.test"), "IfNotPresent");
    agent.put(
        "refused.yaml",
        &secret
            .replace("secret\n", "refused\n")
            .replace("app: secret", "app: refused"),
    );
    wait_told(&agent, &["ErrImagePull"]);
    let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull", "namespace": "default"},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": config("secret.test")}});
    agent.put("pull.json", &object.to_string());
    let wanted = "      imagePullSecrets: [{name: pull}]\n      containers:\n";
    agent.put(
        "secret.yaml",
        &secret.replacen("      containers:\n", wanted, 1),
    );
    agent.put(
        "file.yaml",
        &manifest("file", &image("file.test"), "IfNotPresent"),
    );
    agent.put(
        "plugin.yaml",
        &manifest("plugin", &image("plugin.test"), "IfNotPresent"),
    );
    for set in ["secret", "file", "plugin"] {
        agent.wait_running(set, 1);
    }
    let asked = std::fs::read_to_string(bin.join("ask.asked")).expect("the program was asked");
    assert!(
        asked.contains(r#""image":"plugin.test/private/plugin.test""#),
        "{asked}"
    );
}

fn wanted_images_are_pinned(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "registries-pins");
    agent.ready();
    let name = "pinned.test/team/app:v1";
    containerd.publish(&Image::named(name).label("v", "pinned"));
    agent.put("pinned.yaml", &manifest("pinned", name, "IfNotPresent"));
    agent.wait_running("pinned", 1);
    let wait = |what: &str, wanted: bool| {
        agent.wait_for(SOON, what, || {
            let images = containerd.ctr(&["images", "ls"]);
            let line = images.lines().find(|line| line.starts_with(name));
            let line = line.ok_or("the image is gone")?;
            let words = [
                "io.cri-containerd.pinned=pinned",
                "setlet.dev/pinned.registries-pins",
            ];
            // What CRI needs of its own is there in any case.
            let managed = line.contains("io.cri-containerd.image=managed");
            if managed && words.iter().all(|word| line.contains(word) == wanted) {
                Ok(())
            } else {
                Err(line.to_owned())
            }
        });
    };
    wait("the image is pinned", true);
    agent.remove("pinned.yaml");
    wait("the pin is taken back", false);
}

fn refusals_are_told(containerd: &Arc<Containerd>) {
    proxy(containerd, "refusing.test");
    let agent = Agent::started(containerd, "registries-refusing");
    agent.ready();
    for kind in ["s404", "s429", "s500", "reset", "private"] {
        let image = format!("refusing.test/{kind}/app:v1");
        // A present image stands in for a registry that is away, not for one that refuses.
        if kind != "s404" {
            containerd.import(&Image::named(&image).label("kind", kind));
        }
        agent.put(&format!("{kind}.yaml"), &manifest(kind, &image, "Always"));
    }
    agent.wait_running("reset", 1);
    let told = wait_told(
        &agent,
        &["not found", "429 Too Many", "500 Internal", "ImageStale"],
    );
    agent.wait_for(SOON, "every pod has its sandbox", || {
        let all = agent.containers();
        let count = all
            .iter()
            .filter(|one| one.is_sandbox() && one.pid.is_some());
        match count.count() {
            5 => Ok(()),
            n => Err(format!("{n} sandboxes")),
        }
    });
    for kind in ["s404", "s429", "s500", "private"] {
        assert!(agent.running_of(kind).is_empty(), "{kind}: {told}");
    }
}

fn a_stale_image_is_told_and_asked_for_again() {
    let containerd = Arc::new(Containerd::launch());
    let name = "stale.test/team/app:v1";
    containerd.import(&Image::named(name).label("v", "old"));
    let mut agent = Agent::started(&containerd, "registries-stale");
    agent.ready();
    agent.put("stale.yaml", &manifest("stale", name, "Always"));
    let before = agent.wait_running("stale", 1);
    wait_told(&agent, &["ImageStale", "connection refused"]);
    let status = agent.setlet(&["status"]);
    assert!(status.contains("ImageStale"), "{status}");

    agent.kill9();
    agent.start();
    agent.ready();
    wait_told(&agent, &["ImageStale", "connection refused"]);
    containerd.publish(&Image::named(name).label("v", "new"));
    agent.wait_for(SOON, "the registry was asked again", || {
        let text = report(&agent).to_string();
        if text.contains("ImageStale") {
            Err(text)
        } else {
            Ok(())
        }
    });
    let after = agent.wait_running("stale", 1);
    assert_eq!(after[0].id, before[0].id, "nothing is restarted for it");
}
