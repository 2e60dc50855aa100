//! The program `spadework`: see `spadework --help`.

mod cli;

fn main() -> std::process::ExitCode {
    // Where no desktop runs, Mesa's layer that picks a device for it looks for one all the same, and complains.
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: no other thread exists yet that could read the environment.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
    cli::main()
}
