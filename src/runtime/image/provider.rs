//! kubelet's credential providers (KEP-2133): programs that are asked for an image's credentials on
//! their standard input and answer on their standard output, for a time.
//!
//! Differs: `tokenAttributes` (service account tokens for providers) are refused by name.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tracing::debug;

use super::auth::{Entry, Keyring, matches};
use super::node;
use crate::api::{ImageName, signed_duration};
use crate::blocking::Blocking;
use crate::files;

/// kubelet gives a program a minute.
const PATIENCE: Duration = Duration::from_secs(60);
/// More is no answer.
const ANSWER_BYTES: u64 = 1 << 20;
const CONFIG_VERSION: &str = "kubelet.config.k8s.io/";
const API_VERSION: &str = "credentialprovider.kubelet.k8s.io/";

/// kubelet's `CredentialProviderConfig`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Providers {
    api_version: String,
    kind: String,
    providers: Vec<Provider>,
}

/// One program, and the images it is for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Provider {
    name: String,
    match_images: Vec<String>,
    default_cache_duration: String,
    api_version: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: Vec<Variable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    api_version: String,
    kind: String,
    cache_key_type: String,
    cache_duration: Option<String>,
    #[serde(default)]
    auth: BTreeMap<String, Entry>,
}

/// Answers that are still good, by provider and what they are for.
#[derive(Debug, Default)]
pub(super) struct Cache(BTreeMap<(String, String), (Timestamp, Keyring)>);

impl Providers {
    /// Reads the configuration.
    pub async fn read(file: &Path, blocking: &Blocking) -> Result<Self, String> {
        let read = node::read(file, blocking).await.and_then(files::text);
        read.map_err(|error| error.to_string())
            .and_then(|text| Self::parse(&text))
            .map_err(|error| {
                format!(
                    "imageCredentialProviderConfigFile {}: {error}",
                    file.display()
                )
            })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Self = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        if config.kind != "CredentialProviderConfig"
            || !config.api_version.starts_with(CONFIG_VERSION)
        {
            return Err("it is no CredentialProviderConfig of kubelet.config.k8s.io".to_owned());
        }
        for provider in &config.providers {
            let name = &provider.name;
            if name.is_empty() || name.contains('/') || matches!(name.as_str(), "." | "..") {
                return Err(format!("{name:?} is no name of a program"));
            }
            if !provider.api_version.starts_with(API_VERSION) {
                return Err(format!("{name}: apiVersion must be {API_VERSION}v1"));
            }
            duration(&provider.default_cache_duration)
                .map_err(|error| format!("{name}: defaultCacheDuration: {error}"))?;
        }
        Ok(config)
    }

    /// The programs that are for an image, in the configuration's order.
    pub fn for_image(&self, image: &ImageName) -> impl Iterator<Item = &Provider> {
        let repository = image.repository();
        let providers = self.providers.iter();
        providers.filter(move |p| p.match_images.iter().any(|m| matches(m, &repository)))
    }
}

impl Provider {
    /// The credentials for an image: an earlier answer while it is good, else a new one.
    pub async fn ask(
        &self,
        directory: &Path,
        image: &ImageName,
        cache: &RefCell<Cache>,
        blocking: &Blocking,
        now: Timestamp,
    ) -> Result<Keyring, String> {
        let repository = image.repository();
        if let Some(keyring) = cache.borrow_mut().get(&self.name, &repository, now) {
            return Ok(keyring);
        }
        let asked =
            tokio::time::timeout(PATIENCE, self.run(directory, &repository, blocking)).await;
        let answer = asked
            .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
            .and_then(|answer| self.understand(&answer));
        let (key, lasts, keyring) =
            answer.map_err(|error| format!("credential provider {}: {error}", self.name))?;
        let key = match key.as_str() {
            "Global" => "",
            "Registry" => repository.split('/').next().unwrap_or_default(),
            _ => repository.as_str(),
        };
        if lasts > SignedDuration::ZERO
            && let Ok(until) = now.checked_add(lasts)
        {
            let key = (self.name.clone(), key.to_owned());
            cache.borrow_mut().0.insert(key, (until, keyring.clone()));
        }
        Ok(keyring)
    }

