//! DaemonSets for trials: small ones of busybox, written as text.

/// A DaemonSet of one container, in the `default` namespace.
#[derive(Debug, Clone)]
pub struct Set<'a> {
    /// Its name.
    pub name: &'a str,
    /// What its container runs in `sh -c`.
    pub script: &'a str,
    /// The image.
    pub image: &'a str,
    /// Further fields of the pod's spec, one line each, without indentation.
    pub pod: &'a [&'a str],
    /// Further fields of the container, one line each, without indentation.
    pub container: &'a [&'a str],
    /// Annotations of the DaemonSet itself.
    pub annotations: &'a [&'a str],
    /// Further fields of the set's spec, one line each, without indentation.
    pub spec: &'a [&'a str],
}

/// A set that sleeps and ends at once when it is told to.
pub fn sleeper(name: &str) -> Set<'_> {
    Set {
        name,
        script: "trap 'exit 0' TERM; echo up; while :; do sleep 1; done",
        image: "docker.io/library/busybox:latest",
        pod: &[],
        container: &[],
        annotations: &[],
        spec: &[],
    }
}

impl Set<'_> {
    /// The manifest.
    pub fn yaml(&self) -> String {
        let lines = |indent: usize, lines: &[&str]| {
            let pad = " ".repeat(indent);
            lines
                .iter()
                .map(|line| format!("{pad}{line}\n"))
                .collect::<String>()
        };
        let Self {
            name,
            script,
            image,
            ..
        } = self;
        let annotations = match self.annotations {
            [] => String::new(),
            some => format!("  annotations:\n{}", lines(4, some)),
        };
        format!(
            "apiVersion: apps/v1\nkind: DaemonSet\nmetadata:\n  name: {name}\n{annotations}\
             spec:\n{}  selector:\n    matchLabels: {{app: {name}}}\n  template:\n    metadata:\n      \
             labels: {{app: {name}}}\n    spec:\n      terminationGracePeriodSeconds: 5\n{}      \
             containers:\n      - name: main\n        image: {image}\n        \
             imagePullPolicy: IfNotPresent\n        command: [sh, -c, {script:?}]\n{}",
            lines(2, self.spec),
            lines(6, self.pod),
            lines(8, self.container),
        )
    }
}
