//! The model against OpenSSL where the two meet, and against the clauses where it stands alone. The
//! keys are those of real handshakes; time is virtual.

mod hostile;
mod moving;
mod road;
mod same_as_openssl;
mod support;
#[expect(dead_code, reason = "the clock serves other tests, which ask it more")]
#[path = "../../../dtls/tests/dtls/vclock.rs"]
mod vclock;
mod whose_record;
