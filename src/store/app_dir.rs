//! Where an application keeps its data, by the conventions of the system it runs on.

use std::env;
use std::path::PathBuf;

use crate::error::{Error, ErrorKind, Result};

/// The directory for the data of the application `name`. It is not created; opening a store in it does that.
///
/// | system | directory |
/// | --- | --- |
/// | macOS | `~/Library/Application Support/name` |
/// | Windows | `%LOCALAPPDATA%\name`: the one that is not copied to other machines |
/// | others | `$XDG_DATA_HOME/name`, or `~/.local/share/name` |
///
/// # Errors
///
/// `Input` if `name` is no name of a directory on all of them; `Missing` if the system names no home.
///
/// # Examples
///
/// ```
/// let directory = everlog::app_dir("acme")?;
/// assert!(directory.ends_with("acme"));
/// # Ok::<(), everlog::Error>(())
/// ```
pub fn app_dir(name: &str) -> Result<PathBuf> {
    let is_bad = |letter: char| letter.is_control() || r#"/\:*?"<>|"#.contains(letter);
    let trimmed = name.trim().trim_end_matches('.');
    if name.is_empty() || name.len() > 200 || name != trimmed || name.contains(is_bad) {
        let what = format!("{name:?} cannot name a directory on every system");
        return Err(Error::new(ErrorKind::Input, what).advise("use letters, digits, dashes and inner dots"));
    }
    let home = |below: &str| env::home_dir().map(|home| home.join(below));
    let set = |variable: &str| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = if cfg!(target_os = "macos") {
        home("Library/Application Support")
    } else if cfg!(windows) {
        set("LOCALAPPDATA").or_else(|| home(r"AppData\Local"))
    } else {
        set("XDG_DATA_HOME").or_else(|| home(".local/share"))
    };
    let none = || {
        Error::new(ErrorKind::Missing, "the system names no home directory").advise("choose a path yourself")
    };
    let base = base.filter(|base| base.is_absolute()).ok_or_else(none)?;
    Ok(base.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_absolute_and_of_that_name_and_not_created() {
        let directory = app_dir("everlog-no-such.app").expect("a directory");
        assert!(directory.is_absolute() && directory.ends_with("everlog-no-such.app"));
        assert!(!directory.exists());
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["", ".", "..", "a/b", r"a\b", "c:", "a.", " a", "a\0"] {
            assert_eq!(app_dir(name).expect_err(name).kind(), &ErrorKind::Input);
        }
    }
}
