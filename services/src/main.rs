//! The `shop` binary: one service of the shop, chosen by name.
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shop::cli::main(std::env::args_os(), &shop::Environment::of_process()).await
}
