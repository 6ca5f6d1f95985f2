//! Which machine an image is for, and how well that is this one: as containerd's platforms package
//! has it. Pure.

use super::go::Text;

/// What an index or a configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Platform {
    pub os: Text,
    pub architecture: Text,
    pub variant: Text,
}

impl Platform {
    /// That of this machine.
    pub fn here() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "x86" => "386",
            "aarch64" => "arm64",
            "loongarch64" => "loong64",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "powerpc64" => "ppc64",
            other => other,
        };
        Self {
            os: Text("linux".to_owned()),
            architecture: Text(architecture.to_owned()),
            variant: Text::default(),
        }
    }

    /// How well an image of this platform runs on a machine: 0 is best, none is not at all. What says
    /// nothing runs.
    pub fn rank(&self, machine: &Self) -> Option<u8> {
        let (has, wants) = (self.normal(), machine.normal().1);
        if self.os.0.is_empty() && has.1.is_empty() {
            return Some(0);
        }
        if has.0 != "linux" {
            return None;
        }
        match (wants, has.1, has.2) {
            (_, "", _) => Some(0),
            ("arm64", "arm64", _) | ("arm", "arm", _) => Some(0),
            // containerd takes the machine for the first of its kind.
            ("amd64", "amd64", "" | "v1") => Some(0),
            ("amd64", "amd64", _) => None,
            ("amd64", "386", _) | ("arm64", "arm", _) => Some(1),
            (wants, has, _) => (wants == has).then_some(0),
        }
    }

    /// Under the names that containerd uses.
    fn normal(&self) -> (&str, &str, &str) {
        let architecture = match self.architecture.0.as_str() {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            "i386" => "386",
            "armhf" | "armel" => "arm",
            other => other,
        };
        (&self.os.0, architecture, &self.variant.0)
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (os, architecture, variant) = self.normal();
        write!(f, "{os}/{architecture}")?;
        match variant {
            "" => Ok(()),
            variant => write!(f, "/{variant}"),
        }
    }
}
