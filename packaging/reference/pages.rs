//! The man pages: `setlet(1)` and one a command from the tables that `--help` is made of, and
//! `setlet.yaml(5)` from the configuration's. Completions too: the program of another machine cannot be asked.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use super::configuration::Entry;

/// The foot of each page.
const SOURCE: &str = concat!("setlet ", env!("CARGO_PKG_VERSION"));
/// What `setlet(1)` says beside what `--help` does.
const MORE: &str = r#".SH "EXIT STATUS"
0: done. 1: failed or refused. 2: wrong usage.
\fBsetlet exec\fR ends with the status of the command it ran, and with 126 where it could not be run.
.SH FILES
.TP
.I /etc/setlet/config.yaml
The configuration, and drop\-ins in \fIconfig.d\fR beside it; see \fBsetlet.yaml\fR(5).
.TP
.I /etc/setlet/manifests
DaemonSets, and the ConfigMaps and Secrets they refer to.
.TP
.I /var/lib/setlet
The state; image archives to import lie in \fIimages\fR.
.TP
.I /run/setlet/setlet.sock
The socket of the agent's API, for root and the group setlet.
.SH "SEE ALSO"
.BR setlet.yaml (5),
.BR systemctl (1),
.BR kubectl (1)
"#;

/// Writes every page and completion into a directory.
///
/// # Errors
///
/// A file cannot be written.
pub fn write(directory: &Path, entries: &[Entry]) -> io::Result<()> {
    let mut command = setlet::cli::Cli::command().disable_help_subcommand(true);
    command.build();
    page(&command, directory)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut setlet::cli::Cli::command(), "setlet", directory)?;
    }
    fs::write(directory.join("setlet.yaml.5"), configuration(entries))
}

/// The page of a command, and those of the commands below it.
fn page(command: &clap::Command, directory: &Path) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name.to_owned())
        .manual("setlet".to_owned())
        .source(SOURCE.to_owned())
        .render(&mut text)?;
    if name == "setlet" {
        text.extend_from_slice(MORE.as_bytes());
    }
    fs::write(directory.join(format!("{name}.1")), text)?;
    command
        .get_subcommands()
        .try_for_each(|below| page(below, directory))
}

fn configuration(entries: &[Entry]) -> String {
    let mut text = format!(".TH setlet.yaml 5 \"\" \"{SOURCE}\" setlet\n");
    text.push_str(
        r#".SH NAME
setlet.yaml \- the configuration of setlet
.SH SYNOPSIS
.I /etc/setlet/config.yaml
.br
.I /etc/setlet/config.d/*.yaml
.SH DESCRIPTION
The file is a document of apiVersion setlet.dev/v1 and kind SetletConfiguration.
Drop\-ins are merged over it in name order: maps merge deeply, lists and scalars replace,
null goes back to the default.
Unknown fields are errors.
\fBsetlet config\fR prints the merged result with every default.
.PP
Durations are numbers with a unit (90s, 2m, 1h30m); amounts of memory and processor time are as in
Kubernetes (200Mi, 100m).
.PP
The files are read again when they change, on SIGHUP and on
.BR "systemctl reload setlet" ;
the agent's log says which changes want a restart.
.SH FIELDS
"#,
    );
    for entry in entries {
        let (path, doc) = (escaped(&entry.path), escaped(&entry.doc));
        write!(text, ".TP\n.B {path}\n{doc}\n").expect("memory");
        if let Some(default) = &entry.default {
            writeln!(text, "Default: {}", escaped(default)).expect("memory");
        }
    }
    text.push_str(".SH \"SEE ALSO\"\n.BR setlet (1)\n");
    text
}

/// As text of roff.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}
