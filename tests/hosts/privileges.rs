//! What a node may still do once it runs: as root it opens its interface and low ports, and then it is nobody.

use std::collections::BTreeMap;
use std::os::unix::fs::chown;

use crate::host::hosts;
use crate::mesh::Mesh;
use crate::support::{Finished, peerbound};
use crate::wire::link;

/// CAP_NET_ADMIN and CAP_SYS_NICE, as sets of capabilities.
const NETWORKS: u64 = 1 << 12;
const SCHEDULING: u64 = 1 << 23;

/// The policy by which a thread goes before others (sched(7)).
const SCHED_RR: u32 = 2;

#[test]
fn a_node_of_root_keeps_no_privilege_but_that_of_the_thread_that_keeps_routes() {
    let Some([a, b, c, behind_c]) = hosts(["A", "B", "C", "behind-C"]) else { return };
    let _wires = [link(&a, &b), link(&b, &c)];
    c.lead_to(&behind_c);
    let mesh = Mesh::new(&[&a, &b, &c], &[[&a, &b], [&c, &b]]).with_interfaces(&[&a, &c]);
    mesh.announce(&c, &c.site());
    // Ports that take a privilege.
    mesh.add(&a, "[resolver]\n[metrics]\nlisten = \"127.0.0.1:443\"\n");
    mesh.add(&a, "[services]\nforward = [\"tcp 127.0.0.1:80 -> C:80\"]\n");
    let _nodes = [&a, &b, &c].map(|host| mesh.start(host));
    mesh.wait_for_way(&a, &c, true);

    let [at_a, at_b] = [&a, &b].map(|host| privileges_of(mesh.ask(host, "status")["pid"].as_u64().unwrap()));
    for thread in ["watcher", "resolver", "forwards", "metrics", "control", "signals", "hangups"] {
        assert!(at_a.contains_key(thread), "{thread}: {at_a:#?}");
    }
    for (name, thread) in at_a.iter().chain(&at_b) {
        let kept = if name == "routes" { NETWORKS } else { 0 };
        assert_eq!((thread.effective, thread.permitted), (kept, kept), "{name}");
        assert_eq!((thread.inheritable, thread.ambient, thread.bounding), (0, 0, 0), "{name}");
        assert!(thread.has_no_new, "{name}");
    }
    assert!(at_a.contains_key("routes") && !at_b.contains_key("routes"), "{at_a:#?} {at_b:#?}");

    // What the one thread keeps is enough, and what the others have lost they do not need.
    mesh.wait_until(&a, "status", |status| status["interface"]["routes"][0]["state"] == "set");
    a.run(&format!("ping -c1 -W20 {}", mesh.overlay(&c)));
    mesh.reload(&a);
}

#[test]
fn where_latency_is_favoured_those_that_carry_data_go_first_and_may_say_so_and_nobody_else() {
    let Some([a, b]) = hosts(["A", "B"]) else { return };
    let _wire = link(&a, &b);
    let mesh = Mesh::new(&[&a, &b], &[[&a, &b]]);
    mesh.alter(&a, "[node]\n", "[node]\nfavour = \"latency\"\nworkers = 2\n");
    mesh.add(&a, "[services]\nforward = [\"tcp 127.0.0.1:80 -> B:80\"]\n");
    let _nodes = [&a, &b].map(|host| mesh.start(host));
    mesh.wait_for_way(&a, &b, true);

    let process = mesh.ask(&a, "status")["pid"].as_u64().unwrap();
    let threads = privileges_of(process);
    assert!(threads.contains_key("forwards") && threads.contains_key("worker-1"), "{threads:#?}");
    for (name, thread) in &threads {
        let carries = name.starts_with("data-") || name.starts_with("worker-");
        let kept = if carries { SCHEDULING } else { 0 };
        assert_eq!((thread.effective, thread.permitted), (kept, kept), "{name}");
        assert_eq!((thread.inheritable, thread.ambient, thread.bounding), (0, 0, 0), "{name}");
    }
    for (name, policy) in policies_of(process) {
        // Workers help where processors are idle: there is nobody to go before.
        assert_eq!(policy == SCHED_RR, name.starts_with("data-"), "{name}: {policy}");
    }
    let other = mesh.ask(&b, "status")["pid"].as_u64().unwrap();
    assert!(policies_of(other).values().all(|policy| *policy != SCHED_RR));
}

#[test]
fn a_node_of_root_reads_files_of_others_at_its_start_and_says_so_when_it_cannot_any_more() {
    let Some([a, b]) = hosts(["A", "B"]) else { return };
    let _wire = link(&a, &b);
    let mesh = Mesh::new(&[&a, &b], &[[&a, &b]]);
    let key = mesh.folder.path().join("A.key");
    chown(&key, Some(1), Some(1)).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();

    let _node = mesh.start(&a);
    let file = mesh.file(&a).display().to_string();
    let reloaded = Finished::of(&mut peerbound(["reload", "-c", &file]));

    let said = format!("{}{}", reloaded.stdout, reloaded.stderr);
    assert!(said.contains("A.key") && said.contains("start the node again"), "{said}");
    assert_ne!(reloaded.code, Some(0), "{said}");
}

/// What one thread may do.
#[derive(Debug)]
struct Privileges {
    effective: u64,
    permitted: u64,
    inheritable: u64,
    ambient: u64,
    bounding: u64,
    has_no_new: bool,
}

/// Reads what the threads of a process may do, by their names (proc(5)).
fn privileges_of(process: u64) -> BTreeMap<String, Privileges> {
    files_of_threads(process, "status").map(|status| privileges_in(&status)).collect()
}

/// Reads a file of each thread of a process that has not ended meanwhile.
fn files_of_threads(process: u64, name: &str) -> impl Iterator<Item = String> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    threads.filter_map(move |thread| std::fs::read_to_string(thread.unwrap().path().join(name)).ok())
}

/// Reads by which policies the threads of a process are scheduled, by their names (proc(5)).
fn policies_of(process: u64) -> BTreeMap<String, u32> {
    let policy_in = |stat: String| {
        let (front, fields) = stat.rsplit_once(") ").unwrap();
        let (_, name) = front.split_once(" (").unwrap();
        // The name is the second of all fields, and the policy the 41st.
        (name.to_owned(), fields.split(' ').nth(41 - 3).unwrap().parse().unwrap())
    };
    files_of_threads(process, "stat").map(policy_in).collect()
}

fn privileges_in(status: &str) -> (String, Privileges) {
    let field = |name: &str| {
        let found = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        found.unwrap_or_else(|| panic!("there is {name} in {status}"))
    };
    let set = |name: &str| u64::from_str_radix(field(name), 16).unwrap();
    let privileges = Privileges {
        effective: set("CapEff"),
        permitted: set("CapPrm"),
        inheritable: set("CapInh"),
        ambient: set("CapAmb"),
        bounding: set("CapBnd"),
        has_no_new: field("NoNewPrivs") == "1",
    };
    (field("Name").to_owned(), privileges)
}
