//! The way to a value: collection, key of a document, and then segments inside the document.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::store::key::check_collection;
use crate::store::value::DEPTH_MAX;

/// The longest segment, in bytes.
pub const SEGMENT_BYTES_MAX: usize = 1024;

/// A way to a value: the first segment names the collection, the second the document, the rest leads into it.
///
/// It is written in one of three ways, and every method that takes a path takes all three:
///
/// * as dotted text, `settings.window.width`, where `\.` is a dot inside a segment and `\\` a backslash;
/// * as a JSON Pointer (RFC 6901), `/settings/window/width`, where `~1` is a slash and `~0` a tilde;
/// * as segments that need no escaping, [`path!("notes", id, "title")`](crate::path), or an array of texts.
///
/// A text that begins with a slash is a pointer. Where the value is an array a segment of digits is an index.
///
/// # Examples
///
/// ```
/// use everlog::path;
/// use everlog::store::{IntoPath, Path};
///
/// let dotted = r"files.main\.rs.size".into_path()?;
/// assert_eq!(dotted, path!("files", "main.rs", "size"));
/// assert_eq!(dotted, "/files/main.rs/size".into_path()?);
/// assert_eq!(dotted.to_string(), r"files.main\.rs.size");
/// # Ok::<(), everlog::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(Arc<[String]>);

impl Path {
    /// A path of these segments, as they are.
    pub fn of_segments(segments: impl IntoIterator<Item = impl Into<String>>) -> Path {
        Path(segments.into_iter().map(Into::into).collect())
    }

    /// All segments.
    pub fn segments(&self) -> &[String] {
        &self.0
    }

    /// The collection.
    pub fn collection(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// The key of the document, if the path leads that far.
    pub fn key(&self) -> Option<&str> {
        self.0.get(1).map(String::as_str)
    }

    /// The segments inside the document.
    pub fn inner(&self) -> &[String] {
        self.0.get(2..).unwrap_or(&[])
    }

    /// The path with one more segment.
    #[must_use]
    pub fn join(&self, segment: impl Into<String>) -> Path {
        Path(self.0.iter().cloned().chain([segment.into()]).collect())
    }

    /// Whether this path leads to `other` or to something that `other` is in.
    pub fn is_prefix_of(&self, other: &Path) -> bool {
        other.0.starts_with(&self.0)
    }

    /// The path as a JSON Pointer.
    pub fn to_pointer(&self) -> String {
        let mut text = String::with_capacity(self.0.iter().map(|segment| segment.len() + 1).sum());
        for segment in &*self.0 {
            text.push('/');
            match segment.contains(['~', '/']) {
                true => text.push_str(&segment.replace('~', "~0").replace('/', "~1")),
                false => text.push_str(segment),
            }
        }
        text
    }

    /// A path that a store has written; nothing if it is none. A store may have written what nobody may enter: it names
    /// members as they are called, down to the innermost.
    pub(crate) fn stored(pointer: &str) -> Option<Path> {
        let segments = pointer.bytes().filter(|byte| *byte == b'/').count();
        if !pointer.starts_with('/') || segments > 2 + DEPTH_MAX {
            return None;
        }
        Path::pointer(pointer).ok().filter(|path| !path.collection().is_empty())
    }

    /// Refuses what cannot lead anywhere.
    fn checked(self) -> Result<Path> {
        let fault = |what: String| Err(Error::new(ErrorKind::Input, what));
        if self.collection().is_empty() {
            return fault("path names no collection".to_owned());
        }
        check_collection(self.collection())?;
        if self.0.len() > DEPTH_MAX {
            return fault(format!("path has {} segments, more than {DEPTH_MAX}", self.0.len()));
        }
        match self.0.iter().find(|segment| segment.len() > SEGMENT_BYTES_MAX) {
            Some(long) => {
                let start: String = long.chars().take(20).collect();
                fault(format!(
                    "segment {start:?}… of a path has {} bytes, more than {SEGMENT_BYTES_MAX}",
                    long.len()
                ))
            }
            None => Ok(self),
        }
    }

    fn dotted(text: &str) -> Result<Path> {
        let fault = |what: &str| Error::new(ErrorKind::Input, format!("path {text:?} {what}"));
        let mut segments = vec![String::new()];
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '.' => segments.push(String::new()),
                '\\' => match (characters.next(), segments.last_mut()) {
                    (Some(escaped @ ('.' | '\\' | '/')), Some(segment)) => segment.push(escaped),
                    _ => {
                        return Err(fault(
                            "has a backslash before something other than a dot, slash or backslash",
                        ));
                    }
                },
                other => segments.iter_mut().last().into_iter().for_each(|segment| segment.push(other)),
            }
        }
        if segments.iter().any(String::is_empty) {
            let error = fault("has an empty segment");
            return Err(error.advise("write empty keys as segments, with path!, or as a JSON Pointer"));
        }
        Ok(Path::of_segments(segments))
    }

    fn pointer(text: &str) -> Result<Path> {
        let unescape = |segment: &str| {
            if !segment.contains('~') {
                return Ok(segment.to_owned());
            }
            let rest = segment.replace("~0", "").replace("~1", "");
            if rest.contains('~') {
                let what = format!("path {text:?} has a tilde that is followed by neither 0 nor 1");
                return Err(Error::new(ErrorKind::Input, what));
            }
            Ok(segment.replace("~1", "/").replace("~0", "~"))
        };
        let segments: Vec<String> = text.split('/').skip(1).map(unescape).collect::<Result<_>>()?;
        Ok(Path::of_segments(segments))
    }
}

