//! The command line of tollbook.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;
use tollbook::jobs::kind_of;
use tollbook::output::{lost, talk};
use tollbook_lake::STACK_BYTES;

/// A close makes millions of small texts on several threads: the system's allocator took a fifth of its time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What no kind of error tells: something outside, such as a disk.
const OTHERWISE: u8 = 1;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    // Two cryptography providers are linked (ours and that of a dependency); one must be chosen before any TLS.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        talk("tollbook: a TLS provider was chosen twice");
        return ExitCode::FAILURE;
    }
    // The lake's kernel wants a runtime of several threads.
    let runtime = match tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK_BYTES).enable_all().build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            talk(&format!("tollbook: no runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(cli::run(arguments)) {
        Ok(code) => code,
        Err(error) => {
            let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
            talk(&format!("tollbook: {}", chain.join("\n  because: ")));
            kind_of(&error).map_or(OTHERWISE, tollbook_schemas::error::Kind::exit_code)
        }
    };
    let Some(error) = lost() else { return ExitCode::from(code) };
    talk(&format!(
        "tollbook: not all that it prints is there, what it does is done: stdout: {error}; free the disk or print elsewhere, and \
         look with a command that only shows"
    ));
    ExitCode::from(if code == 0 { OTHERWISE } else { code })
}
