//! The house rules that a program can check: who imports whom, how long files and functions are,
//! that decisions are pure, and that every file says what it is for.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "architecture/threads.rs"]
mod threads;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// The most lines of a file.
const FILE_LINES: usize = 400;
/// The most lines of a function, from its signature to its closing brace.
const FUNCTION_LINES: usize = 60;

/// Which modules each module may import, besides itself.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("model", &["api"]),
    ("clock", &["model", "files"]),
    ("eligibility", &["api", "model"]),
    ("plan", &["api", "model"]),
    ("status", &["api", "model"]),
    ("config", &["api", "blocking", "files"]),
    ("metrics", &["api"]),
    ("blocking", &["api", "clock", "model"]),
    ("files", &[]),
    (
        "source",
        &["api", "clock", "model", "metrics", "blocking", "files"],
    ),
    ("node", &["api", "model", "metrics", "blocking", "files"]),
    (
        "runtime",
        &[
            "api", "clock", "model", "metrics", "blocking", "files", "cri",
        ],
    ),
    ("volume", &["api", "model", "metrics", "blocking", "files"]),
    (
        "store",
        &["api", "clock", "model", "metrics", "blocking", "files"],
    ),
    ("probe", &["api", "clock", "model", "metrics", "runtime"]),
    // The server derives objects when they are asked for, so it may use the pure `status`.
    (
        "server",
        &[
            "api", "clock", "model", "metrics", "blocking", "runtime", "status",
        ],
    ),
    (
        "agent",
        &[
            "api",
            "blocking",
            "clock",
            "config",
            "eligibility",
            "files",
            "metrics",
            "model",
            "node",
            "plan",
            "probe",
            "runtime",
            "server",
            "source",
            "status",
            "store",
            "volume",
        ],
    ),
    (
        "cli",
        &[
            "agent",
            "api",
            "blocking",
            "clock",
            "config",
            "eligibility",
            "files",
            "metrics",
            "model",
            "node",
            "plan",
            "probe",
            "runtime",
            "server",
            "source",
            "status",
            "store",
            "volume",
        ],
    ),
];

/// Modules of pure functions and data.
const PURE: &[&str] = &["api", "model", "eligibility", "plan", "status"];
/// What reaches outside of a process, starts something, reads a clock or writes a log.
const IMPURE: &[&str] = &[
    "tokio::",
    "tracing::",
    "std::fs::",
    "std::process::",
    "std::env::var",
    "Timestamp::now",
    "SystemTime::now",
    "Instant::now",
];

/// What opens a file without a look at what it is, and without a bound.
const OPENS: &[&str] = &["File::open(", "fs::read(", "fs::read_to_string("];
/// Where that is right, because nobody else shapes what is there.
const MAY_OPEN: &[(&str, &str)] = &[
    ("files.rs", "the room that looks first"),
    ("cli/check.rs", "a person named it, and waits"),
    ("node/addresses.rs", "the kernel's"),
    ("node/capacity.rs", "the kernel's"),
    ("node/ports.rs", "the kernel's"),
    ("runtime/cgroup.rs", "the kernel's"),
    ("runtime/cgroup/above.rs", "the kernel's"),
    ("store/last_good.rs", "in a directory that only root enters"),
    ("store/mod.rs", "in a directory that only root enters"),
    ("store/write.rs", "in a directory that only root enters"),
    ("volume/mounts.rs", "the kernel's"),
];

/// One source file.
struct Source {
    /// Its path from `src/` on.
    path: String,
    text: String,
    /// Without what is compiled for tests only.
    code: TokenStream,
    file: syn::File,
}

impl Source {
    /// The room it is in.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.contains("/tests/")
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    paths.iter().map(|path| source(&root, path)).collect()
}

fn walk(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        if path.is_dir() {
            walk(&path, paths);
        } else if path.extension().is_some_and(|e| e == "rs") {
            paths.push(path);
        }
    }
}

fn source(root: &Path, path: &Path) -> Source {
    let text = fs::read_to_string(path).expect("a source file can be read");
    let path = path
        .strip_prefix(root)
        .expect("it is under src")
        .display()
        .to_string();
    let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut shipped = file.clone();
    shipped.items.retain(|item| !is_cfg_test(item));
    Source {
        code: shipped.to_token_stream(),
        path,
        text,
        file,
    }
}

fn is_cfg_test(item: &syn::Item) -> bool {
    let attributes = match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        _ => return false,
    };
    attributes
        .iter()
        .any(|attribute| attribute.to_token_stream().to_string().replace(' ', "") == "#[cfg(test)]")
}

