//! A neighbour that sends whatever the test wants: its certificate is genuine, its frames need not be.

use std::collections::VecDeque;
use std::time::Instant;

use peerbound_dtls::{
    Admission, Association, AssociationConfig, Context, Plaintexts, Precedence, SessionOptions,
};
use peerbound_wire::{Frame, Header, Hello, Kind, NodeId, PacketId, RoutingMessage};

/// One link session with a node, and the manners of a neighbour in good standing.
pub(crate) struct Insider {
    /// Which node it is a neighbour of.
    pub(crate) victim: usize,
    pub(crate) us: NodeId,
    them: NodeId,
    association: Association,
    hellos_sent: u32,
    packets_sent: u64,
    /// Whether its hellos say which of theirs it heard.
    pub(crate) echoes: bool,
    /// The frames it received, but for hellos.
    pub(crate) heard: Vec<(Header, Vec<u8>)>,
    outbound: VecDeque<Vec<u8>>,
}

impl Insider {
    pub(crate) fn dial(context: Context, us: NodeId, victim: (usize, NodeId), now: Instant) -> Self {
        let options = SessionOptions { admission: Admission::AnyTrusted, ..SessionOptions::default() };
        let config = AssociationConfig::new(context, options, Precedence::Ours);
        Self {
            victim: victim.0,
            us,
            them: victim.1,
            association: Association::dial(config, now).unwrap(),
            hellos_sent: 0,
            packets_sent: 0,
            echoes: true,
            heard: Vec::new(),
            outbound: VecDeque::new(),
        }
    }

    /// Seals any bytes as one record.
    pub(crate) fn send(&mut self, plaintext: &[u8]) {
        self.association.send(plaintext).unwrap();
        self.collect();
    }

    /// Sends a frame exactly as it stands.
    pub(crate) fn send_frame(&mut self, header: Header, payload: &[u8]) {
        let mut bytes = Vec::new();
        Frame { header, payload }.encode_into(&mut bytes);
        self.send(&bytes);
    }

    /// Returns a header of its own, with a packet id of its own.
    pub(crate) fn header(&mut self, kind: Kind, destination: NodeId) -> Header {
        self.packets_sent += 1;
        Header {
            boot_epoch: 1,
            packet: PacketId(self.packets_sent),
            ..Header::new(kind, self.us, destination)
        }
    }

    pub(crate) fn handle_datagram(&mut self, datagram: &[u8], now: Instant) {
        let mut plaintexts = Plaintexts::new();
        self.association.handle_datagram(datagram, &mut plaintexts, now);
        for plaintext in plaintexts.iter() {
            let Frame { header, payload } = Frame::decode(plaintext).unwrap();
            match RoutingMessage::decode(payload) {
                Ok(RoutingMessage::Hello(hello)) if header.kind == Kind::Routing => self.on_hello(hello),
                _ => self.heard.push((header, payload.to_vec())),
            }
        }
        self.collect();
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.association.handle_timeout(now);
        self.collect();
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.association.poll_timeout()
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.collect();
        self.outbound.pop_front()
    }

    fn on_hello(&mut self, hello: Hello) {
        self.hellos_sent += 1;
        let header = self.header(Kind::Routing, self.them);
        let mut payload = Vec::new();
        RoutingMessage::Hello(Hello {
            sequence: self.hellos_sent,
            heard: if self.echoes { hello.sequence } else { 0 },
        })
        .encode_into(&mut payload);
        self.send_frame(header, &payload);
    }

    fn collect(&mut self) {
        while let Some(datagram) = self.association.poll_transmit() {
            self.outbound.push_back(datagram.to_vec());
        }
    }
}
