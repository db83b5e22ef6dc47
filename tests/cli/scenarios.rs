//! Scenario files for the tests of the commands that run them.

use crate::folder::Folder;

/// Nodes A, B and C in a row; C's direct reply goes to A, where it finds no session.
pub(crate) const DIRECT: &str = r#"schema = 1
name = "direct"
title = "C's direct reply finds no session at A"
group = "mine"
clause = "RFC 6347, 4.1.1"
meaning = "A session is found by host and port; C's address has none."

[[node]]
name = "A"
[[node]]
name = "B"
[[node]]
name = "C"

[[link]]
between = ["A", "B"]
dials = "A"
latency = "5 ms"
[[link]]
between = ["B", "C"]
dials = "B"
latency = "5 ms"

[[step]]
send = { from = "A", to = "C", payload = "hello", as = "request" }
[[step]]
on = "delivered request"
seal = { by = "C", to = "A", payload = "direct reply", reply = true, as = "reply" }
[[step]]
inject = { datagram = "reply", to = "A", source = "C" }

[[expect]]
datagram = "reply"
at = "A"
lock = "demux"
sealed_by = "C>B"
[[expect]]
session = "A-B"
is = "alive"
"#;

/// A and B, a request that goes once, and a link that loses a part of everything: whether it arrives
/// is a matter of the seed.
pub(crate) const CHANCY: &str = r#"schema = 1
name = "chancy"
title = "A request arrives in spite of losses"
group = "mine"
clause = "RFC 768"
meaning = "It does not always: nobody sends it again."

[sweep]
seeds = 12
[sweep.parameters]
loss = [0.0, 0.3]

[[node]]
name = "A"
[[node]]
name = "B"

[[link]]
between = ["A", "B"]
dials = "A"
loss = "${loss}"

[[step]]
send = { from = "A", to = "B", payload = "once", as = "request" }

[[expect]]
message = "request"
delivered_at = "B"
"#;

impl Folder {
    /// Makes a folder with `direct.toml`, which holds; `wrong.toml`, which claims something else of the
    /// same; and `chancy.toml`, which holds by chance.
    pub(crate) fn with_scenarios() -> Self {
        let folder = Self::empty();
        folder.write("direct.toml", DIRECT);
        folder
            .write("wrong.toml", DIRECT.replace("\"direct\"", "\"wrong\"").replace("\"demux\"", "\"gate\""));
        folder.write("chancy.toml", CHANCY);
        folder
    }
}
