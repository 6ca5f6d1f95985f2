//! Hooks run when they should, and for no longer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::harness::agent::SOON;
use crate::harness::{Agent, Containerd};
use crate::probes::{mounted, shared, status, wait_status};
use crate::set::{Set, sleeper};
use crate::suite::Suite;
use crate::web::Web;

/// Adds this topic's trials.
pub fn register(suite: &mut Suite) {
    suite.together(
        "hooks::post_start_runs_and_its_failure_restarts",
        post_start,
    );
    suite.together("hooks::post_start_is_run_once_over_a_kill", post_start_once);
    suite.together(
        "hooks::a_hook_that_hangs_does_not_hold_the_end",
        post_start_hangs,
    );
    suite.together("hooks::pre_stop_runs_inside_the_grace", pre_stop);
    suite.together("hooks::pre_stop_is_cut_at_the_grace", pre_stop_is_cut);
    suite.together("hooks::over_http", over_http);
    suite.together("hooks::a_sleep_before_the_end", a_sleep);
}

fn post_start(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "poststart");
    let (volume, mount) = mounted(&agent);
    let hook = "lifecycle: {postStart: {exec: {command: [sh, -c, 'echo x >>/shared/hooks; sleep 1; test -f /shared/ok']}}}";
    agent.put(
        "a.yaml",
        &Set {
            pod: &[&volume],
            container: &[&mount, hook],
            ..sleeper("hooked")
        }
        .yaml(),
    );
    agent.wait_for(SOON, "the second try has begun", || {
        let tries = std::fs::read_to_string(shared(&agent).join("hooks")).unwrap_or_default();
        if tries.lines().count() >= 2 {
            Ok(())
        } else {
            Err(tries)
        }
    });
    let status = status(&agent, "hooked").expect("the status");
    assert_eq!(status["ready"], false, "{status}");
    std::fs::write(shared(&agent).join("ok"), "").expect("a file");
    wait_status(&agent, "hooked", true, true);
}

fn post_start_once(containerd: &Arc<Containerd>) {
    let mut agent = Agent::started(containerd, "poststart-once");
    let (volume, mount) = mounted(&agent);
    let hook = "lifecycle: {postStart: {exec: {command: [sh, -c, 'echo begun >>/shared/hooks; sleep 6; echo done >>/shared/hooks']}}}";
    agent.put(
        "a.yaml",
        &Set {
            pod: &[&volume],
            container: &[&mount, hook],
            ..sleeper("once")
        }
        .yaml(),
    );
    let hooks =
        |agent: &Agent| std::fs::read_to_string(shared(agent).join("hooks")).unwrap_or_default();
    agent.wait_for(SOON, "the hook has begun", || {
        match hooks(&agent).as_str() {
            "" => Err("not yet".to_owned()),
            _ => Ok(()),
        }
    });
    // Killed in the hook: it is run again, in the same container.
    agent.kill9();
    let before = agent.running_of("once");
    agent.start();
    wait_status(&agent, "once", true, true);
    assert_eq!(agent.running_of("once"), before);
    let ran = hooks(&agent);
    assert_eq!(ran.matches("begun").count(), 2, "{ran}");
    // Killed after it: not run again.
    agent.kill9();
    agent.start();
    wait_status(&agent, "once", true, true);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(hooks(&agent).matches("begun").count(), 2);
    assert_eq!(agent.running_of("once"), before);
}

fn post_start_hangs(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "poststart-hangs");
    agent.put(
        "a.yaml",
        &Set {
            container: &["lifecycle: {postStart: {exec: {command: [sleep, '1000']}}}"],
            ..sleeper("hangs")
        }
        .yaml(),
    );
    agent.wait_running("hangs", 1);
    agent.wait_for(SOON, "it is said to be created still", || {
        let status = status(&agent, "hangs")?;
        if status["state"]["waiting"]["reason"] == "ContainerCreating" {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
    agent.remove("a.yaml");
    agent.wait_empty();
}

fn pre_stop(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "prestop");
    let (volume, mount) = mounted(&agent);
    let hook = "lifecycle: {preStop: {exec: {command: [sh, -c, 'echo hook >>/shared/order; sleep 1; echo over >>/shared/order']}}}";
    agent.put(
        "a.yaml",
        &Set {
            script: "trap 'echo term >>/shared/order; exit 0' TERM; touch /shared/up; while :; do sleep 0.1; done",
            pod: &[&volume],
            container: &[&mount, hook],
            ..sleeper("orderly")
        }
        .yaml(),
    );
    agent.wait_running("orderly", 1);
    agent.wait_for(SOON, "it is up", || {
        std::fs::metadata(shared(&agent).join("up")).map_err(|error| error.to_string())
    });
    agent.remove("a.yaml");
    agent.wait_empty();
    let order = std::fs::read_to_string(shared(&agent).join("order")).unwrap_or_default();
    assert_eq!(order, "hook\nover\nterm\n");
}

fn pre_stop_is_cut(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "prestop-cut");
    agent.put(
        "a.yaml",
        &Set {
            container: &["lifecycle: {preStop: {exec: {command: [sleep, '1000']}}}"],
            ..sleeper("patient")
        }
        .yaml(),
    );
    agent.wait_running("patient", 1);
    let start = Instant::now();
    agent.remove("a.yaml");
    agent.wait_empty();
    let took = start.elapsed();
    // The pod's grace period is 5 s.
    assert!(took > Duration::from_secs(4), "{took:?}");
    assert!(took < Duration::from_secs(15), "{took:?}");
}

/// Any answer is good, also from a server without TLS that was taken for one with.
fn over_http(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "hooks-http");
    let web = Web::start();
    web.answer_with(500);
    let port = web.port;
    let hooks = format!(
        "lifecycle: {{postStart: {{httpGet: {{port: {port}, path: /up, scheme: HTTPS}}}}, \
         preStop: {{httpGet: {{port: {port}, path: /down, httpHeaders: [{{name: X-A, value: b}}]}}}}}}"
    );
    let set = Set {
        pod: &["hostNetwork: true"],
        container: &[&hooks],
        ..sleeper("web")
    };
    agent.put("a.yaml", &set.yaml());
    agent.wait_running("web", 1);
    wait_status(&agent, "web", true, true);
    agent.remove("a.yaml");
    agent.wait_empty();
    let asked = web.asked();
    let rest = "User-Agent: kube-lifecycle/1.36\r\nAccept: */*\r\nAccept-Encoding: gzip";
    let paths: Vec<_> = asked
        .iter()
        .filter_map(|head| head.split(' ').nth(1))
        .collect();
    assert_eq!(paths, ["/up", "/down"], "{asked:?}");
    assert!(asked[0].ends_with(rest), "{asked:?}");
    assert!(
        asked[1].ends_with(&format!("X-A: b\r\n{rest}")),
        "{asked:?}"
    );
}

fn a_sleep(containerd: &Arc<Containerd>) {
    let agent = Agent::started(containerd, "hooks-sleep");
    let set = Set {
        script: "trap 'exit 0' TERM; while :; do sleep 0.1; done",
        container: &["lifecycle: {preStop: {sleep: {seconds: 2}}}"],
        ..sleeper("rests")
    };
    agent.put("a.yaml", &set.yaml());
    agent.wait_running("rests", 1);
    wait_status(&agent, "rests", true, true);
    let begin = Instant::now();
    agent.remove("a.yaml");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(agent.running_of("rests").len(), 1, "it rests still");
    agent.wait_empty();
    assert!(begin.elapsed() >= Duration::from_secs(2));
}
