//! The environment of a container, and `$(NAME)` in its command, arguments and paths.
//!
//! Follows kubelet v1.36's `makeEnvironmentVariables` and `third_party/forked/golang/expansion`.
//! Values are bytes: a Secret's need not be UTF-8. The services of a cluster are not known here,
//! so `enableServiceLinks` adds nothing.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVar, EnvVarSource};

use super::Host;
use crate::model::expand::expand;
use crate::model::{DesiredPod, Reason, downward};
use crate::runtime::files::FileKeys;

/// Names and values in the order they were first set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    order: Vec<String>,
    values: BTreeMap<String, Vec<u8>>,
}

impl Environment {
    fn set(&mut self, name: &str, value: Vec<u8>) {
        if self.values.insert(name.to_owned(), value).is_none() {
            self.order.push(name.to_owned());
        }
    }

    /// A variable's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.values.get(name).map(Vec::as_slice)
    }

    /// Names with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.order
            .iter()
            .filter_map(|name| Some((name.as_str(), self.get(name)?)))
    }

    /// Text with every `$(NAME)` of a known name replaced, `$$` made `$` and all else as it is.
    #[must_use]
    pub fn expand(&self, text: &str) -> String {
        let expanded = expand(text, |name| self.get(name).map(<[u8]>::to_vec));
        String::from_utf8_lossy(&expanded).into_owned()
    }

    /// As [`Environment::expand`], but a name that is not known is an error.
    ///
    /// # Errors
    ///
    /// The message kubelet gives, with the first name missing.
    pub fn expand_all(&self, text: &str) -> Result<String, String> {
        let mut missing = None;
        let expanded = expand(text, |name| {
            let value = self.get(name).map(<[u8]>::to_vec);
            if value.is_none() {
                missing.get_or_insert_with(|| name.to_owned());
            }
            value
        });
        match missing {
            Some(name) => Err(format!("missing value for {name}")),
            None => Ok(String::from_utf8_lossy(&expanded).into_owned()),
        }
    }
}

/// The whole environment of a container.
///
/// # Errors
///
/// `CreateContainerConfigError` naming the object, key or field that is not there.
pub fn environment(
    pod: &DesiredPod,
    container: &Container,
    ips: &[String],
    file_keys: &FileKeys,
    host: &Host,
) -> Result<Environment, Reason> {
    let mut environment = Environment::default();
    for source in container.env_from.iter().flatten() {
        from_object(pod, source, &mut environment).map_err(|m| refused(container, m))?;
    }
    for variable in container.env.iter().flatten() {
        let value = value(pod, container, variable, &environment, ips, file_keys, host)
            .map_err(|m| refused(container, m))?;
        if let Some(value) = value {
            environment.set(&variable.name, value);
        }
    }
    Ok(environment)
}

fn refused(container: &Container, message: String) -> Reason {
    Reason::new("CreateContainerConfigError", message).of_container(&container.name)
}

/// Takes in a whole ConfigMap or Secret.
fn from_object(
    pod: &DesiredPod,
    source: &EnvFromSource,
    environment: &mut Environment,
) -> Result<(), String> {
    let prefix = source.prefix.as_deref().unwrap_or_default();
    let pairs: Vec<(&String, Vec<u8>)> = if let Some(from) = &source.config_map_ref {
        match pod.references.config_maps.get(&from.name) {
            Some(map) => map
                .data
                .iter()
                .flatten()
                .map(|(k, v)| (k, v.clone().into_bytes()))
                .collect(),
            None if from.optional == Some(true) => return Ok(()),
            None => return Err(format!("configmap \"{}\" not found", from.name)),
        }
    } else if let Some(from) = &source.secret_ref {
        match pod.references.secrets.get(&from.name) {
            Some(secret) => secret
                .data
                .iter()
                .flatten()
                .map(|(k, v)| (k, v.0.clone()))
                .collect(),
            None if from.optional == Some(true) => return Ok(()),
            None => return Err(format!("secret \"{}\" not found", from.name)),
        }
    } else {
        Vec::new()
    };
    for (key, value) in pairs {
        let name = format!("{prefix}{key}");
        // Keys that cannot be names of variables are passed over.
        if !name.is_empty()
            && name
                .bytes()
                .all(|b| (b' '..=b'~').contains(&b) && b != b'=')
        {
            environment.set(&name, value);
        }
    }
    Ok(())
}

/// A variable's value; none where an optional source is not there.
fn value(
    pod: &DesiredPod,
    container: &Container,
    variable: &EnvVar,
    before: &Environment,
    ips: &[String],
    file_keys: &FileKeys,
    host: &Host,
) -> Result<Option<Vec<u8>>, String> {
    if let Some(text) = variable.value.as_deref().filter(|v| !v.is_empty()) {
        return Ok(Some(expand(text, |name| {
            before.get(name).map(<[u8]>::to_vec)
        })));
    }
    let Some(source) = &variable.value_from else {
        return Ok(Some(Vec::new()));
    };
    if let Some(field) = &source.field_ref {
        let path = &field.field_path;
        return downward::field(&pod.record.pod, path, &host.node, ips)
            .map(|text| Some(text.into_bytes()))
            .ok_or_else(|| format!("unsupported fieldPath: {path}"));
    }
    if let Some(selector) = &source.resource_field_ref {
        let own = Some(container.name.as_str());
        return downward::resource(pod.spec(), own, selector, &host.node)
            .map(|text| Some(text.into_bytes()))
            .ok_or_else(|| format!("unsupported resource: {}", selector.resource));
    }
    if let Some(key) = &source.file_key_ref {
        return Ok(file_keys
            .get(&(key.volume_name.clone(), key.path.clone(), key.key.clone()))
            .cloned());
    }
    of_key(pod, source)
}

