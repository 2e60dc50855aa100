//! The program `spadework`: see `spadework --help`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
