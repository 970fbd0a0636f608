//! Help, man page and shell completions, all made from the same definition of the command.

use std::io::Write;

use clap::builder::StyledStr;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::tool::Cli;
use crate::tool::outcome::{Outcome, Verdict};

/// The verbs by what one wants to do.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Look (changes nothing)", &["inspect", "verify", "log", "stats"]),
    (
        "Look into a store of JSON documents",
        &["get", "keys", "state", "history", "diff", "timeline", "watch", "export", "migrate"],
    ),
    ("Fix", &["recover", "salvage", "rollback", "undo"]),
    ("Change", &["append", "set", "remove", "import", "fork", "pin"]),
    ("Operate", &["snapshot", "compact", "demo"]),
    ("Other", &["completions", "man"]),
];

/// Print completions for a shell
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell
    shell: Shell,
}

/// Print the manual page, to be read with `man -l -`
#[derive(Debug, Args)]
pub(crate) struct ManPage {}

/// The command with a help that lists the verbs in groups.
pub(crate) fn with_groups(command: Command) -> Command {
    let mut text = String::from("{about-with-newline}\n{usage-heading} {usage}\n");
    for (title, verbs) in GROUPS {
        text.push_str(&format!("\n{title}:\n"));
        for verb in verbs {
            let about = command.find_subcommand(verb).and_then(Command::get_about);
            text.push_str(&format!("  {verb:<12} {}\n", about.unwrap_or(&StyledStr::new())));
        }
    }
    text.push_str("\nOptions:\n{options}\n\n{after-help}");
    command.help_template(text)
}

pub(crate) fn completions(args: &Completions) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "everlog", &mut script);
    print(&script)
}

pub(crate) fn man() -> Outcome {
    let mut command = Cli::command();
    command.build();
    let page = Man::new(command.clone());
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    for (title, verbs) in GROUPS {
        writeln!(text, ".SH \"{}\"", title.to_uppercase())?;
        for verb in verbs.iter().filter_map(|verb| command.find_subcommand(verb)) {
            describe(verb, &mut text)?;
        }
    }
    page.render_extra_section(&mut text)?;
    page.render_version_section(&mut text)?;
    print(&text)
}

/// One verb in the manual: how it is called, what it does, what it takes.
fn describe(verb: &Command, text: &mut Vec<u8>) -> Outcome<()> {
    let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = verb.clone().render_usage().to_string();
    writeln!(text, ".SS \"everlog {}\"\n{}", verb.get_name(), plain(&about))?;
    writeln!(text, ".PP\n.B {}", plain(usage.trim_start_matches("Usage: ")))?;
    for argument in verb.get_arguments().filter(|argument| !argument.is_hide_set()) {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        writeln!(text, ".TP\n.B {}\n{}", plain(&argument.to_string()), plain(&help))?;
    }
    Ok(())
}

/// Text that the formatter of manual pages takes as it is.
fn plain(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
}

fn print(bytes: &[u8]) -> Outcome {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()?;
    Ok(Verdict::Well)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_that_is_not_hidden_stands_in_one_group() {
        let command = Cli::command();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
        let mut verbs: Vec<&str> =
            command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(Command::get_name).collect();
        grouped.sort_unstable();
        verbs.sort_unstable();
        assert_eq!(grouped, verbs);
        command.debug_assert();
    }
}
