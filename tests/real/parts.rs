//! What all parts share: whether a run wants them, where they are installed, and processes that end with the test.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A setting of the test run. The one place of these tests that reads the environment.
#[allow(clippy::disallowed_methods)]
pub fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Starts a part; `None` leaves the test out, and says why.
///
/// # Panics
/// When the part is required and cannot be had.
pub fn wanted<T>(part: &str, start: impl FnOnce() -> Result<T, String>) -> Option<T> {
    let Some(mode) = setting("TOLLBOOK_REAL") else {
        println!("left out: {part} (set TOLLBOOK_REAL=required to run it)");
        return None;
    };
    match start() {
        Ok(started) => Some(started),
        Err(reason) if mode == "required" => panic!("{part} is required and cannot be had: {reason}"),
        Err(reason) => {
            println!("left out: {part}: {reason}");
            None
        }
    }
}

/// Installs a part by its script; gives the path that the script prints.
pub fn install(part: &str) -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/parts").join(format!("{part}.sh"));
    let output = Command::new(&script).output().map_err(|error| format!("{}: {error}", script.display()))?;
    if !output.status.success() {
        return Err(format!("{}: {}", script.display(), String::from_utf8_lossy(&output.stderr).trim()));
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    let path = printed.lines().last().unwrap_or_default().trim();
    if path.is_empty() { Err(format!("{} printed no path", script.display())) } else { Ok(PathBuf::from(path)) }
}

/// Different free ports of the loopback address.
pub fn free_ports<const N: usize>() -> [u16; N] {
    // All are held until all are known: two of them must not be the same.
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.each_ref().map(|listener| listener.local_addr().unwrap().port())
}

/// A process that ends with its owner, by its id and no other way.
pub struct Process {
    child: Child,
    output: PathBuf,
}

impl Process {
    /// Starts it; what it says goes to a file.
    pub fn start(command: &mut Command, output: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{:?} does not start: {error}", command.get_program());
        let file = std::fs::File::create(output).map_err(failed)?;
        let second = file.try_clone().map_err(failed)?;
        let child = command.stdin(Stdio::null()).stdout(file).stderr(second).spawn();
        let child = child.map_err(|error| format!("{:?} does not start: {error}", command.get_program()))?;
        Ok(Self { child, output: output.to_owned() })
    }

    /// Whether it still runs; where not, its last words.
    pub fn alive(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("it ended with {status}: {}", self.last_words())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The end of what it said.
    pub fn last_words(&self) -> String {
        let bytes = std::fs::read(&self.output).unwrap_or_default();
        String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(2_000)..]).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
