//! Clients of the gateway. They count by themselves what they sent and what they got, byte by byte on their own
//! sockets, and know the rules of the catalog and of attribution in their own words: this is the truth that invoices
//! are compared with. Nothing here reads a log.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::ledger::Dice;

/// Environment, partner, meter.
pub type Cell = (String, String, String);

/// Keys that NGINX knows, each with its consumer.
pub const KEYS: &[(&str, &str)] = &[
    ("acme-key", "acme-gw"),
    ("acme-test-key", "acme-sandbox"),
    ("globex/key+2==", "globex-gw"),
    ("initech-key-old", "initech-gw"),
    ("initech-key-new", "initech-gw"),
    ("ghost-key", "ghost-gw"),
];

/// Who sends: the key (none: no header), and the partner with the environment that its consumer is linked to. NGINX
/// knows the ghost, tollbook does not; neither knows the rest.
type Caller = (Option<&'static str>, Option<(&'static str, Option<&'static str>)>);

const CALLERS: &[Caller] = &[
    (Some("acme-key"), Some(("acme", Some("production")))),
    // NGINX compares keys without regard to case.
    (Some("ACME-Key"), Some(("acme", Some("production")))),
    (Some("acme-test-key"), Some(("acme", Some("sandbox")))),
    // No environment in the link: the host decides.
    (Some("globex/key+2=="), Some(("globex", None))),
    (Some("initech-key-old"), Some(("initech", Some("production")))),
    (Some("initech-key-new"), Some(("initech", Some("production")))),
    (Some("ghost-key"), None),
    (Some("nobody's \"key\" \\ ключ"), None),
    (None, None),
];

const AGENTS: &[Option<&[u8]>] = &[
    None,
    Some(b"curl/7.88.1"),
    Some(b"-"),
    Some(b"Mozilla/5.0 (\"quoted\"; \\back\\slash) {\"status\":\"200\"}"),
    Some("Łódź/1.0 (☃; 東京)".as_bytes()),
    Some(b"caf\xe9/1.0 \xff\xfe"),
    Some(&[b'a'; 700]),
];

/// What the clients counted.
#[derive(Default)]
pub struct Tally {
    /// Requests to the API's hosts: each must become one row.
    pub requests: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Quantities that are owed, or would be outside of the sandbox.
    pub usage: BTreeMap<Cell, u64>,
    /// Requests that nobody is billed for, by reason.
    pub unattributed: BTreeMap<String, u64>,
}

impl Tally {
    /// Adds what another client counted.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        other.statuses.into_iter().for_each(|(key, count)| *self.statuses.entry(key).or_default() += count);
        other.usage.into_iter().for_each(|(key, count)| *self.usage.entry(key).or_default() += count);
        other.unattributed.into_iter().for_each(|(key, count)| *self.unattributed.entry(key).or_default() += count);
    }

    fn note(&mut self, request: &Request, answer: Option<&Answer>) {
        self.requests += 1;
        let Some((partner, linked)) = request.caller.1 else {
            *self.unattributed.entry("unknown_consumer".to_owned()).or_default() += 1;
            return;
        };
        if linked.is_some_and(|linked| linked != request.environment) {
            *self.unattributed.entry("environment_conflict".to_owned()).or_default() += 1;
            return;
        }
        let Some(answer) = answer.filter(|answer| (200..300).contains(&answer.status)) else { return };
        let owed: &[(&str, u64)] = match request.product {
            "maps" => &[("maps-calls", 1), ("maps-body", answer.body_bytes)],
            "reports" => &[
                ("reports-calls", 1),
                ("reports-in", u64::try_from(request.bytes.len()).unwrap()),
                ("reports-out", answer.head_bytes + answer.body_bytes),
            ],
            other => panic!("{other:?} was answered with {}", answer.status),
        };
        for (meter, quantity) in owed {
            let cell = (request.environment.to_owned(), partner.to_owned(), (*meter).to_owned());
            *self.usage.entry(cell).or_default() += quantity;
        }
    }
}

struct Request {
    caller: &'static Caller,
    environment: &'static str,
    product: &'static str,
    is_head: bool,
    bytes: Vec<u8>,
}

