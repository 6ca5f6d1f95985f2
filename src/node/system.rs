//! What the Node object shows of the machine: operating system, kernel, ids. Keys are those of
//! `v1.NodeSystemInfo`; what cannot be read is left out.

use std::collections::BTreeMap;
use std::path::Path;

use super::identity::architecture;
use crate::files;

pub(super) fn read() -> BTreeMap<String, String> {
    let file = |path: &str| {
        let text = files::read_text(Path::new(path), files::CONFIGURATION).ok()?;
        let text = text.trim().to_owned();
        (!text.is_empty()).then_some(text)
    };
    let release = file("/etc/os-release").or_else(|| file("/usr/lib/os-release"));
    let machine_id = file("/etc/machine-id").or_else(|| file("/var/lib/dbus/machine-id"));
    let kernel = nix::sys::utsname::uname()
        .ok()
        .map(|name| name.release().to_string_lossy().into_owned());
    let facts = [
        ("architecture", Some(architecture().to_owned())),
        ("bootID", file("/proc/sys/kernel/random/boot_id")),
        ("kernelVersion", kernel),
        ("machineID", machine_id.clone()),
        ("operatingSystem", Some("linux".to_owned())),
        ("osImage", release.as_deref().and_then(pretty_name)),
        (
            "systemUUID",
            file("/sys/class/dmi/id/product_uuid").or(machine_id),
        ),
    ];
    facts
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

/// `PRETTY_NAME` of an os-release file, without its quotes.
fn pretty_name(release: &str) -> Option<String> {
    let value = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pretty_name_is_unquoted() {
        let release = "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\n";
        let name = Some("Debian GNU/Linux 13 (trixie)".to_owned());
        assert_eq!(pretty_name(release), name);
        assert_eq!(pretty_name("ID=x\n"), None);
    }
}
