//! What the command prints: lines, JSON Lines, tables, progress; colour only where somebody sees it.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::error::{Error, ErrorKind};
use crate::tool::outcome::Outcome;

/// Whether results are for people or for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

/// Standard output, buffered until [`Output::flush`].
#[derive(Debug)]
pub(crate) struct Output {
    form: Form,
    stdout: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new(form: Form) -> Output {
        Output { form, stdout: BufWriter::new(io::stdout()) }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// Whether a person looks at standard output.
    pub(crate) fn is_terminal(&self) -> bool {
        self.form == Form::Text && io::stdout().is_terminal()
    }

    /// Whether standard output and standard error take colours.
    pub(crate) fn colours(&self) -> (bool, bool) {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        (wanted && self.is_terminal(), wanted && io::stderr().is_terminal())
    }

    /// One line for people.
    pub(crate) fn line(&mut self, text: impl Display) -> Outcome<()> {
        writeln!(self.stdout, "{text}")?;
        Ok(())
    }

    /// Where long texts are written to bit by bit.
    pub(crate) fn writer(&mut self) -> &mut impl Write {
        &mut self.stdout
    }

    /// One line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Outcome<()> {
        let line = serde_json::to_string(value)
            .map_err(|error| Error::new(ErrorKind::Input, format!("cannot be shown as JSON: {error}")))?;
        writeln!(self.stdout, "{line}")?;
        Ok(())
    }

    /// Rows in columns; the columns in `right` hold numbers.
    pub(crate) fn table(&mut self, header: &[&str], rows: Vec<Vec<String>>, right: &[usize]) -> Outcome<()> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(header.to_vec());
        table.add_rows(rows);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for column in right {
            if let Some(column) = table.column_mut(*column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for line in table.to_string().lines() {
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Outcome<()> {
        self.stdout.flush()?;
        Ok(())
    }
}

/// The few colours in use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Colour {
    Red,
    Green,
    Yellow,
    Dim,
    Bold,
}

/// `text` in colour, if `on`.
pub(crate) fn paint(on: bool, colour: Colour, text: &str) -> String {
    let code = match colour {
        Colour::Red => 31,
        Colour::Green => 32,
        Colour::Yellow => 33,
        Colour::Dim => 2,
        Colour::Bold => 1,
    };
    if on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Text from files, without anything that a terminal would obey.
pub(crate) fn clean(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                safe.extend(c.escape_default());
            }
            c => safe.push(c),
        }
    }
    safe
}

/// A number of bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A count with thousands apart.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 record`, `2 records`.
pub(crate) fn plural(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {noun}{s}", count(number))
}

/// A stretch of time for people, in its largest two units.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match seconds {
        86_400.. => format!("{days} d {hours} h"),
        3600.. => format!("{hours} h {minutes} min"),
        60.. => format!("{minutes} min {} s", seconds % 60),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// A bar on standard error, if a person is there to see it.
pub(crate) fn progress(total: u64, what: &'static str) -> ProgressBar {
    let target = match io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template("{msg:<10} {wide_bar} {percent:>3} %")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(total), target).with_style(style).with_message(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_made_harmless() {
        assert_eq!(clean("a\x1b[31mb\nc\u{202e}d"), "a\\u{1b}[31mb\\nc\\u{202e}d");
        assert_eq!(clean("grün ✓"), "grün ✓");
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(65_536), "64.0 KiB");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(plural(1, "record"), "1 record");
        assert_eq!(span(Duration::from_secs(90_000)), "1 d 1 h");
    }
}
