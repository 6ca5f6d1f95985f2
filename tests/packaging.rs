//! What is installed: units as systemd reads them, the generated pages and configuration, and the packages'
//! scripts, run by dpkg and rpm.

#![expect(clippy::disallowed_methods, reason = "a test writes files as it likes")]

#[path = "../packaging/reference/configuration.rs"]
mod configuration;
#[path = "../packaging/reference/fields.rs"]
mod fields;
#[path = "../packaging/reference/pages.rs"]
mod pages;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::CommandFactory;
use setlet::config::Config;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What a program said, standard error after standard output, and whether it ended well.
fn run(command: &mut Command) -> (bool, String) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; tests/node/setup.sh installs it"));
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// A unit of ours in a directory of its own, with a program that is there.
fn unit(name: &str, directory: &Path) -> PathBuf {
    let text = fs::read_to_string(root().join("systemd").join(name)).expect("the unit");
    let program = env!("CARGO_BIN_EXE_setlet");
    let path = directory.join(name);
    fs::write(&path, text.replace("/usr/bin/setlet", program)).expect("written");
    path
}

/// What `make reference` writes, below the directory that packages are made in.
fn write_reference(out: &Path) {
    let reference = out.join("reference");
    fs::create_dir_all(&reference).expect("a directory");
    let structs = fields::read();
    let text = configuration::file(&structs);
    fs::write(reference.join("config.yaml"), text).expect("written");
    pages::write(&reference, &configuration::entries(&structs)).expect("written");
}

#[test]
fn systemd_understands_the_units() {
    let directory = tempfile::tempdir().expect("a directory");
    let paths =
        ["setlet.service", "setlet-containerd.service"].map(|name| unit(name, directory.path()));
    let mut verify = Command::new("systemd-analyze");
    // Without the option unknown keys are told and the end is good.
    verify.args(["verify", "--man=no", "--recursive-errors=no"]);
    let (good, said) = run(verify.args(paths));
    assert!(good && said.is_empty(), "{said}");
}

#[test]
fn the_agents_unit_is_as_exposed_as_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = unit("setlet.service", directory.path());
    let mut security = Command::new("systemd-analyze");
    security.args(["--no-pager", "security", "--offline=true", "--threshold=58"]);
    let (good, said) = run(security.arg(path));
    let (_, version) = run(Command::new("systemd-analyze").arg("--version"));
    let score = said.lines().rev().find(|line| !line.trim().is_empty());
    // Not println, which is kept back where a test passes.
    writeln!(
        io::stderr(),
        "{}: {}",
        version.lines().next().unwrap_or_default(),
        score.unwrap_or_default()
    )
    .expect("written");
    assert!(good, "{said}");
}

/// A mount namespace of the unit's own would hide from containers what the agent mounts, and its
/// end would take it away.
#[test]
fn no_setting_of_the_unit_gives_it_a_mount_namespace() {
    let text = fs::read_to_string(root().join("systemd/setlet.service")).expect("the unit");
    let keys: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, _)| key)
        .collect();
    let breaks = [
        "Private",
        "ProtectSystem",
        "ProtectHome",
        "ProtectKernel",
        "ProtectControlGroups",
        "ProtectProc",
        "ProcSubset",
        "ReadOnlyPaths",
        "ReadWritePaths",
        "InaccessiblePaths",
        "ExecPaths",
        "NoExecPaths",
        "BindPaths",
        "BindReadOnlyPaths",
        "TemporaryFileSystem",
        "LogNamespace",
        "DynamicUser",
        "MountFlags",
        "NetworkNamespacePath",
        "MountAPIVFS",
        "RootDirectory",
        "RootImage",
        // Not a namespace; fsGroup, openat2, renamed hosts, block devices, modes of hostPath.
        "RestrictSUIDSGID",
        "ProtectHostname",
        "Device",
        "UMask",
        "MemoryDenyWriteExecute",
        // Re-own what is there, or refuse a link.
        "StateDirectory",
        "RuntimeDirectory",
        "LogsDirectory",
        "ConfigurationDirectory",
        "Group",
        "Slice",
    ];
    for key in keys {
        assert!(!breaks.iter().any(|bad| key.starts_with(bad)), "{key}");
    }
}

