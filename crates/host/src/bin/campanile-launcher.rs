//! The launcher alone, for the tests of this crate. `campanile` is its own launcher.

fn main() -> std::process::ExitCode {
    campanile_host::drive::launcher::run()
}
