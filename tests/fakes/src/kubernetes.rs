//! A Kubernetes API server: lists by pages, watches from a version on, and faults on demand.

use crate::Fault;
use crate::fault::{refuse, respond};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(5);

/// What the server has, and how it behaves.
#[derive(Debug, Default)]
pub struct State {
    /// The newest version.
    pub version: u64,
    /// Objects by path.
    objects: HashMap<String, Vec<Value>>,
    /// Version, path, type, object.
    log: Vec<(u64, String, &'static str, Value)>,
    /// Watches from an older version are refused.
    pub oldest: u64,
    /// As many next pages are refused.
    pub pages_to_refuse: usize,
    /// Watches of an earlier number are broken off.
    pub connections: u64,
    /// What paths do instead of what they should.
    pub faults: HashMap<String, Fault>,
    /// The one that must be shown.
    pub token: Option<String>,
    /// Field selectors are refused.
    pub refuse_selectors: bool,
    /// Lines that watches of pods get as they are, once.
    pub raw: Vec<String>,
    /// Targets that were asked for.
    pub asked: Vec<String>,
}

impl State {
    /// Puts an object in place, as a write to the server would.
    pub fn put(&mut self, path: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let all = self.objects.entry(path.to_owned()).or_default();
        let kind = match all.iter_mut().find(|known| is_same(known, &object)) {
            Some(known) => {
                *known = object.clone();
                "MODIFIED"
            }
            None => {
                all.push(object.clone());
                "ADDED"
            }
        };
        self.log.push((self.version, path.to_owned(), kind, object));
    }

    /// Takes an object away.
    pub fn delete(&mut self, path: &str, name: &str) {
        self.version += 1;
        let Some(all) = self.objects.get_mut(path) else { return };
        let Some(at) = all.iter().position(|known| known["metadata"]["name"] == name) else { return };
        let mut object = all.remove(at);
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.log.push((self.version, path.to_owned(), "DELETED", object));
    }

    /// Forgets what happened.
    pub fn forget(&mut self) {
        self.log.clear();
    }

