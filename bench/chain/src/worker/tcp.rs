//! Bulk streams over TCP.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::words::Said;
use crate::worker::say;

/// Bytes of one call, each way: large enough that the generator is no part of what is measured.
const CALL_BYTES: usize = 256 * 1024;

pub(super) fn sink(listen: SocketAddr, streams: usize, warm_up: f64, seconds: f64) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen)?;
    say(&Said::Ready)?;
    let received = AtomicU64::new(0);
    let connections: Result<Vec<_>, _> =
        (0..streams).map(|_| listener.accept().map(|(stream, _)| stream)).collect();
    let connections = connections?;
    thread::scope(|scope| {
        for stream in &connections {
            scope.spawn(|| count(stream, &received));
        }
        thread::sleep(Duration::from_secs_f64(warm_up));
        say(&Said::Begin)?;
        let (started, before) = (Instant::now(), received.load(Ordering::Relaxed));
        thread::sleep(Duration::from_secs_f64(seconds));
        let bytes = received.load(Ordering::Relaxed) - before;
        say(&Said::End { bytes, seconds: started.elapsed().as_secs_f64() })?;
        // The readers end when their connections do.
        for stream in &connections {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        Ok(())
    })
}

fn count(mut stream: &TcpStream, received: &AtomicU64) {
    let mut buffer = vec![0; CALL_BYTES];
    while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
        received.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

pub(super) fn source(to: SocketAddr, streams: usize) -> anyhow::Result<()> {
    let connections: Result<Vec<_>, _> = (0..streams).map(|_| TcpStream::connect(to)).collect();
    let writers: Vec<_> =
        connections?.into_iter().map(|stream| thread::spawn(move || write_on(stream))).collect();
    for writer in writers {
        writer.join().map_err(|_| anyhow::anyhow!("a stream's thread has panicked"))??;
    }
    Ok(())
}

/// Writes until the other end has heard enough.
fn write_on(mut stream: TcpStream) -> anyhow::Result<()> {
    let buffer = vec![0x5a; CALL_BYTES];
    loop {
        match stream.write_all(&buffer) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
}
