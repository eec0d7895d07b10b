//! The binary `capture`: hands its words to the library.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    capture_user::cli::main_with(std::env::args_os())
}
