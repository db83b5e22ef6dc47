//! Our DTLS against that of others, over real loopback sockets, in both roles: OpenSSL's `s_server`
//! and `s_client`, GnuTLS's `gnutls-serv` and `gnutls-cli`.
//!
//! A test whose program is not installed says so and passes, unless `PEERBOUND_REQUIRE_PEERS=1`.

mod end;
mod gnutls;
mod openssl;
mod pki;
mod process;
mod scenario;
mod tool;
