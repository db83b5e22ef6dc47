//! B as a router: the kernel forwards between its two wires.

use std::net::Ipv6Addr;

use crate::chain::Chain;
use crate::subject::Open;

const A: Ipv6Addr = Ipv6Addr::new(0xfd77, 1, 0, 0, 0, 0, 0, 1);
const B_TO_A: Ipv6Addr = Ipv6Addr::new(0xfd77, 1, 0, 0, 0, 0, 0, 2);
const B_TO_C: Ipv6Addr = Ipv6Addr::new(0xfd77, 2, 0, 0, 0, 0, 0, 2);
const C: Ipv6Addr = Ipv6Addr::new(0xfd77, 2, 0, 0, 0, 0, 0, 1);

pub(super) fn open(chain: &Chain) -> anyhow::Result<Open> {
    let ends = [(&chain.a, A, B_TO_A, Chain::TO_A), (&chain.c, C, B_TO_C, Chain::TO_C)];
    for (host, address, relay, interface) in ends {
        let lines =
            format!("address add {address}/64 dev {} nodad\nroute add fd77::/16 via {relay}\n", Chain::TO_B);
        let relay = format!("address add {relay}/64 dev {interface} nodad\n");
        chain.b.run_with_input("ip", ["-6", "-batch", "-"], &relay)?;
        host.run_with_input("ip", ["-6", "-batch", "-"], &lines)?;
    }
    chain.b.set("ipv6/conf/all/forwarding", "1")?;
    Ok(Open { far: C, relay: Vec::new(), ends: Vec::new() })
}
