//! `$(NAME)` references in commands, arguments and values, as Kubernetes expands them
//! (third_party/forked/golang/expansion).

/// Replaces `$(NAME)` by what `lookup` gives, leaves it where that gives nothing, and makes `$$`
/// a plain `$` that begins no reference.
pub fn expand(text: &str, mut lookup: impl FnMut(&str) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut expanded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push(b'$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|r| r.split_once(')')) {
            match lookup(name) {
                Some(value) => expanded.extend(value),
                None => expanded.extend_from_slice(format!("$({name})").as_bytes()),
            }
            rest = after;
        } else {
            expanded.push(b'$');
        }
    }
    expanded.extend_from_slice(rest.as_bytes());
    expanded
}
