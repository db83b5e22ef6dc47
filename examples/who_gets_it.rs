//! Real UDP sockets on loopback, before any DTLS: which of A's sockets gets a datagram from C, and what
//! C hears of it. Whether A reads nothing is seen by a datagram of B's that comes behind.
//!
//! Run it with `cargo run --quiet --example who_gets_it`.

use std::error::Error;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let b = bind(0)?;
    let c = bind(0)?;

    println!("A's socket is connected to B.");
    let a = bind(0)?;
    let port = a.local_addr()?.port();
    a.connect(b.local_addr()?)?;
    b.connect(a.local_addr()?)?;
    b.send(b"from B")?;
    println!("  B sends: A reads \"{}\".", read(&a)?);
    c.send_to(b"from C", a.local_addr()?)?;
    println!("  C sends: A reads {}; C is told {}.", read_before_b(&a, &b)?, heard(&c)?);
    let connected_c = bind(0)?;
    connected_c.connect(a.local_addr()?)?;
    connected_c.send(b"from C")?;
    println!(
        "  C sends from a connected socket: A reads {}; C is told {}.",
        read_before_b(&a, &b)?,
        heard(&connected_c)?
    );

    println!("A second socket of A's has the same port and is not connected.");
    let listener = bind(port)?;
    c.send_to(b"from C", a.local_addr()?)?;
    println!("  C sends: the connected socket reads {}.", read_before_b(&a, &b)?);
    println!("           the other reads \"{}\"; C is told {}.", read(&listener)?, heard(&c)?);

    println!("A third socket of A's is bound, and connected to B a moment later.");
    let late = bind(0)?;
    c.send_to(b"from C, in between", late.local_addr()?)?;
    late.connect(b.local_addr()?)?;
    println!("  C sends in between: A reads \"{}\" from a socket that is connected to B.", read(&late)?);
    Ok(())
}

/// Binds a socket that shares its port with others that do so, too.
fn bind(port: u16) -> Outcome<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(socket.into())
}

fn read(socket: &UdpSocket) -> Outcome<String> {
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// Lets B send, and says what A read before that.
fn read_before_b(a: &UdpSocket, b: &UdpSocket) -> Outcome<String> {
    b.send(b"from B, behind")?;
    let first = read(a)?;
    if first == "from B, behind" {
        return Ok("nothing".to_owned());
    }
    assert_eq!(read(a)?, "from B, behind");
    Ok(format!("\"{first}\""))
}

/// Says what a socket hears of what it sent: an error by way of ICMP, or nothing for a while.
fn heard(socket: &UdpSocket) -> Outcome<String> {
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    match socket.recv(&mut [0; 64]) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok("nothing".to_owned()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok("\"connection refused\"".to_owned()),
        Err(error) => Err(error.into()),
        Ok(length) => Err(format!("a datagram of {length} bytes that nobody sent").into()),
    }
}