#[test]
fn the_shipped_configuration_says_nothing_and_with_its_keys_set_the_defaults() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.yaml");
    let text = configuration::file(&fields::read());
    fs::write(&path, &text).expect("written");
    let load = || Config::load(Some(&path)).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(load(), Config::defaults());

    // `#key` and `#  key` are settings, `# prose` is none.
    let is_prose = |line: &str| line.starts_with("# ") && !line.starts_with("#  ");
    let set: Vec<_> = text
        .lines()
        .map(|line| match is_prose(line) {
            true => line,
            false => line.strip_prefix('#').unwrap_or(line),
        })
        .collect();
    let set = set.join("\n");
    fs::write(&path, &set).expect("written");
    assert_eq!(load(), Config::defaults());
    let keys = |value: &serde_yaml::Value| value.as_mapping().expect("a map").len();
    let value: serde_yaml::Value = serde_yaml::from_str(&set).expect("YAML");
    assert_eq!(
        keys(&value),
        keys(&configuration::defaults()),
        "every key is in it"
    );
}

#[test]
fn every_key_and_every_command_has_its_words() {
    let directory = tempfile::tempdir().expect("a directory");
    let entries = configuration::entries(&fields::read());
    for entry in &entries {
        assert!(entry.doc.ends_with('.'), "{}: {:?}", entry.path, entry.doc);
    }
    pages::write(directory.path(), &entries).expect("written");
    let page = |name: &str| {
        let path = directory.path().join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let fields = page("setlet.yaml.5");
    for path in ["manifests.path", "imageGC.minimumAge", "reserved.pid"] {
        assert!(fields.contains(&format!("\n.B {path}\n")), "{path}");
    }
    let mut command = setlet::cli::Cli::command();
    command.build();
    for below in command.get_subcommands().filter(|c| c.get_name() != "help") {
        let text = page(&format!("setlet-{}.1", below.get_name()));
        let about = below.get_about().expect("every command says what it does");
        let words = about
            .to_string()
            .replace('-', "\\-")
            .replace('\'', "\\*(Aq");
        assert!(text.contains(&words), "{about}: {text}");
    }
}

#[test]
fn the_changelog_begins_with_this_version() {
    let text = fs::read_to_string(root().join("packaging/changelog")).expect("the changelog");
    let version = env!("CARGO_PKG_VERSION").replacen('-', "~", 1);
    let first = text.lines().next().unwrap_or_default();
    assert!(
        first.starts_with(&format!("setlet ({version}-1) ")),
        "{first}"
    );
}

#[test]
fn installation_upgrade_removal_and_purge_by_dpkg_and_rpm() {
    let directory = tempfile::tempdir().expect("a directory");
    let out = directory.path().join("out");
    write_reference(&out);
    let mut copyright = Command::new(root().join("packaging/copyright.py"));
    let (good, text) = run(copyright.current_dir(root()));
    assert!(good && text.contains("tokio "), "{text}");
    fs::write(out.join("copyright"), text).expect("written");

    let mut scripts = Command::new(root().join("tests/packaging/scripts.sh"));
    scripts
        .arg(directory.path())
        .env("SETLET_PACKAGE_OUT", &out);
    let (good, said) = run(&mut scripts);
    println!("{said}");
    assert!(good, "{said}");
}

/// `make install` and `make uninstall`, into a tree: what is put there is taken away again.
#[test]
fn installed_files_are_taken_away_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let out = directory.path().join("out");
    let tree = directory.path().join("tree");
    write_reference(&out);
    fs::write(out.join("copyright"), "").expect("written");
    let stage = |action: &str| {
        let mut stage = Command::new(root().join("packaging/stage.sh"));
        stage.args([action, "src", env!("CARGO_BIN_EXE_setlet")]);
        stage
            .arg(&tree)
            .arg("/usr/local")
            .env("SETLET_PACKAGE_OUT", &out);
        let (good, said) = run(&mut stage);
        assert!(good, "{action}: {said}");
        said
    };
    stage("install");
    let unit = tree.join("usr/local/lib/systemd/system/setlet.service");
    let unit = fs::read_to_string(unit).expect("the unit");
    assert!(
        unit.contains("ExecStart=/usr/local/bin/setlet run"),
        "{unit}"
    );
    let configuration = tree.join("etc/setlet/config.yaml");
    fs::write(&configuration, "nodeName: mine\n").expect("written");
    assert!(
        stage("install").contains("kept: "),
        "an administrator's file is left"
    );
    assert!(stage("uninstall").contains("changed, left: "));
    let (_, left) = run(Command::new("find").arg(&tree).args(["-type", "f"]));
    assert_eq!(left.trim(), configuration.display().to_string());
}
