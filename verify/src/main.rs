//! `tollbook-verify LAKE INVOICE|PERIOD [--json]`: verifies issued invoices of a lake's folder, and nothing else.
//!
//! It needs no configuration, no catalog folder, no network and no clock: everything is in the lake. It ends with 0
//! where every invoice holds, with 3 where one does not, and with the codes of `tollbook` otherwise.

use std::process::ExitCode;

use tollbook_lake::{Lake, STACK_BYTES};
use tollbook_schemas::error::{Classified as _, Kind};
use tollbook_verify::{Tally, Verified, VerifyError, Wanted, verify};

const USAGE: &str = "usage: tollbook-verify LAKE INVOICE|PERIOD [--json]
  LAKE     folder of the lake
  INVOICE  invoice id (inv_…) or number; PERIOD a month such as 2026-06";

fn main() -> ExitCode {
    let (flags, words): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let is_json = flags.iter().any(|flag| flag == "--json");
    let ([root, wanted], true) = (words.as_slice(), flags.iter().all(|flag| flag == "--json")) else {
        say(&mut std::io::stderr(), USAGE);
        return ExitCode::from(Kind::Configuration.exit_code());
    };
    // `Lake::open` makes a folder; whoever misspells one wants to hear of it.
    if !std::path::Path::new(root).is_dir() {
        say(&mut std::io::stderr(), &format!("tollbook-verify: {root} is no folder; name the folder of a lake"));
        return ExitCode::from(Kind::Configuration.exit_code());
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK_BYTES).enable_all().build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&mut std::io::stderr(), &format!("tollbook-verify: no runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(root, &Wanted::from(wanted.as_str()))) {
        Ok(verified) => {
            for one in &verified {
                let line = if is_json { serde_json::to_string(one).unwrap_or_default() } else { one.to_string() };
                say(&mut std::io::stdout(), &line);
            }
            say(&mut std::io::stderr(), &Tally::of(&verified).to_string());
            let holds = verified.iter().all(Verified::holds);
            if holds { ExitCode::SUCCESS } else { ExitCode::from(Kind::Data.exit_code()) }
        }
        Err(error) => {
            let mut told = format!("tollbook-verify: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                told = format!("{told}\n  because: {error}");
                cause = error.source();
            }
            say(&mut std::io::stderr(), &told);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

async fn run(root: &str, wanted: &Wanted) -> Result<Vec<Verified>, VerifyError> {
    verify(&Lake::open(root)?, wanted).await
}

/// Nobody is left to tell where the stream is closed.
fn say(stream: &mut impl std::io::Write, text: &str) {
    let _ = writeln!(stream, "{text}");
}
