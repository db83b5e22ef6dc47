//! A, B and C as processes: their certificates, their files, their start.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::ports::free_port;
use crate::support::{Finished, Program, peerbound};

/// Certificates and ports for A, B, C and an outsider D that the same authority certified.
pub(crate) struct Topology {
    folder: TempDir,
    pub(crate) a_port: u16,
    pub(crate) b_port: u16,
    c_port: u16,
}

/// All three, with every link up as both its ends see it.
pub(crate) struct Chain {
    pub(crate) a: Program,
    pub(crate) b: Program,
    pub(crate) c: Program,
}

impl Topology {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pki = folder.path().join("pki").display().to_string();
        Finished::of(&mut peerbound(["pki", "init", "--dir", &pki])).success();
        for name in ["A", "B", "C", "D"] {
            Finished::of(&mut peerbound(["pki", "issue", "--dir", &pki, name])).success();
        }
        let topology = Self { folder, a_port: free_port(), b_port: free_port(), c_port: free_port() };
        let (to_b, from) =
            (topology.neighbour("B", Some(topology.b_port)), |name| topology.neighbour(name, None));
        let far =
            |name| format!("[[route]]\nto = {name:?}\nvia = \"B\"\n[names]\n{name} = \"pki/{name}.pem\"\n");
        topology.write("A", topology.a_port, &(to_b.clone() + &far("C")));
        topology.write("B", topology.b_port, &(from("A") + &from("C")));
        topology.write("C", topology.c_port, &(to_b + &far("A")));
        topology.write("D", free_port(), &topology.neighbour("A", Some(topology.a_port)));
        topology
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn ports(&self) -> [u16; 3] {
        [self.a_port, self.b_port, self.c_port]
    }

    pub(crate) fn start_a(&self) -> Program {
        let (file, patience) = (self.file("A"), "60");
        let arguments = ["send", "-c", &file, "--json", "--wait", patience, "--linger", patience, "C"];
        Program::start("A", &mut peerbound(arguments))
    }

    pub(crate) fn start_c(&self) -> Program {
        Program::start("C", &mut peerbound(["listen", "-c", &self.file("C"), "--echo", "--json"]))
    }

    /// Starts a node that only runs, and waits until it listens.
    pub(crate) fn start_run(&self, name: &str) -> Program {
        let mut program = Program::start(name, &mut peerbound(["run", "-c", &self.file(name), "--json"]));
        program.wait_for("ready", |said| said["event"] == "ready");
        program
    }

    pub(crate) fn start(&self) -> Chain {
        let b = self.start_run("B");
        let mut chain = Chain { a: self.start_a(), b, c: self.start_c() };
        chain.wait_until_up();
        chain
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.toml"))
    }

    fn neighbour(&self, name: &str, port: Option<u16>) -> String {
        let address = port.map(|port| format!("address = \"127.0.0.1:{port}\"\n")).unwrap_or_default();
        format!("[[neighbour]]\nname = {name:?}\ncertificate = \"pki/{name}.pem\"\n{address}")
    }

    fn write(&self, name: &str, port: u16, rest: &str) {
        let node = format!(
            "[node]\ncertificate = \"pki/{name}.pem\"\nkey = \"pki/{name}.key\"\nroots = [\"pki/ca.pem\"]\n\
             listen = \"127.0.0.1:{port}\"\n"
        );
        fs::write(self.path(name), node + rest).unwrap();
    }
}

impl Chain {
    /// Waits until both ends of both links say that they are up, once more than they did before.
    #[track_caller]
    pub(crate) fn wait_until_up(&mut self) {
        self.a.wait_for_neighbour("neighbour_up", "B");
        self.c.wait_for_neighbour("neighbour_up", "B");
        self.b.wait_for_neighbour("neighbour_up", "A");
        self.b.wait_for_neighbour("neighbour_up", "C");
    }

    /// Types a line at A and waits for its echo.
    #[track_caller]
    pub(crate) fn exchange(&mut self, line: &str) {
        self.a.type_line(line);
        self.c.wait_for(line, |said| {
            said["event"] == "delivered" && said["text"] == line && said["from"] == "A"
        });
        self.a.wait_for(line, |said| {
            said["event"] == "delivered" && said["text"] == line && said["from"] == "C"
        });
    }
}
