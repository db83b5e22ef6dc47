//! Nodes that are killed at any time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::flow::Flow;
use crate::host::hosts;
use crate::mesh::Mesh;
use crate::wire::link;

/// How often a node is killed, each time a little later in its life.
const KILLS: u32 = 20;
const LATER: Duration = Duration::from_millis(5);

#[test]
fn a_node_that_is_killed_at_any_time_loses_nothing_on_disk_and_starts_again() {
    let Some([a, b]) = hosts(["A", "B"]) else { return };
    let _wire = link(&a, &b);
    let mesh = Mesh::new(&[&a, &b], &[[&a, &b]]);
    let before = files(mesh.folder.path());
    let mut b_node = mesh.start(&b);

    for number in 0..KILLS {
        let mut node = a.start(&mut mesh.command(&a, "run", &[]));
        let end = Instant::now() + LATER * number;
        while node.hear(end.saturating_duration_since(Instant::now())).is_some() {}
        drop(node); // SIGKILL
    }

    assert_eq!(files(mesh.folder.path()), before);
    let mut node = mesh.start(&a);
    node.wait_for_neighbour("neighbour_up", "B");
    b_node.wait_for_neighbour("neighbour_up", "A");
}

#[test]
fn a_node_that_is_killed_leaves_no_interface_and_no_route_and_starts_again() {
    let Some([a, b]) = hosts(["A", "B"]) else { return };
    let _wire = link(&a, &b);
    let mesh = Mesh::new(&[&a, &b], &[[&a, &b]]).with_interfaces(&[&a, &b]);
    let _far = mesh.start(&b);
    let node = mesh.start(&a);
    let mut flow = Flow::new(mesh.end(&a), mesh.end(&b), 100);
    flow.until("it runs", |seen| seen.count() >= 10);
    assert!(a.run("ip -6 route").contains("fd00::/8") && a.run("ip link").contains("peerbound0"));

    drop(node); // SIGKILL

    assert!(!a.run("ip -6 route").contains("fd00::/8") && !a.run("ip link").contains("peerbound0"));
    let _node = mesh.start(&a);
    let mut flow = Flow::new(mesh.end(&a), mesh.end(&b), 100);
    flow.until("it runs again", |seen| seen.count() >= 10);
}

/// Reads every file under a folder. A socket is none: it stays when its node is killed, and the next one
/// takes its place.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            found.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    found
}