struct Answer {
    status: u16,
    head_bytes: u64,
    /// As sent: with the sizes of chunks, where there are chunks.
    body_bytes: u64,
    closes: bool,
}

/// Sends `count` requests from one client, one after another, and gives what it counted.
pub fn drive(port: u16, seed: u64, count: u64) -> Tally {
    let mut dice = Dice::new(seed);
    let mut tally = Tally::default();
    let mut connection = None;
    let mut again: Option<Request> = None;
    let mut sent = 0;
    while sent < count {
        // Now and then the same bytes once more: two requests, both owed.
        let request = match again.take() {
            Some(request) => request,
            None => make(&mut dice),
        };
        let open = connection.get_or_insert_with(|| connect(port));
        open.get_mut().write_all(&request.bytes).unwrap();
        let answer = read(open, request.is_head);
        *tally.statuses.entry(answer.status).or_default() += 1;
        tally.note(&request, Some(&answer));
        sent += 1;
        if answer.closes {
            connection = None;
        }
        if dice.below(10) == 0 {
            again = Some(request);
        }
    }
    drop(connection);
    for _ in 0..3 {
        abandon(port, &mut tally);
        call_elsewhere(port);
        send_too_much(port, &mut tally);
    }
    tally
}

/// A client that hangs up before the answer: it got nothing, and owes nothing.
fn abandon(port: u16, tally: &mut Tally) {
    let mut request = made(&CALLERS[0], "production", "maps", "GET", b"/maps/given-up", "200 10 late", None, &[]);
    request.is_head = false;
    let mut connection = connect(port);
    connection.get_mut().write_all(&request.bytes).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    drop(connection);
    tally.note(&request, None);
}

/// A host that is not the API's, in bytes that are no UTF-8, with a good key: not a call of the API, so not counted.
fn call_elsewhere(port: u16) {
    let mut connection = connect(port);
    let bytes = b"GET /maps/1 HTTP/1.1\r\nHost: \xff\xfe.example.com\r\nX-Api-Key: acme-key\r\n\r\n";
    connection.get_mut().write_all(bytes).unwrap();
    assert_eq!(read(&mut connection, false).status, 421);
}

/// A body above NGINX's limit of 1 MiB, which it refuses before it has read it.
fn send_too_much(port: u16, tally: &mut Tally) {
    let body = vec![b'b'; (1 << 20) + 1];
    let request = made(&CALLERS[0], "production", "maps", "POST", b"/maps/large", "200 10 length", None, &body);
    let mut connection = connect(port);
    connection.get_mut().write_all(&request.bytes).unwrap();
    let answer = read(&mut connection, false);
    *tally.statuses.entry(answer.status).or_default() += 1;
    tally.note(&request, Some(&answer));
}

fn make(dice: &mut Dice) -> Request {
    let caller = &CALLERS[pick(dice, CALLERS.len())];
    let likes_sandbox = caller.1.is_some_and(|(_, linked)| linked == Some("sandbox"));
    let environment = if (dice.below(8) == 0) ^ likes_sandbox { "sandbox" } else { "production" };
    let n = dice.below(1_000_000);
    let maps = [
        format!("/maps/tile/{n}").into_bytes(),
        format!("/maps/tile/{n}?zoom=3&q=a%20b&token=t0p&x=\"1\"").into_bytes(),
        format!("/%6Daps/%74ile/{n}").into_bytes(),
        format!("/reports/../maps/{n}").into_bytes(),
        format!("//maps///tile//{n}").into_bytes(),
        format!("/maps/\"quoted\"\\{n}{{}}|^`<>'").into_bytes(),
        format!("/maps/żółw/東京/{n}").into_bytes(),
        [b"/maps/caf\xe9\xff/".as_slice(), n.to_string().as_bytes()].concat(),
        format!("/maps/{n};v=1,2/%E6%9D%B1%22%5C?{}", "q".repeat(900)).into_bytes(),
    ];
    let reports = [format!("/reports/{n}"), format!("/maps/../reports/{n}?a=b"), format!("/reports//{n}#x")];
    let others = ["/", "/map", "/admin?x=1", "/maps/../../etc"].map(|path| path.as_bytes().to_vec());
    let (product, path) = match dice.below(20) {
        0 => ("none", others[pick(dice, 3)].clone()),
        1..=5 => ("reports", reports[pick(dice, 2)].clone().into_bytes()),
        _ => ("maps", maps[pick(dice, maps.len())].clone()),
    };
    let status = [200, 200, 200, 200, 200, 200, 201, 204, 302, 400, 404, 429, 500, 503][pick(dice, 14)];
    let size = [0, 1, 17, 512, 4_096, 40_000][pick(dice, 6)];
    let manner = match dice.below(100) {
        0 => "drop",
        1..=2 => "slow",
        3..=20 => "open",
        _ => "length",
    };
    let (method, body) = match dice.below(10) {
        0 => ("HEAD", 0),
        1 => ("DELETE", 0),
        2..=4 => ("POST", [0, 1, 333, 20_000, 70_000][pick(dice, 5)]),
        5 => ("PUT", 9_000),
        _ => ("GET", 0),
    };
    let agent = AGENTS[pick(dice, AGENTS.len())];
    let answer = format!("{status} {size} {manner}");
    made(caller, environment, product, method, &path, &answer, agent, &vec![b'b'; body])
}

