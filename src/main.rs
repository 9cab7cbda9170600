//! Parse, call, exit code.

fn main() -> std::process::ExitCode {
    diskwright::cli::run(std::env::args_os())
}