/// The value of one key of a ConfigMap or Secret.
fn of_key(pod: &DesiredPod, source: &EnvVarSource) -> Result<Option<Vec<u8>>, String> {
    let namespace = &pod.key().namespace;
    let (found, key, name, optional, kind) = if let Some(from) = &source.config_map_key_ref {
        let object = pod.references.config_maps.get(&from.name);
        let found = object.map(|map| {
            let text = map.data.as_ref().and_then(|d| d.get(&from.key));
            text.map(|v| v.clone().into_bytes())
        });
        (found, &from.key, &from.name, from.optional, "ConfigMap")
    } else if let Some(from) = &source.secret_key_ref {
        let object = pod.references.secrets.get(&from.name);
        let found = object.map(|secret| {
            let bytes = secret.data.as_ref().and_then(|d| d.get(&from.key));
            bytes.map(|v| v.0.clone())
        });
        (found, &from.key, &from.name, from.optional, "Secret")
    } else {
        return Ok(Some(Vec::new()));
    };
    match found {
        Some(Some(value)) => Ok(Some(value)),
        _ if optional == Some(true) => Ok(None),
        Some(None) => Err(format!(
            "couldn't find key {key} in {kind} {namespace}/{name}"
        )),
        None => Err(format!("{} \"{name}\" not found", kind.to_lowercase())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The environment of a container as `NAME=VALUE`, or what was refused.
    fn of(container: Value) -> Result<Vec<String>, String> {
        let objects = [
            json!({"kind": "ConfigMap", "metadata": {"name": "conf"},
                "data": {"a": "1", "no=name": "2", "b.c": "3"}}),
            json!({"kind": "Secret", "metadata": {"name": "key"}, "data": {"t": "/w=="}}),
        ];
        let mut container = container;
        container["name"] = json!("c");
        let pod = DesiredPod::of_test(json!({"containers": [container]}), &objects);
        let host = Host {
            node: std::sync::Arc::default(),
            pods_root: "/p".into(),
            pod_logs: "/l".into(),
            cgroup_root: "/setlet".to_owned(),
            cgroup_driver: crate::cri::CgroupDriver::Cgroupfs,
            resolv_conf: "/r".into(),
            features: super::super::RuntimeFeatures::default(),
            settings: super::super::PodSettings::default(),
        };
        let container = &pod.spec().containers[0];
        let environment = environment(&pod, container, &[], &FileKeys::new(), &host);
        let environment = environment.map_err(|reason| reason.message)?;
        let pairs = environment.iter();
        Ok(pairs
            .map(|(name, value)| format!("{name}={}", value.escape_ascii()))
            .collect())
    }

    #[test]
    fn objects_fill_the_environment() {
        let from = json!([{"prefix": "P_", "configMapRef": {"name": "conf"}},
            {"secretRef": {"name": "key"}}, {"secretRef": {"name": "no", "optional": true}}]);
        let env = json!([{"name": "t", "value": "$(P_a)!"},
            {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "b.c"}}},
            {"name": "N", "valueFrom": {"secretKeyRef":
                {"name": "key", "key": "no", "optional": true}}}]);
        let have = of(json!({"envFrom": from, "env": env})).expect("an environment");
        assert_eq!(have, ["P_a=1", "P_b.c=3", "t=1!", "B=3"]);
        let have = of(json!({"envFrom": [{"secretRef": {"name": "key"}}]}));
        assert_eq!(have.expect("an environment"), ["t=\\xff"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let key = |kind: &str, name: &str| {
            let source = json!({kind: {"name": name, "key": "k"}});
            of(json!({"env": [{"name": "X", "valueFrom": source}]})).expect_err("refused")
        };
        assert_eq!(key("configMapKeyRef", "no"), "configmap \"no\" not found");
        assert_eq!(
            key("configMapKeyRef", "conf"),
            "couldn't find key k in ConfigMap team/conf"
        );
        assert_eq!(
            key("secretKeyRef", "key"),
            "couldn't find key k in Secret team/key"
        );
        let from = of(json!({"envFrom": [{"configMapRef": {"name": "no"}}]}));
        assert_eq!(from.expect_err("refused"), "configmap \"no\" not found");
    }

    #[test]
    fn references_are_replaced_and_all_else_stays() {
        let mut env = Environment::default();
        env.set("A", b"alpha".to_vec());
        for (text, want) in [
            ("$(A)/$$(A)/$$$(A)/$$$$(A)", "alpha/$(A)/$alpha/$$(A)"),
            ("$(NOPE) $A ${A} $(A a$ $$", "$(NOPE) $A ${A} $(A a$ $"),
            ("$()$($(A))$( A )", "$()$($(A))$( A )"),
        ] {
            assert_eq!(env.expand(text), want);
        }
        assert_eq!(env.expand_all("x$(B)").unwrap_err(), "missing value for B");
    }
}
