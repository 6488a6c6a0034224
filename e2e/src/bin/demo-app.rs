//! The demo app's process; [`e2e::app`] says what it reads and answers.

// One thread: dozens of these run beside each other on a small machine.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    e2e::app::run().await
}
