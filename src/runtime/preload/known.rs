//! What is known of archives, so that what is settled is not read again.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::archives::Archive;
use super::store::Present;
use crate::model::Reason;

/// What is known of an archive.
#[derive(Debug, Clone)]
pub(super) enum Known {
    /// The images it brings, and what of it was refused.
    Brings(Vec<String>, Vec<Reason>),
    /// What is wrong with it, for as long as it stays as it is.
    Bad(Vec<Reason>),
    /// Others bring what it has, for as long as they are there.
    Taken(Reason),
    /// containerd failed at it, the last of several times in a row.
    Later {
        reasons: Vec<Reason>,
        times: u32,
        again: Instant,
    },
}

/// What is to be known of an archive without reading it; none when it is to be imported.
pub(super) fn settled(
    archive: &Archive,
    known: Option<&Known>,
    present: &BTreeMap<String, Present>,
) -> Option<Known> {
    match known {
        Some(brings @ Known::Brings(names, _)) => {
            let all = names.iter().all(|name| present.contains_key(name));
            all.then(|| brings.clone())
        }
        Some(bad @ (Known::Bad(_) | Known::Taken(_))) => Some(bad.clone()),
        Some(later @ Known::Later { again, .. }) => {
            (Instant::now() < *again).then(|| later.clone())
        }
        None => {
            let mut names = Vec::new();
            let mut count = None;
            for (name, image) in present {
                let label = image.archive.as_deref().and_then(|l| l.rsplit_once('/'));
                if let Some((print, of)) = label
                    && print == archive.print
                {
                    names.push(name.clone());
                    count = of.parse().ok();
                }
            }
            (count == Some(names.len())).then_some(Known::Brings(names, Vec::new()))
        }
    }
}