    async fn run(
        &self,
        directory: &Path,
        repository: &str,
        blocking: &Blocking,
    ) -> Result<Vec<u8>, String> {
        let request = json!({
            "kind": "CredentialProviderRequest",
            "apiVersion": self.api_version,
            "image": repository,
        });
        let program = directory.join(&self.name);
        let trusted = node::on_file(&program, blocking, |path| {
            files::trust::insist(path).map(drop)
        });
        trusted.await.map_err(|error| error.to_string())?;
        let mut child = Command::new(program)
            .args(&self.args)
            .envs(self.env.iter().map(|v| (&v.name, &v.value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| error.to_string())?;
        expose(child.id());
        if let Some(mut stdin) = child.stdin.take() {
            // A program that needs not read it closes it early.
            stdin.write_all(request.to_string().as_bytes()).await.ok();
        }
        let mut answer = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let read = stdout.take(ANSWER_BYTES).read_to_end(&mut answer).await;
            read.map_err(|error| error.to_string())?;
        }
        let status = child.wait().await.map_err(|error| error.to_string())?;
        // Its standard error may hold what nobody should read.
        match status.success() {
            true => Ok(answer),
            false => Err(format!("it ended with {status}")),
        }
    }

    /// What an answer is good for, how long, and its credentials.
    fn understand(&self, answer: &[u8]) -> Result<(String, SignedDuration, Keyring), String> {
        // Without the answer's text: it has passwords.
        let response: Response = serde_json::from_slice(answer)
            .map_err(|error| format!("its answer cannot be understood at line {}", error.line()))?;
        if response.kind != "CredentialProviderResponse" || response.api_version != self.api_version
        {
            return Err(format!(
                "its answer is no CredentialProviderResponse of {}",
                self.api_version
            ));
        }
        let key = response.cache_key_type;
        if !matches!(key.as_str(), "Image" | "Registry" | "Global") {
            return Err(format!(
                "cacheKeyType {key:?} is none of Image, Registry and Global"
            ));
        }
        let lasts = response.cache_duration.as_deref();
        let lasts = duration(lasts.unwrap_or(&self.default_cache_duration))?;
        Ok((key, lasts, Keyring::of_entries(response.auth)))
    }
}

/// Takes from a program what it inherited of the agent's protection against running out of memory.
/// It shares the agent's limit: whoever uses too much is to end, not the agent.
fn expose(pid: Option<u32>) {
    let write = |pid| {
        let path = format!("/proc/{pid}/oom_score_adj");
        let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
        std::io::Write::write_all(&mut file, b"0")
    };
    if let Some(Err(error)) = pid.map(write) {
        debug!(%error, "a credential provider keeps the agent's oom_score_adj");
    }
}

impl Cache {
    fn get(&mut self, provider: &str, repository: &str, now: Timestamp) -> Option<Keyring> {
        self.0.retain(|_, (until, _)| *until > now);
        let registry = repository.split('/').next().unwrap_or_default();
        [repository, registry, ""].iter().find_map(|key| {
            let found = self.0.get(&(provider.to_owned(), (*key).to_owned()))?;
            Some(found.1.clone())
        })
    }
}

/// A duration as Go reads it.
fn duration(text: &str) -> Result<SignedDuration, String> {
    signed_duration(text).ok_or_else(|| format!("{text:?} is not a duration such as 12h or 10m0s"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const CONFIG: &str = "\
apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: ask
  matchImages: ['*.r.io', r.example:5000/team]
  defaultCacheDuration: 1h0m0s
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  args: [get]
  env: [{name: WHO, value: me}]
";

    fn name(image: &str) -> ImageName {
        ImageName::parse(image).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A program that counts its runs and answers with what it was given.
    fn program(directory: &Path, key: &str, lasts: &str) {
        let script = format!(
            "#!/bin/sh\nread -r request || true\necho \"$request\" >>\"{}/asked\"\n\
             cat <<END\n{{\"kind\": \"CredentialProviderResponse\",\n\
             \"apiVersion\": \"credentialprovider.kubelet.k8s.io/v1\",\n\
             \"cacheKeyType\": \"{key}\", {lasts}\n\
             \"auth\": {{\"*.r.io\": {{\"username\": \"$WHO-$1\", \"password\": \"p\"}}}}}}\nEND\n",
            directory.display()
        );
        let path = directory.join("ask");
        #[expect(clippy::disallowed_methods, reason = "a test writes files as it likes")]
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_program_does_not_keep_the_agents_oom_score_adj() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let path = format!("/proc/{}/oom_score_adj", child.id());
        let is = || std::fs::read_to_string(&path).unwrap().trim().to_owned();
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::io::Write::write_all(&mut file, b"500").unwrap();
        assert_eq!(is(), "500");
        expose(Some(child.id()));
        let exposed = is();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(exposed, "0");
    }

    #[test]
    fn configurations_are_read_and_refused_by_name() {
        let providers = Providers::parse(CONFIG).unwrap();
        let count = |image: &str| providers.for_image(&name(image)).count();
        assert_eq!(count("eu.r.io/a:b"), 1);
        assert_eq!(count("r.example:5000/team/a:v1"), 1);
        assert_eq!(count("r.io/a"), 0);
        let refused =
            |from: &str, to: &str| Providers::parse(&CONFIG.replace(from, to)).unwrap_err();
        assert!(refused("name: ask", "name: ../ask").contains("no name of a program"));
        assert!(refused("1h0m0s", "long").contains("defaultCacheDuration"));
        assert!(refused("args: [get]", "tokenAttributes: {}").contains("tokenAttributes"));
        assert!(refused("kind: Cred", "kind: X").contains("CredentialProviderConfig"));
    }

    #[tokio::test]
    async fn answers_are_kept_for_what_and_as_long_as_they_say() {
        let directory = tempfile::tempdir().unwrap();
        let providers = Providers::parse(CONFIG).unwrap();
        let provider = &providers.providers[0];
        let room = Blocking::default();
        for (key, lasts, runs) in [
            ("Image", "", 3),
            ("Registry", "", 2),
            ("Global", "", 1),
            ("Global", r#""cacheDuration": "0s","#, 4),
        ] {
            let path = directory.path();
            program(path, key, lasts);
            let cache = RefCell::default();
            for image in ["eu.r.io/a:1", "eu.r.io/a:2", "eu.r.io/b", "us.r.io/a"] {
                let image = name(image);
                let found = provider
                    .ask(path, &image, &cache, &room, at(0))
                    .await
                    .unwrap();
                let found = found.credentials(&image);
                assert_eq!(found[0].username, "me-get");
            }
            let asked = std::fs::read_to_string(path.join("asked")).unwrap();
            assert_eq!(asked.lines().count(), runs, "{key} {lasts}");
            assert!(asked.contains(r#""image":"eu.r.io/a""#), "{asked}");
            let again = provider
                .ask(path, &name("eu.r.io/a"), &cache, &room, at(3600))
                .await;
            assert!(again.is_ok());
            let asked = std::fs::read_to_string(path.join("asked")).unwrap();
            assert_eq!(asked.lines().count(), runs + 1, "an hour later");
            std::fs::remove_file(path.join("asked")).unwrap();
        }
    }

    #[tokio::test]
    async fn a_program_that_fails_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let providers = Providers::parse(CONFIG).unwrap();
        let provider = &providers.providers[0];
        let room = Blocking::default();
        let cache = RefCell::default();
        let asked = provider
            .ask(directory.path(), &name("eu.r.io/a"), &cache, &room, at(0))
            .await;
        assert!(asked.unwrap_err().starts_with("credential provider ask: "));
        program(directory.path(), "Sometimes", "");
        let asked = provider
            .ask(directory.path(), &name("eu.r.io/a"), &cache, &room, at(0))
            .await;
        assert!(asked.unwrap_err().contains("cacheKeyType"));
    }
}
