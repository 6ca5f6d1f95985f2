//! What containerd tells of its CNI configuration and of a sandbox's network, in the verbose answers
//! of `Status` (`cniconfig`, go-cni's `ConfigResult`) and `PodSandboxStatus` (`info`, go-cni's `Result`).
//!
//! None of it is part of CRI: what is missing, or reads otherwise, is as if nothing were told.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where host-local keeps its leases unless its configuration says otherwise.
const LEASES: &str = "/var/lib/cni/networks";

/// The directories of host-local's leases, one a network.
pub(super) fn networks(info: &HashMap<String, String>) -> Vec<PathBuf> {
    let told = read(info, "cniconfig");
    let networks = told["Networks"].as_array().into_iter().flatten();
    let mut found: Vec<PathBuf> = networks.filter_map(|n| leases(&n["Config"])).collect();
    found.sort();
    found.dedup();
    found
}

/// The directory of the configurations.
pub(super) fn configurations(info: &HashMap<String, String>) -> Option<PathBuf> {
    let told = read(info, "cniconfig");
    let directory = PathBuf::from(told["PluginConfDir"].as_str()?);
    directory.is_absolute().then_some(directory)
}

/// The directory of one network's leases, where host-local gives its addresses.
fn leases(config: &Value) -> Option<PathBuf> {
    let name = config["Name"].as_str().filter(|name| is_name(name))?;
    let plugins = config["Plugins"].as_array().into_iter().flatten();
    let sources = plugins.filter_map(|plugin| {
        let source = plugin["Source"].as_str()?;
        serde_json::from_str::<Value>(source).ok()
    });
    let mut ipams = sources.map(|mut source| source["ipam"].take());
    let ipam = ipams.find(|ipam| ipam["type"] == "host-local")?;
    let directory = ipam["dataDir"].as_str().filter(|path| !path.is_empty());
    let directory = Path::new(directory.unwrap_or(LEASES));
    directory.is_absolute().then(|| directory.join(name))
}

/// Whether a network's name stays below the directory of leases.
fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains('/')
}

/// The addresses that a sandbox was given when it was made.
pub(super) fn addresses(info: &HashMap<String, String>) -> Vec<IpAddr> {
    let told = read(info, "info");
    let interfaces = told["cniResult"]["Interfaces"].as_object();
    let interfaces = interfaces.into_iter().flat_map(|all| all.values());
    let addresses = interfaces.flat_map(|one| one["IPConfigs"].as_array().into_iter().flatten());
    addresses
        .filter_map(|one| one["IP"].as_str()?.parse().ok())
        .filter(|address: &IpAddr| !address.is_loopback())
        .collect()
}

fn read(info: &HashMap<String, String>, key: &str) -> Value {
    let text = info.get(key).map_or("", String::as_str);
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn info(key: &str, value: &Value) -> HashMap<String, String> {
        [(key.to_owned(), value.to_string())].into()
    }

    #[test]
    fn leases_lie_where_the_configuration_says() {
        let network = |name: &str, ipam: Value| {
            let plugin = json!({"type": "bridge", "ipam": ipam});
            json!({"IFName": "eth0", "Config": {"Name": name, "Plugins": [
                {"Network": {"type": "portmap"}, "Source": "{\"type\": \"portmap\"}"},
                {"Network": {"type": "bridge"}, "Source": plugin.to_string()},
            ]}})
        };
        let told = json!({"PluginConfDir": "/etc/cni/net.d", "Networks": [
            network("usual", json!({"type": "host-local"})),
            network("own", json!({"type": "host-local", "dataDir": "/run/leases"})),
            network("other", json!({"type": "dhcp"})),
            network("../up", json!({"type": "host-local"})),
            network("relative", json!({"type": "host-local", "dataDir": "leases"})),
            {"IFName": "lo", "Config": {"Name": "cni-loopback", "Plugins": []}},
        ]});
        let found = networks(&info("cniconfig", &told));
        let want = ["/run/leases/own", "/var/lib/cni/networks/usual"];
        assert_eq!(found, want.map(PathBuf::from));
        let directory = configurations(&info("cniconfig", &told));
        assert_eq!(directory, Some(PathBuf::from("/etc/cni/net.d")));
        assert_eq!(configurations(&HashMap::new()), None);
        assert!(networks(&HashMap::new()).is_empty());
        assert!(networks(&info("cniconfig", &json!([1]))).is_empty());
    }

    #[test]
    fn addresses_are_those_of_the_sandboxs_interfaces() {
        let told = json!({"cniResult": {"Interfaces": {
            "lo": {"IPConfigs": [{"IP": "127.0.0.1", "Gateway": ""}, {"IP": "::1"}]},
            "eth0": {"IPConfigs": [{"IP": "10.0.0.2", "Gateway": "10.0.0.1"}, {"IP": "fd00::2"}]},
            "cni0": {"IPConfigs": null, "Mac": "00:00:00:00:00:00"},
        }}});
        let mut found = addresses(&info("info", &told));
        found.sort();
        let want = ["10.0.0.2", "fd00::2"].map(|one| one.parse::<IpAddr>().expect("one"));
        assert_eq!(found, want);
        assert!(addresses(&info("info", &json!({"cniResult": null}))).is_empty());
    }
}
