//! The door of the `everlog` command.

fn main() {}
