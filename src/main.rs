//! The door of the `everlog` command.

fn main() -> std::process::ExitCode {
    everlog::tool::main()
}