    /// Questions whose target begins so.
    pub fn count(&self, start: &str) -> usize {
        self.asked.iter().filter(|target| target.starts_with(start)).count()
    }
}

fn is_same(a: &Value, b: &Value) -> bool {
    ["name", "namespace"].iter().all(|member| a["metadata"][member] == b["metadata"][member])
}

/// The server; its threads go on until the test program ends.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it is.
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// On a free port of the loopback interface.
    ///
    /// # Panics
    /// Where there is none.
    pub fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Server::on(listener)
    }

    /// Where this listens.
    ///
    /// # Panics
    /// Where its address is not known.
    pub fn on(listener: TcpListener) -> Server {
        let server = Server {
            url: format!("http://{}", listener.local_addr().expect("its address")),
            state: Arc::new(Mutex::new(State { version: 10, ..State::default() })),
        };
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (server, Ok(stream)) = (serving.clone(), stream) else { continue };
                std::thread::spawn(move || server.answer(stream));
            }
        });
        server
    }

    /// What it has, to be changed.
    ///
    /// # Panics
    /// After a panic with the state in hand.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the state of the test")
    }

    /// Takes over a list of a real server.
    ///
    /// # Panics
    /// Where it is no list.
    pub fn load(&self, path: &str, list: &[u8]) {
        let list: Value = serde_json::from_slice(list).expect("a list of the test");
        let mut state = self.state();
        for item in list["items"].as_array().expect("items") {
            state.put(path, item.clone());
        }
        state.log.clear();
    }

    /// Breaks off all watches.
    pub fn disconnect(&self) {
        self.state().connections += 1;
    }

    /// Errors mean that the client went away, which is its right.
    fn answer(&self, mut stream: TcpStream) {
        let Ok(reading) = stream.try_clone() else { return };
        let mut lines = BufReader::new(reading).lines();
        let Some(Ok(first)) = lines.next() else { return };
        let head: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
        let target = first.split(' ').nth(1).unwrap_or("").to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (fault, is_known) = {
            let mut state = self.state();
            state.asked.push(target.clone());
            let bearer = state.token.as_ref().map(|token| format!("authorization: bearer {token}"));
            let is_known = bearer.is_none_or(|bearer| head.iter().any(|line| line.to_lowercase() == bearer));
            (state.faults.get(path).cloned(), is_known)
        };
        let _ = match fault {
            _ if !is_known => refuse(&mut stream, 401, "Unauthorized"),
            Some(fault) => fault.play(&mut stream),
            None if query.contains("watch=1") => self.watch(&mut stream, path, query),
            None => self.list(&mut stream, path, query),
        };
    }

    fn list(&self, stream: &mut TcpStream, path: &str, query: &str) -> std::io::Result<()> {
        let mut state = self.state();
        let from: usize = parameter(query, "continue").and_then(|text| text.parse().ok()).unwrap_or(0);
        if from > 0 && state.pages_to_refuse > 0 {
            state.pages_to_refuse -= 1;
            drop(state);
            return refuse(stream, 410, "The provided continue parameter is too old");
        }
        if state.refuse_selectors && query.contains("fieldSelector") {
            drop(state);
            return refuse(stream, 400, "field label not supported");
        }
        if path.starts_with("/api/v1/nodes/") {
            drop(state);
            return refuse(stream, 404, "not found");
        }
        let node = parameter(query, "fieldSelector").map(|text| text.replace("%3D", "="));
        let is_chosen = |object: &&Value| match node.as_deref().and_then(|text| text.split_once('=')) {
            Some(("spec.nodeName", node)) => object["spec"]["nodeName"] == node,
            Some((_, name)) => object["metadata"]["name"] == name,
            None => true,
        };
        let limit: usize = parameter(query, "limit").and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
        let all = state.objects.get(path).map_or(&[][..], Vec::as_slice);
        let chosen: Vec<&Value> = all.iter().filter(is_chosen).collect();
        let page: Vec<&Value> = chosen.iter().skip(from).take(limit).copied().collect();
        let end = from + page.len();
        let next = if end < chosen.len() { end.to_string() } else { String::new() };
        let list = json!({"kind": "List", "apiVersion": "v1", "items": page,
            "metadata": {"resourceVersion": state.version.to_string(), "continue": next}});
        drop(state);
        respond(stream, list.to_string().as_bytes())
    }

    fn watch(&self, stream: &mut TcpStream, path: &str, query: &str) -> std::io::Result<()> {
        let version = parameter(query, "resourceVersion").and_then(|text| text.parse().ok());
        let mut version: u64 = version.unwrap_or(0);
        let connections = self.state().connections;
        write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        loop {
            let mut lines = String::new();
            {
                let mut state = self.state();
                if path == "/api/v1/pods" {
                    for line in state.raw.drain(..) {
                        lines.push_str(&line);
                        lines.push('\n');
                    }
                }
                if version < state.oldest {
                    let status = json!({"kind": "Status", "code": 410, "reason": "Expired"});
                    lines.push_str(&json!({"type": "ERROR", "object": status}).to_string());
                    lines.push('\n');
                    version = u64::MAX;
                } else if state.connections != connections {
                    return Ok(());
                }
                let seen = version;
                for (at, of, kind, object) in state.log.iter().filter(|(at, ..)| *at > seen) {
                    if of == path {
                        lines.push_str(&json!({"type": kind, "object": object}).to_string());
                        lines.push('\n');
                    }
                    version = *at;
                }
            }
            if !lines.is_empty() {
                write!(stream, "{:x}\r\n{lines}\r\n", lines.len())?;
            }
            if version == u64::MAX {
                return write!(stream, "0\r\n\r\n");
            }
            std::thread::sleep(LOOK);
        }
    }
}

fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}
