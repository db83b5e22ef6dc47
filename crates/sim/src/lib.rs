//! A world in one thread and in virtual time, in which real nodes with real OpenSSL sessions live:
//! links, NATs, the sockets of hosts, and an attacker. It models the world and nothing of the node.
