//! Networks behind nodes: hosts have routes to what other nodes announce, and nobody sets them by hand.

use std::net::{SocketAddr, TcpListener};

use serde_json::Value;

use crate::flow::stream_by;
use crate::host::{Host, hosts};
use crate::mesh::Mesh;
use crate::wire::link;

/// Bytes of a stream, in each direction.
const STREAM_BYTES: usize = 300_000;

#[test]
fn networks_behind_two_nodes_reach_each_other_through_a_relay_until_one_is_withdrawn() {
    let Some([a, b, c, behind_a, behind_c]) = hosts(["A", "B", "C", "behind-A", "behind-C"]) else { return };
    let _wires = [link(&a, &b), link(&b, &c)];
    a.lead_to(&behind_a);
    c.lead_to(&behind_c);
    let mesh = Mesh::new(&[&a, &b, &c], &[[&a, &b], [&c, &b]]).with_interfaces(&[&a, &c]);
    mesh.announce(&a, &a.site());
    mesh.announce(&c, &c.site());
    let _nodes = [&a, &b, &c].map(|host| mesh.start(host));

    wait_for_route(&mesh, &a, &c.site(), Some("set"));
    wait_for_route(&mesh, &c, &a.site(), Some("set"));

    let route = a.run(&format!("ip route show {}", c.site()));
    assert!(route.contains("dev peerbound0") && route.contains(&format!("src {}", a.in_site(1))), "{route}");
    assert_eq!(
        a.run(&format!("ip route show {} dev peerbound0", a.site())),
        "",
        "what is its own is not led away"
    );
    a.run(&format!("ping -c1 -W20 {}", c.in_site(1)));
    behind_a.run(&format!("ping -c1 -W20 {}", c.in_site(2)));
    let there = SocketAddr::from((c.in_site(2), 0));
    let listener = behind_c.namespace.enter("bind", || TcpListener::bind(there)).unwrap();
    let there = listener.local_addr().unwrap();
    let took = stream_by(&behind_a, there, listener, STREAM_BYTES);
    println!("TCP between networks behind two nodes, there and back: {took:?}");

    mesh.alter(&c, &format!("announce = [\"{}\"]\n", c.site()), "");
    mesh.reload(&c);
    wait_for_route(&mesh, &a, &c.site(), Some("held"));
    wait_for_route(&mesh, &a, &c.site(), None);

    assert_eq!(a.run(&format!("ip route show {}", c.site())), "");
}

#[test]
fn a_prefix_in_which_a_neighbour_is_gets_no_route_unless_it_is_named() {
    let Some([a, b, c]) = hosts(["A", "B", "C"]) else { return };
    let _wires = [link(&a, &b), link(&b, &c)];
    let mesh = Mesh::new(&[&a, &b, &c], &[[&a, &b], [&c, &b]]).with_interfaces(&[&a]);
    let underlay = "10.77.0.0/24";
    mesh.announce(&c, underlay);
    let node = mesh.start(&a);
    let _others = [&b, &c].map(|host| mesh.start(host));

    wait_for_route(&mesh, &a, underlay, Some("refused"));
    let status = mesh.ask(&a, "status");
    let warnings = status["warnings"].to_string();
    assert!(warnings.contains("no route to 10.77.0.0/24: a neighbour is at 10.77.0.2"), "{warnings}");
    assert_eq!(a.run(&format!("ip route show {underlay}")), "");
    drop(node);
    // The wire has a route of its own to B, so that this does no harm.
    mesh.alter(&a, "[tun]\n", &format!("[tun]\nroutes = [\"{underlay}\"]\n"));
    let _node = mesh.start(&a);

    wait_for_route(&mesh, &a, underlay, Some("set"));
    assert!(a.run(&format!("ip route show {underlay}")).contains("dev peerbound0"));
    mesh.wait_for_way(&a, &c, true);
}

/// Waits until a host has a route in some state to a prefix, or knows of none.
#[track_caller]
fn wait_for_route(mesh: &Mesh, host: &Host, prefix: &str, state: Option<&str>) {
    let is_it = |route: &&Value| route["prefix"] == prefix;
    mesh.wait_until(host, "status", |status| {
        let routes = status["interface"]["routes"].as_array().unwrap();
        routes.iter().find(is_it).map(|route| route["state"].as_str().unwrap()) == state
    });
}
