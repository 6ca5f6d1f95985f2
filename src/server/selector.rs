//! Label and field selectors of list requests (`labels.Parse`, `fields.ParseSelector`).

use std::collections::BTreeMap;

use super::failure::Failure;
use super::objects::{Item, Resource};

/// Which items a list holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Requirement {
    Exists(String),
    Missing(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

impl Selector {
    /// Reads both selectors; a malformed one and a field the resource has no selector for are
    /// answered with 400.
    pub(super) fn parse(resource: Resource, labels: &str, fields: &str) -> Result<Self, Failure> {
        let labels = split(labels).into_iter().map(requirement);
        let fields = fields.split(',').filter(|term| !term.is_empty());
        Ok(Self {
            labels: labels.collect::<Result<_, _>>()?,
            fields: fields
                .map(|term| field(resource, term))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether an item is one of those selected.
    pub(super) fn matches(&self, item: &Item) -> bool {
        let empty = BTreeMap::new();
        let labels = item.metadata().labels.as_ref().unwrap_or(&empty);
        self.labels
            .iter()
            .all(|requirement| requirement.matches(labels))
            && self
                .fields
                .iter()
                .all(|(field, equal, value)| (item.field(field) == *value) == *equal)
    }
}

impl Requirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Exists(key) => labels.contains_key(key),
            Self::Missing(key) => !labels.contains_key(key),
            Self::In(key, values) => labels.get(key).is_some_and(|v| values.contains(v)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|v| !values.contains(v)),
        }
    }
}

/// Splits at the commas that are not between parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|term| !term.is_empty())
    .collect()
}

fn requirement(term: &str) -> Result<Requirement, Failure> {
    let wrong = || Failure::bad_request(format!("unable to parse requirement: {term:?}"));
    let key = |text: &str| {
        let text = text.trim();
        let valid = !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        valid.then(|| text.to_owned()).ok_or_else(wrong)
    };
    if let Some((name, value)) = term.split_once("!=") {
        return Ok(Requirement::NotIn(
            key(name)?,
            vec![value.trim().to_owned()],
        ));
    }
    if let Some((name, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Ok(Requirement::In(key(name)?, vec![value.trim().to_owned()]));
    }
    if let Some((head, values)) = term.split_once('(') {
        let values = values.trim_end().strip_suffix(')').ok_or_else(wrong)?;
        let values = values.split(',').map(|v| v.trim().to_owned()).collect();
        let (name, operator) = head
            .trim_end()
            .rsplit_once(char::is_whitespace)
            .ok_or_else(wrong)?;
        return match operator {
            "in" => Ok(Requirement::In(key(name)?, values)),
            "notin" => Ok(Requirement::NotIn(key(name)?, values)),
            _ => Err(wrong()),
        };
    }
    match term.strip_prefix('!') {
        Some(name) => Ok(Requirement::Missing(key(name)?)),
        None => Ok(Requirement::Exists(key(term)?)),
    }
}

fn field(resource: Resource, term: &str) -> Result<(String, bool, String), Failure> {
    let (name, equal, value) = if let Some((name, value)) = term.split_once("!=") {
        (name, false, value)
    } else if let Some((name, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (name, true, value)
    } else {
        let message = format!("invalid selector: {term:?}; can't understand it");
        return Err(Failure::bad_request(message));
    };
    if !resource.fields().contains(&name)
        && !["metadata.name", "metadata.namespace"].contains(&name)
    {
        return Err(Failure::bad_request(format!(
            "field label not supported: {name}"
        )));
    }
    Ok((name.to_owned(), equal, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> bool {
        let labels = [("app", "web"), ("tier", "")];
        let labels = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let selector = Selector::parse(Resource::Pods, text, "").expect("a selector");
        selector.labels.iter().all(|r| r.matches(&labels))
    }

    #[test]
    fn label_selectors() {
        for text in [
            "",
            "app",
            "app=web",
            "app==web",
            "app in (a, web)",
            "!gone",
            "gone!=x",
            "gone notin (a)",
            "tier=",
            "app=web,tier",
        ] {
            assert!(labels(text), "{text}");
        }
        for text in [
            "gone",
            "app=db",
            "app!=web",
            "app notin (web)",
            "!app",
            "app in (a,b),tier",
        ] {
            assert!(!labels(text), "{text}");
        }
        for text in ["a b", "app in web", "app of (web)", "=x", "app in (web"] {
            assert!(Selector::parse(Resource::Pods, text, "").is_err(), "{text}");
        }
    }

    #[test]
    fn field_selectors() {
        let parse = |resource, text| Selector::parse(resource, "", text).map(|s| s.fields);
        assert_eq!(
            parse(Resource::Pods, "spec.nodeName=n,status.phase!=Failed"),
            Ok(vec![
                ("spec.nodeName".to_owned(), true, "n".to_owned()),
                ("status.phase".to_owned(), false, "Failed".to_owned()),
            ])
        );
        assert_eq!(
            parse(Resource::Nodes, "status.phase=x"),
            Err(Failure::bad_request(
                "field label not supported: status.phase"
            ))
        );
        assert!(parse(Resource::Nodes, "status.phase").is_err());
    }
}
