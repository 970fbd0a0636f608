//! Mapped files: the one place with unsafe code.