/// Every `crate::X` among tokens, macros included, and each X of `crate::{X, …}`.
fn imports(tokens: TokenStream) -> Vec<String> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => found.extend(imports(group.stream())),
            TokenTree::Ident(word) if word == "crate" => match tokens.get(index + 3) {
                Some(TokenTree::Ident(name)) => found.push(name.to_string()),
                Some(TokenTree::Group(group)) => found.extend(heads(group.stream())),
                _ => {}
            },
            _ => {}
        }
    }
    found
}

/// The first word of each element of a list.
fn heads(tokens: TokenStream) -> Vec<String> {
    let mut heads = Vec::new();
    let mut begins = true;
    for token in tokens {
        match &token {
            TokenTree::Ident(word) if begins => heads.push(word.to_string()),
            _ => {}
        }
        begins = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ',');
    }
    heads
}

fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn modules_import_only_what_they_may() {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|s| !s.is_test()) {
        let module = source.module();
        if matches!(module, "main" | "lib") {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            complaints.push(format!(
                "src/{}: {module} is not in the import table",
                source.path
            ));
            continue;
        };
        for import in imports(source.code.clone()) {
            if import != module && !allowed.contains(&import.as_str()) {
                complaints.push(format!(
                    "src/{}: {module} may not import {import}",
                    source.path
                ));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn anyhow_is_for_the_command_line() {
    let complaints: Vec<_> = sources()
        .iter()
        .filter(|source| !matches!(source.module(), "main" | "cli"))
        .filter(|source| source.code.to_string().contains("anyhow ::"))
        .map(|source| format!("src/{}: anyhow is for main.rs and cli only", source.path))
        .collect();
    assert_none(&complaints);
}

#[test]
fn decisions_are_pure() {
    let mut complaints = Vec::new();
    let pure = |source: &&Source| PURE.contains(&source.module()) && !source.is_test();
    for source in sources().iter().filter(pure) {
        let code = source.code.to_string().replace(' ', "");
        for word in IMPURE.iter().filter(|word| code.contains(**word)) {
            complaints.push(format!(
                "src/{}: {word} has no place in a pure module",
                source.path
            ));
        }
    }
    assert_none(&complaints);
}

/// What is decided is reckoned on a line that nobody sets, and shown in the time of day: which of the
/// two is meant is said by `clock::steady` and `clock::wall`.
#[test]
fn the_clock_is_read_in_one_place() {
    let mut complaints = Vec::new();
    let others = |source: &&Source| source.module() != "clock" && !source.is_test();
    for source in sources().iter().filter(others) {
        if source.code.to_string().contains("Timestamp :: now") {
            complaints.push(format!(
                "src/{}: the clock is read in src/clock.rs",
                source.path
            ));
        }
    }
    assert_none(&complaints);
}

#[test]
fn files_that_others_shape_are_opened_in_one_room() {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        if MAY_OPEN.iter().any(|(path, _)| *path == source.path) {
            continue;
        }
        let code = source.code.to_string().replace(' ', "");
        for call in OPENS.iter().filter(|call| code.contains(**call)) {
            complaints.push(format!(
                "src/{}: {call}…) waits for a FIFO and reads without end; use crate::files",
                source.path
            ));
        }
    }
    assert_none(&complaints);
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mut complaints = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES {
            complaints.push(format!(
                "src/{}: {lines} lines, {FILE_LINES} are allowed",
                source.path
            ));
        }
        if !source.text.starts_with("//! ") {
            complaints.push(format!("src/{}: does not begin with //!", source.path));
        }
    }
    assert_none(&complaints);
}

struct Functions<'a> {
    path: &'a str,
    complaints: Vec<String>,
}

impl Functions<'_> {
    fn measure(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let (first, last) = (signature.span().start().line, block.span().end().line);
        let lines = last - first + 1;
        if lines > FUNCTION_LINES {
            self.complaints.push(format!(
                "src/{}:{first}: {} has {lines} lines, {FUNCTION_LINES} are allowed",
                self.path, signature.ident
            ));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.measure(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[test]
fn functions_are_short() {
    let mut complaints = Vec::new();
    for source in sources() {
        let mut functions = Functions {
            path: &source.path,
            complaints: Vec::new(),
        };
        functions.visit_file(&source.file);
        complaints.append(&mut functions.complaints);
    }
    assert_none(&complaints);
}

#[test]
fn imports_are_found_wherever_they_stand() {
    let code = "use crate::a::B; use crate::{c::D, e}; fn f() { m!(x, crate::g::h()); }";
    let tokens: TokenStream = code.parse().expect("tokens");
    assert_eq!(imports(tokens), ["a", "c", "e", "g"]);
}
