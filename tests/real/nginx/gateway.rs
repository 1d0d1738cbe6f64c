//! NGINX with the configuration that the README gives, `docs/nginx.conf`, and the application behind it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::parts::{Process, free_ports, install};

const RECIPE: &str = include_str!("../../../docs/nginx.conf");
const PATIENCE: Duration = Duration::from_secs(30);

/// A running NGINX.
pub struct Nginx {
    port: u16,
    process: Process,
    folder: TempDir,
}

impl Nginx {
    /// Starts it; `keys` are lines of the file of keys: a key and its consumer.
    pub fn start(keys: &[(&str, &str)]) -> Result<Self, String> {
        let binary = install("nginx")?;
        let begun = Instant::now();
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        // Workers of a root's NGINX are nobody, and spool bodies below this folder.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).map_err(|error| error.to_string())?;
        let [port] = free_ports();
        let application = start_application();
        let at = folder.path().display();
        let mut recipe = RECIPE.to_owned();
        for (from, to, times) in [
            ("listen 8080", format!("listen 127.0.0.1:{port}"), 2),
            ("server 127.0.0.1:9000;", format!("server 127.0.0.1:{application};"), 1),
            ("/var/log/nginx/tollbook.log", format!("{at}/tollbook.log"), 1),
        ] {
            assert_eq!(recipe.matches(from).count(), times, "docs/nginx.conf has changed: {from}");
            recipe = recipe.replace(from, &to);
        }
        let keys: String = keys.iter().map(|(key, consumer)| format!("{key:?} {consumer:?};\n")).collect();
        let main = format!(
            "daemon off;\nworker_processes 2;\npid {at}/nginx.pid;\nerror_log {at}/error.log;\n\
             events {{ worker_connections 512; }}\n\
             http {{\n    access_log off;\n    client_body_temp_path {at}/body;\n    proxy_temp_path {at}/proxy;\n    \
             fastcgi_temp_path {at}/fastcgi;\n    uwsgi_temp_path {at}/uwsgi;\n    scgi_temp_path {at}/scgi;\n    \
             include tollbook.conf;\n}}\n"
        );
        for (name, text) in [("nginx.conf", main), ("tollbook.conf", recipe), ("tollbook.keys", keys)] {
            std::fs::write(folder.path().join(name), text).map_err(|error| error.to_string())?;
        }
        let mut command = Command::new(binary);
        command.arg("-p").arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
        let process = Process::start(&mut command, &folder.path().join("output.txt"))?;
        let mut nginx = Self { port, process, folder };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            nginx.process.alive()?;
            if begun.elapsed() > PATIENCE {
                return Err(format!("nginx does not answer: {}", nginx.process.last_words()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        println!("nginx: answers after {:.1?}, at 127.0.0.1:{port}", begun.elapsed());
        Ok(nginx)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets running requests end and closes the log; gives its lines.
    pub fn quit(mut self) -> Vec<Vec<u8>> {
        self.signal("QUIT");
        assert!(self.has_ended(), "nginx does not end after SIGQUIT: {}", self.process.last_words());
        let log = std::fs::read(self.folder.path().join("tollbook.log")).unwrap();
        assert!(log.ends_with(b"\n"), "the log's last line is torn");
        log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
    }

    fn signal(&self, name: &str) {
        // Killed hard, the master would leave its workers behind.
        if let Ok(id) = std::fs::read_to_string(self.folder.path().join("nginx.pid")) {
            let _ = Command::new("kill").args([&format!("-{name}"), id.trim()]).status();
        }
    }

    fn has_ended(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.process.alive().is_err() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if self.process.alive().is_ok() {
            self.signal("TERM");
            self.has_ended();
        }
    }
}

/// The application: answers each request as its header `X-Answer: STATUS BYTES MANNER` wishes. Its threads end with
/// the test run.
fn start_application() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A gateway that hangs up is part of the test.
            std::thread::spawn(move || drop(answer(stream)));
        }
    });
    port
}

fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    let (mut wish, mut length) = (String::new(), 0_u64);
    let mut method = None;
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        method.get_or_insert_with(|| line.split(' ').next().unwrap_or_default().to_owned());
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("x-answer") => wish = value.to_owned(),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    let mut words = wish.split(' ');
    let (status, bytes) = (words.next().unwrap_or("200"), words.next().unwrap_or("0").parse::<usize>().unwrap_or(0));
    let manner = words.next().unwrap_or("length");
    match manner {
        "drop" => return Ok(()),
        "slow" => std::thread::sleep(Duration::from_millis(60)),
        "late" => std::thread::sleep(Duration::from_secs(1)),
        _ => {}
    }
    let mut head = format!("HTTP/1.1 {status} Status\r\nConnection: close\r\nContent-Type: application/json\r\n");
    let has_body = !["204", "304"].contains(&status);
    // Without a length the connection's end tells it, and NGINX sends chunks to the client.
    if has_body && manner != "open" {
        head.push_str(&format!("Content-Length: {bytes}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if has_body && method.as_deref() != Some("HEAD") {
        stream.write_all(&vec![b'x'; bytes])?;
    }
    Ok(())
}
