//! `cargo soak`; [`e2e::soak`] says what it does.

fn main() -> std::process::ExitCode {
    e2e::soak::main()
}
