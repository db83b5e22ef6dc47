//! The hazard that a scenario asks for what nobody can see in its run, and holds by that.

use peerbound_lab::scenario::Scenario;

/// A mesh, where routes are found or set, with one step and one expectation.
fn mesh(nodes: u32, routing: &str, on: &str, expect: &str) -> Result<Scenario, String> {
    let text = format!(
        r#"
        schema = 1
        name = "a-mesh"
        title = "A mesh"
        mesh = {{ nodes = {nodes}, degree = 4 }}
        nodes = {{ routing = "{routing}" }}
        [[step]]
        on = "{on}"
        talk = {{ pairs = 4, tries = 5, as = "chatter" }}
        [[step]]
        send = {{ from = "N0", to = "N1", payload = "hello", as = "greeting" }}
        [[expect]]
        {expect}
        "#
    );
    Scenario::parse(&text, "a-mesh.toml", &[]).map_err(|error| error.to_string())
}

#[test]
fn routes_are_asked_for_only_where_nodes_find_them() {
    let talked = "talk = \"chatter\"\ncount = 4";
    let reachable = "reachable = \"all\"";

    assert!(mesh(8, "dynamic", "converged", reachable).is_ok());
    for (on, expect) in [("up", reachable), ("converged", talked)] {
        let refusal = mesh(8, "static", on, expect).unwrap_err();
        assert!(refusal.contains("routing = \"dynamic\""), "{refusal}");
    }
}

#[test]
fn what_is_not_observed_in_a_large_mesh_is_not_expected_there() {
    let unseen = [
        ("session", "session = \"N0-N1\"\nis = \"never\""),
        ("message", "message = \"greeting\"\nundelivered = true"),
        ("wire", "wire = \"N0>N1\"\ncount = 0"),
        ("ratio", "ratio = \"N0>N1 / N1>N0\"\nat_most = 1.0"),
    ];

    for (subject, expect) in unseen {
        assert_eq!(mesh(64, "dynamic", "up", expect).err(), None);
        let refusal = mesh(65, "dynamic", "up", expect).unwrap_err();
        assert!(refusal.contains(&format!("no {subject} is observed")), "{refusal}");
    }
    assert!(mesh(65, "dynamic", "up", "talk = \"chatter\"\ncount = 4").is_ok());
}