impl fmt::Display for Path {
    /// As dotted text, or as a pointer where a segment is empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.iter().any(String::is_empty) {
            return f.write_str(&self.to_pointer());
        }
        for (place, segment) in self.0.iter().enumerate() {
            let escaped = segment.replace('\\', r"\\").replace('.', r"\.");
            match place {
                0 if segment.starts_with('/') => write!(f, r"\{escaped}")?,
                0 => f.write_str(&escaped)?,
                _ => write!(f, ".{escaped}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({self})")
    }
}

/// What can be read as a path.
pub trait IntoPath {
    /// The path.
    ///
    /// # Errors
    ///
    /// `Input` if it names no collection, or one whose name has more than 128 bytes or a zero in it; if it has a segment over
    /// [`SEGMENT_BYTES_MAX`] or more than [`DEPTH_MAX`] of them; or if it has, as text, an empty segment or an escape that
    /// means nothing.
    fn into_path(self) -> Result<Path>;
}

impl IntoPath for Path {
    fn into_path(self) -> Result<Path> {
        self.checked()
    }
}

impl IntoPath for &Path {
    fn into_path(self) -> Result<Path> {
        self.clone().checked()
    }
}

impl IntoPath for &str {
    fn into_path(self) -> Result<Path> {
        let path = if self.starts_with('/') { Path::pointer(self) } else { Path::dotted(self) };
        path?.checked()
    }
}

impl IntoPath for &String {
    fn into_path(self) -> Result<Path> {
        self.as_str().into_path()
    }
}

impl IntoPath for String {
    fn into_path(self) -> Result<Path> {
        self.as_str().into_path()
    }
}

impl<const N: usize> IntoPath for [&str; N] {
    fn into_path(self) -> Result<Path> {
        Path::of_segments(self).checked()
    }
}

impl IntoPath for &[&str] {
    fn into_path(self) -> Result<Path> {
        Path::of_segments(self.iter().copied()).checked()
    }
}

impl IntoPath for Vec<String> {
    fn into_path(self) -> Result<Path> {
        Path::of_segments(self).checked()
    }
}

/// A [`Path`](crate::store::Path) of segments that need no escaping; each is anything that can be displayed.
///
/// ```
/// let id = 17;
/// assert_eq!(everlog::path!("notes", id, "title").to_string(), "notes.17.title");
/// ```
#[macro_export]
macro_rules! path {
    ($($segment:expr),+ $(,)?) => {
        $crate::store::Path::of_segments([$($segment.to_string()),+])
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_path_reads_back_from_both_of_its_texts(segments in proptest::collection::vec(r"[a./~\\0-2 ]{0,4}", 1..5)) {
            let path = Path::of_segments(segments);
            prop_assume!(!path.collection().is_empty());
            prop_assert_eq!(path.to_pointer().into_path().expect("pointer"), path.clone());
            prop_assert_eq!(path.to_string().into_path().expect("text"), path);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in r"[a./~\\0]{0,12}") {
            let _ = text.into_path();
        }
    }

    #[test]
    fn what_leads_nowhere_is_refused_with_the_reason() {
        for (text, what) in [
            ("", "empty segment"),
            ("a..b", "empty segment"),
            ("a.", "empty segment"),
            (r"a\n", "backslash"),
            (r"a\", "backslash"),
            ("/a~2", "tilde"),
            ("/", "no collection"),
            ("//a", "no collection"),
        ] {
            let error = text.into_path().expect_err(text);
            assert_eq!(error.kind(), &ErrorKind::Input);
            assert!(error.what().contains(what), "{text}: {error}");
        }
        assert!(["a", &"x".repeat(SEGMENT_BYTES_MAX)].into_path().is_ok());
        assert!(["a", &"x".repeat(SEGMENT_BYTES_MAX + 1)].into_path().is_err());
        assert!("x".repeat(128).into_path().is_ok());
        assert!("x".repeat(129).into_path().is_err());
        assert!("a\0b.c".into_path().is_err());
        assert!("a.\0".into_path().is_ok());
        assert!("x.".repeat(DEPTH_MAX).trim_end_matches('.').into_path().is_ok());
        assert!("x.".repeat(DEPTH_MAX + 1).trim_end_matches('.').into_path().is_err());
    }

    #[test]
    fn prefixes_are_by_whole_segments() {
        assert!(crate::path!("a", "b").is_prefix_of(&crate::path!("a", "b", "c")));
        assert!(!crate::path!("a", "b").is_prefix_of(&crate::path!("a", "bc")));
    }
}