#[allow(clippy::too_many_arguments)]
fn made(
    caller: &'static Caller,
    environment: &'static str,
    product: &'static str,
    method: &str,
    path: &[u8],
    answer: &str,
    agent: Option<&[u8]>,
    body: &[u8],
) -> Request {
    let host = if environment == "sandbox" { "Sandbox.Example.com" } else { "api.example.com:8080" };
    let mut bytes = [method.as_bytes(), b" ", path, b" HTTP/1.1\r\n"].concat();
    bytes.extend_from_slice(format!("Host: {host}\r\nX-Answer: {answer}\r\n").as_bytes());
    if let Some(key) = caller.0 {
        bytes.extend_from_slice(format!("X-API-Key: {key}\r\n").as_bytes());
    }
    if let Some(agent) = agent {
        bytes.extend_from_slice(&[b"User-Agent: ", agent, b"\r\n"].concat());
    }
    if !body.is_empty() || method == "POST" {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    Request { caller, environment, product, is_head: method == "HEAD", bytes }
}

fn pick(dice: &mut Dice, below: usize) -> usize {
    usize::try_from(dice.below(u64::try_from(below).unwrap())).unwrap()
}

fn connect(port: u16) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.set_nodelay(true).unwrap();
    BufReader::new(stream)
}

fn read(connection: &mut BufReader<TcpStream>, is_head: bool) -> Answer {
    let mut answer = Answer { status: 0, head_bytes: 0, body_bytes: 0, closes: false };
    let (mut length, mut chunked) = (0_u64, false);
    loop {
        let line = line_of(connection, &mut answer.head_bytes);
        if line.is_empty() {
            break;
        }
        if answer.status == 0 {
            answer.status = line.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap();
            continue;
        }
        let (name, value) = line.split_once(": ").unwrap();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "transfer-encoding" => chunked = value == "chunked",
            "connection" => answer.closes = value == "close",
            _ => {}
        }
    }
    if is_head || [204, 304].contains(&answer.status) {
        return answer;
    }
    if !chunked {
        skip(connection, length);
        answer.body_bytes = length;
        return answer;
    }
    loop {
        let size = u64::from_str_radix(&line_of(connection, &mut answer.body_bytes), 16).unwrap();
        skip(connection, size);
        answer.body_bytes += size;
        assert!(line_of(connection, &mut answer.body_bytes).is_empty(), "a chunk has another length than it says");
        if size == 0 {
            return answer;
        }
    }
}

fn line_of(connection: &mut BufReader<TcpStream>, bytes: &mut u64) -> String {
    let mut line = Vec::new();
    let count = connection.read_until(b'\n', &mut line).unwrap();
    assert!(line.ends_with(b"\r\n"), "the connection ended in an answer, after {:?}", String::from_utf8_lossy(&line));
    *bytes += u64::try_from(count).unwrap();
    String::from_utf8_lossy(&line[..count - 2]).into_owned()
}

fn skip(connection: &mut BufReader<TcpStream>, bytes: u64) {
    assert_eq!(std::io::copy(&mut connection.by_ref().take(bytes), &mut std::io::sink()).unwrap(), bytes);
}
