//! The program `capture` for the suites: the same entry point, built beside the tests.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    capture_user::cli::main_with(std::env::args_os())
}
