//! The demo's folder: configuration, catalog, lake and ledger, so that every command works on it with `--config`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tollbook_schemas::period::print_instant;
use tollbook_simulate::World;

use crate::configuration::ConfigurationError;
use crate::demo::broker::Broker;

/// Tells a demo's folder from anybody else's: only such a folder is ever replaced.
const MARKER: &str = "tollbook-demo.txt";

/// Makes the folder, replacing an earlier demo.
///
/// # Errors
/// A folder that holds something else.
pub fn prepare(folder: &Path) -> anyhow::Result<()> {
    if folder.join(MARKER).exists() {
        fs::remove_dir_all(folder).with_context(|| format!("{} cannot be replaced", folder.display()))?;
    } else if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        bail!(ConfigurationError(format!(
            "{} holds something that is not a demo; name another folder with --dir",
            folder.display()
        )));
    }
    fs::create_dir_all(folder.join("catalog"))
        .with_context(|| format!("{} cannot be made; name another folder with --dir", folder.display()))?;
    write_file(&folder.join(MARKER), "Made by `tollbook demo`, and replaced by the next one.\n")
}

/// Writes configuration and catalog; gives the configuration's path.
///
/// # Errors
/// A file that cannot be written.
pub fn write(
    folder: &Path,
    world: &World,
    broker: &Broker,
    stripe_url: &str,
    stripe_key: &str,
) -> anyhow::Result<PathBuf> {
    for (name, text) in world.catalog_files() {
        write_file(&folder.join("catalog").join(name), &text)?;
    }
    write_file(&folder.join("credential.key"), "demo key: hashes made with it protect nothing\n")?;
    write_file(&folder.join("stripe.key"), stripe_key)?;
    let config = folder.join("tollbook.toml");
    let text = format!(
        r#"# Configuration of this demo. Broker and Stripe double were inside the demo's process: commands that need them
# (ingest, bill sync, and close, when it has done all else) find nobody there now; all others work.

[lake]
root = "lake"

[catalog]
folder = "catalog"

[kafka]
brokers = "{brokers}"
cluster_alias = "demo"

[[topic]]
name = "{access}"
decoder = "native"
gateway = "edge"
generation = "1"

[[topic]]
name = "{lifecycle}"
decoder = "cloudevents"
generation = "1"

[credentials]
current = {{ key_id = "demo", secret_file = "credential.key" }}

[stripe]
base_url = "{stripe_url}"
namespace = "tollbook-demo"
account = "acct_demo"
secret_file = "stripe.key"
# The double answers at once, or is gone.
sends_max = 3

# The demo's month is over by this clock, whatever the calendar on the wall says.
[clock]
fixed = "{now}"
"#,
        brokers = broker.address(),
        access = broker.access_topic(),
        lifecycle = broker.lifecycle_topic(),
        now = print_instant(world.now()),
    );
    write_file(&config, &text)?;
    Ok(config)
}

fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}
