//! `cargo demo`; [`e2e::demo`] says what it shows.

fn main() -> std::process::ExitCode {
    e2e::demo::main()
}
