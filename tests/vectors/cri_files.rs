//! Makes the files of the recorded pods for real and compares them with what kubelet had made:
//! modes, owners, contents, links and mounts below the pod's directory. Needs a system that lets
//! file systems be mounted; elsewhere it says so and judges nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::{Value, json};
use setlet::api::ContainerName;
use setlet::blocking::Progress;
use setlet::model::DesiredPod;
use setlet::runtime::files;
use setlet::runtime::translate::{ContainerInput, Host};
use setlet::volume;

use crate::cri_case::{Case, image};
use crate::{Report, cri_rules, json_files, read};

/// Runs the cases with volumes in them.
pub fn run(root: &Path, report: &mut Report) {
    let directory = root.join("cri");
    let Some(node) = read(&directory.join("node.json"), report) else {
        return;
    };
    if !may_mount() {
        println!("cri files: left out, since nothing can be mounted here");
        return;
    }
    for path in json_files(&directory) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with("cases-") {
            continue;
        }
        let Some(Value::Array(cases)) = read(&path, report) else {
            continue;
        };
        report.file(&format!("cri files/{name}"));
        for case in &cases {
            let case = &cri_rules::first_generation(case);
            let volumes = case["pod"]["spec"]["volumes"].as_array();
            let judged = Case { case, node: &node };
            if volumes.is_none() || judged.requests("RunPodSandbox").is_empty() {
                continue;
            }
            let outcome = run_case(&judged);
            report.case(case["name"].as_str().unwrap_or("?"), outcome);
        }
    }
}

fn may_mount() -> bool {
    let Ok(at) = tempfile::tempdir() else {
        return false;
    };
    let (none, flags) = (None::<&str>, nix::mount::MsFlags::empty());
    nix::mount::mount(Some("tmpfs"), at.path(), Some("tmpfs"), flags, none).is_ok()
        && nix::mount::umount(at.path()).is_ok()
}

fn run_case(case: &Case<'_>) -> Result<(), String> {
    case.with_directory(None, |case, pod, root| {
        let host = Host {
            pod_logs: root.join("logs"),
            ..case.host(root)
        };
        let made = make(case, &pod, &host);
        let own = files::pod_directory(pod.key(), &host.pods_root);
        let mut found = BTreeMap::new();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let listed = list(&own, "", &mut found);
        for (path, file) in &mut found {
            file["mount"] = json!(mounted(&mounts, &own.join(path)));
        }
        let logs = root.join("logs");
        volume::teardown(
            pod.key(),
            &host.pods_root,
            &logs,
            &logs,
            &Progress::default(),
        )
        .map_err(|e| e.to_string())?;
        made?;
        listed.map_err(|e| e.to_string())?;
        if own.exists() {
            return Err("the pod's directory is still there after teardown".to_owned());
        }
        compare(case, &found, root)
    })
}

fn make(case: &Case<'_>, pod: &DesiredPod, host: &Host) -> Result<(), String> {
    files::prepare_pod(pod, host, &Progress::default()).map_err(|r| r.to_string())?;
    let volumes = volume::prepare(pod, &host.pods_root, &host.node, &Progress::default())
        .map_err(|e| e.to_string())?;
    for request in case.requests("CreateContainer") {
        let want = &request["config"];
        let name = ContainerName::new(want["metadata"]["name"].as_str().unwrap_or_default());
        let (image, ips) = (image(want), case.ips());
        let input = ContainerInput {
            container: &name,
            attempt: 0,
            backoff_level: 0,
            image: &image,
            volumes: &volumes,
            ips: &ips,
        };
        let file_of_another = want["envs"].as_array().is_some_and(|_| {
            // Written by a container that does not run here.
            case.case["pod"].to_string().contains("fileKeyRef")
        });
        if !file_of_another {
            files::prepare_container(pod, &input, host, &Progress::default())
                .map_err(|r| r.to_string())?;
        }
    }
    Ok(())
}

/// What is below a directory, in the words of the data.
fn list(
    directory: &Path,
    inside: &str,
    found: &mut BTreeMap<String, Value>,
) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let meta = entry.path().symlink_metadata()?;
        let name = match name.strip_prefix("..0") {
            Some(_) => "..<TIMESTAMP>".to_owned(),
            None => name,
        };
        let path = match inside {
            "" => name,
            inside => format!("{inside}/{name}"),
        };
        let kind = meta.file_type();
        let mut value = json!({
            "mode": format!("{:o}", meta.permissions().mode() & 0o7777),
            "uid": meta.uid(),
            "gid": meta.gid(),
        });
        value["type"] = json!(if kind.is_dir() {
            "dir"
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path())?.to_string_lossy().into_owned();
            value["target"] = match target.starts_with("..0") {
                true => json!("..<TIMESTAMP>"),
                false => json!(target),
            };
            "link"
        } else if kind.is_socket() {
            "socket"
        } else {
            value["content"] = json!(fs::read_to_string(entry.path()).unwrap_or_default());
            "file"
        });
        found.insert(path.clone(), value);
        if kind.is_dir() {
            list(&entry.path(), &path, found)?;
        }
    }
    Ok(())
}

/// Everything made must have been recorded, and alike; what a container wrote is only there.
fn compare(case: &Case<'_>, found: &BTreeMap<String, Value>, root: &Path) -> Result<(), String> {
    let recorded: BTreeMap<&str, &Value> = case.case["files"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|file| Some((file["path"].as_str()?, file)))
        .collect();
    let mut lines = Vec::new();
    for (path, have) in found {
        // Not recorded, or compared elsewhere.
        if path == "etc-hosts" || path == "userns" || path.starts_with("containers") {
            continue;
        }
        let Some(want) = recorded.get(path.as_str()) else {
            lines.push(format!("{path}: made, and not recorded"));
            continue;
        };
        let (wanted, size) = (size(&want["mount"]), text(&have["mount"]));
        // The links of a volume hide its directory's name from the mount table.
        if !wanted.is_empty() && !path.starts_with("volume-subpaths") && wanted != size {
            lines.push(format!("{path} mount: want {wanted} have {size}"));
        }
        for field in ["mode", "uid", "gid", "type", "target", "content"] {
            let (want, have) = (text(&want[field]), text(&have[field]));
            let have = have.replace(&root.to_string_lossy().into_owned(), "<ROOT>");
            if want != have && !is_of_static_pods(&want) {
                lines.push(format!("{path} {field}: want {want} have {have}"));
            }
        }
    }
    for path in recorded.keys() {
        let volume = path.starts_with("volumes/") || path.starts_with("volume-subpaths/");
        let of_agent = path.split('/').count() <= 3;
        if volume && of_agent && !found.contains_key(*path) {
            lines.push(format!("{path}: recorded, and not made"));
        }
    }
    match lines.as_slice() {
        [] => Ok(()),
        lines => Err(lines.join("\n")),
    }
}

/// The kind of file system a table has at a path, and its size where it has one.
fn mounted(table: &str, path: &Path) -> String {
    let found = table.lines().rev().find_map(|line| {
        let point = line.split(' ').nth(4)?;
        let (kind, rest) = line.split_once(" - ")?.1.split_once(' ')?;
        (Path::new(point) == path).then(|| (kind, rest.split(' ').nth(1).unwrap_or_default()))
    });
    found.map_or_else(String::new, |(kind, options)| sized(kind, options))
}

/// The same of a recorded mount.
fn size(mount: &Value) -> String {
    match (mount[0].as_str(), mount[1].as_str()) {
        (Some(kind), Some(options)) => sized(kind, options),
        _ => String::new(),
    }
}

fn sized(kind: &str, options: &str) -> String {
    let mut options = options.split(',');
    let size = options.find(|option| option.contains("size="));
    format!("{kind} {}", size.unwrap_or_default())
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Content with the annotations that only static pods have.
fn is_of_static_pods(content: &str) -> bool {
    content.contains("kubernetes.io/config.")
}
