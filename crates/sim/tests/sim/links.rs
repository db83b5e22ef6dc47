//! What a path does to datagrams: takes time, loses, doubles, swaps, queues, refuses, breaks off.

use std::net::SocketAddr;
use std::time::Duration;

use peerbound_sim::{
    Bursts, Conditions, DatagramMatch, Directions, Fault, FaultAction, HostId, Loss, Observe, Observed,
    Outage, PathMatch, SocketError, SocketId, TooBig, VirtualTime, Way, World, WorldConfig,
};

use crate::support::ip;

const MS: Duration = Duration::from_millis(1);

/// Three hosts with a socket each that an application reads.
struct Wire {
    world: World,
    hosts: [HostId; 3],
    sockets: [SocketId; 3],
}

/// What became of the datagrams that were sent, by the numbers in them.
#[derive(Debug, Default)]
struct Fates {
    read: Vec<(u16, VirtualTime)>,
    lost: Vec<(u16, Loss)>,
    told: Vec<SocketError>,
}

impl Wire {
    fn new(conditions: Conditions) -> Self {
        Self::seeded(1, conditions)
    }

    /// Sets the conditions from the first host to the second.
    fn seeded(seed: u64, conditions: Conditions) -> Self {
        let mut world =
            World::new(WorldConfig { observe: Observe::Everything, ..WorldConfig::new(seed) }).unwrap();
        let hosts = [0, 1, 2].map(|who| world.add_host("host", ip(who)));
        let sockets = hosts.map(|host| world.bind(host, 9).unwrap());
        sockets.iter().for_each(|socket| world.listen(*socket));
        world.set_link(hosts[0], hosts[1], Directions::Forth, conditions);
        Self { world, hosts, sockets }
    }

    fn send(&mut self, from: usize, to: usize, number: u16, bytes: usize) {
        let mut payload = vec![0; bytes];
        payload[..2].copy_from_slice(&number.to_be_bytes());
        let destination = SocketAddr::new(ip(to), 9);
        self.world.send_raw(self.sockets[from], destination, &payload, None);
    }

    /// Sends so many small datagrams over the path, one every so often.
    fn send_many(&mut self, count: u16, every: Duration) {
        for number in 0..count {
            self.send(0, 1, number, 100);
            self.world.run_until(self.world.now() + every);
        }
    }

    fn fates(&mut self) -> Fates {
        self.world.run_until(self.world.now() + Duration::from_secs(5));
        let mut fates = Fates::default();
        let mut numbers = std::collections::BTreeMap::new();
        for observation in self.world.take_observations() {
            match observation.what {
                Observed::Sent { datagram, bytes, .. } => {
                    numbers.insert(datagram, u16::from_be_bytes([bytes[0], bytes[1]]));
                }
                Observed::Read { datagram, .. } => fates.read.push((numbers[&datagram], observation.at)),
                Observed::Lost { datagram, why } => fates.lost.push((numbers[&datagram], why)),
                Observed::Told { error, .. } => fates.told.push(error),
                _ => {}
            }
        }
        fates
    }
}

fn numbers<T>(of: &[(u16, T)]) -> Vec<u16> {
    of.iter().map(|(number, _)| *number).collect()
}

#[test]
fn latency_is_exact_to_the_nanosecond_and_each_direction_has_its_own() {
    let mut wire =
        Wire::new(Conditions { latency: Duration::from_nanos(12_345_678), ..Conditions::default() });

    wire.send(0, 1, 1, 10);
    wire.send(1, 0, 2, 10);

    assert_eq!(wire.fates().read, [(2, VirtualTime(1_000_000)), (1, VirtualTime(12_345_678))]);
}

#[test]
fn jitter_adds_up_to_its_bound_and_keeps_the_order() {
    let mut wire = Wire::new(Conditions { latency: 10 * MS, jitter: 20 * MS, ..Conditions::default() });

    wire.send_many(300, 25 * MS);
    let sent_at = |number: u16| VirtualTime::after(25 * MS * u32::from(number));
    let late: Vec<_> = wire.fates().read.iter().map(|(number, at)| *at - sent_at(*number)).collect();
    wire.send_many(300, MS);
    let close_together = wire.fates().read;

    assert_eq!(numbers(&close_together), (0..300).collect::<Vec<_>>());
    assert!(late.iter().all(|late| (10 * MS..=30 * MS).contains(late)));
    assert!(late.iter().any(|late| *late < 15 * MS) && late.iter().any(|late| *late > 28 * MS));
}

#[test]
fn as_many_are_lost_as_the_loss_says() {
    let mut wire = Wire::new(Conditions { loss: 0.2, ..Conditions::default() });

    wire.send_many(5000, MS);

    let lost = wire.fates().lost;
    assert!((900..1100).contains(&lost.len()), "{}", lost.len());
    assert!(lost.iter().all(|(_, why)| *why == Loss::Chance));
}

#[test]
fn bursts_lose_several_in_a_row_where_chance_of_the_same_rate_does_not() {
    let bursts = Bursts { enter: 0.02, leave: 0.18, loss_good: 0.0, loss_bad: 1.0 };
    let mut bursty = Wire::new(Conditions { bursts: Some(bursts), ..Conditions::default() });
    let mut even = Wire::new(Conditions { loss: 0.1, ..Conditions::default() });
    bursty.send_many(5000, MS);
    even.send_many(5000, MS);

    let (bursty, even) = (bursty.fates().lost, even.fates().lost);

    // In the long run it is bad for 0.02 / (0.02 + 0.18) of the time, 1 / 0.18 datagrams at a stretch.
    assert!((350..650).contains(&bursty.len()), "{}", bursty.len());
    let (long, short) = (mean_run(&numbers(&bursty)), mean_run(&numbers(&even)));
    assert!(long > 3.5 && short < 1.5, "{long} {short}");
    assert!(bursty.iter().all(|(_, why)| *why == Loss::BurstLoss));
}

fn mean_run(lost: &[u16]) -> f64 {
    let runs = 1 + lost.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    f64::from(u32::try_from(lost.len()).unwrap()) / f64::from(u32::try_from(runs).unwrap())
}

#[test]
fn as_many_come_twice_as_is_said_and_the_second_is_a_datagram_of_its_own() {
    let mut wire = Wire::new(Conditions { duplicate: 0.5, ..Conditions::default() });
    wire.send_many(400, MS);
    wire.world.run_until(wire.world.now() + MS);

    let observations = wire.world.take_observations();

    let doubled: Vec<_> = observations
        .iter()
        .filter_map(|observation| match &observation.what {
            Observed::Sent { way: Way::Duplicated, copy_of, .. } => Some(copy_of.unwrap()),
            _ => None,
        })
        .collect();
    let read = observations.iter().filter(|seen| matches!(seen.what, Observed::Read { .. })).count();
    assert!((150..250).contains(&doubled.len()), "{}", doubled.len());
    assert_eq!(read, 400 + doubled.len());
}

#[test]
fn what_is_reordered_is_overtaken_by_the_next_one_and_nothing_is_lost() {
    let mut wire = Wire::new(Conditions { reorder: 0.3, ..Conditions::default() });

    wire.send_many(300, MS);

    let mut read = numbers(&wire.fates().read);
    let overtaken = read.windows(2).filter(|pair| pair[1] < pair[0]).count();
    read.sort_unstable();
    assert!(overtaken > 30, "{overtaken}");
    assert_eq!(read, (0..300).collect::<Vec<_>>());
}

#[test]
fn a_path_with_a_rate_spaces_datagrams_and_what_its_queue_cannot_hold_is_lost() {
    // 128 bytes with headers at 1.024 Mbit/s: one every millisecond, and ten of them may wait.
    let slow = Conditions { rate: Some(1_024_000), queue_bytes: 1280, ..Conditions::default() };
    let mut wire = Wire::new(slow);

    wire.send_many(15, Duration::ZERO);

    let fates = wire.fates();
    let arrivals: Vec<_> = (1..=10).map(|number: u32| VirtualTime::after(MS * (number + 1))).collect();
    assert_eq!(fates.read.iter().map(|(_, at)| *at).collect::<Vec<_>>(), arrivals);
    assert_eq!(fates.lost, (10..15).map(|number| (number, Loss::QueueFull)).collect::<Vec<_>>());
}

#[test]
fn what_does_not_fit_the_path_is_lost_and_a_connected_sender_is_told_where_routers_tell() {
    for (too_big, told) in [(TooBig::Told, vec![SocketError::MessageTooLong]), (TooBig::Silent, vec![])] {
        let mut wire = Wire::new(Conditions { mtu: 1300, too_big, ..Conditions::default() });
        wire.world.connect(wire.sockets[0], SocketAddr::new(ip(1), 9));

        wire.send(0, 1, 1, 1272);
        wire.send(0, 1, 2, 1273);

        let fates = wire.fates();
        let icmp = too_big == TooBig::Told;
        assert_eq!((numbers(&fates.read), fates.told), (vec![1], told));
        assert_eq!(fates.lost, [(2, Loss::TooBig { icmp })]);
    }
}

#[test]
fn a_partition_may_be_one_way_and_ends_when_the_link_is_set_again() {
    let mut wire = Wire::new(Conditions { outage: Outage::Always, ..Conditions::default() });
    wire.send(0, 1, 1, 10);
    wire.send(1, 0, 2, 10);

    wire.world.set_link(wire.hosts[1], wire.hosts[0], Directions::Back, Conditions::default());
    wire.send(0, 1, 3, 10);

    let fates = wire.fates();
    assert_eq!((numbers(&fates.read), fates.lost), (vec![2, 3], vec![(1, Loss::Partition)]));
}

#[test]
fn a_flapping_link_carries_only_while_it_is_up() {
    let outage = Outage::Flapping { up: 30 * MS, down: 20 * MS };
    let mut wire = Wire::new(Conditions { outage, ..Conditions::default() });

    wire.send_many(10, 10 * MS);

    assert_eq!(numbers(&wire.fates().read), [0, 1, 2, 5, 6, 7]);
}

#[test]
fn a_fault_on_one_link_does_not_reshuffle_the_losses_of_it_or_another() {
    let lossy = || Conditions { loss: 0.3, duplicate: 0.1, jitter: MS, ..Conditions::default() };
    let run = |with_more: bool| {
        let mut wire = Wire::seeded(5, lossy());
        wire.world.set_link(wire.hosts[0], wire.hosts[2], Directions::Forth, lossy());
        if with_more {
            let other = PathMatch::OneWay { from: wire.hosts[0], to: wire.hosts[2] };
            let matching = DatagramMatch { nth: Some(3), ..DatagramMatch::default() };
            wire.world.add_fault(Fault { on: other, matching, action: FaultAction::Drop });
            let reordered = Conditions { reorder: 0.5, ..lossy() };
            wire.world.set_link(wire.hosts[2], wire.hosts[0], Directions::Forth, reordered);
        }
        for number in 0..200 {
            wire.send(0, 1, number, 50);
            wire.send(0, 2, 1000 + number, 50);
            wire.send(2, 0, 2000 + number, 50);
        }
        let mut lost = numbers(&wire.fates().lost);
        lost.retain(|number| *number < 1000);
        lost
    };

    assert_eq!(run(true), run(false));
}

#[test]
fn hosts_without_a_link_of_their_own_meet_the_conditions_of_the_network() {
    let network = Conditions { latency: 40 * MS, ..Conditions::default() };
    let mut world = World::new(WorldConfig { network, ..WorldConfig::new(1) }).unwrap();
    let hosts = [0, 1].map(|who| world.add_host("host", ip(who)));
    let sockets = hosts.map(|host| world.bind(host, 9).unwrap());
    world.listen(sockets[1]);

    world.send_raw(sockets[0], SocketAddr::new(ip(1), 9), b"far", None);
    world.run_until(VirtualTime::after(39 * MS));
    assert_eq!(world.datagrams_in_flight(), 1);
    world.run_until(VirtualTime::after(40 * MS));

    assert_eq!(world.datagrams_in_flight(), 0);
    assert_eq!(world.now(), VirtualTime::after(40 * MS));
}

#[test]
fn with_ipv6_the_header_is_twenty_bytes_longer() {
    let mut world = World::new(WorldConfig::new(1)).unwrap();
    let hosts = ["fd00::1", "fd00::2"].map(|ip| world.add_host("host", ip.parse().unwrap()));
    let sockets = hosts.map(|host| world.bind(host, 9).unwrap());
    world.listen(sockets[1]);
    let narrow = Conditions { mtu: 1280, ..Conditions::default() };
    world.set_link(hosts[0], hosts[1], Directions::Both, narrow);

    let to = world.address_of(sockets[1]);
    world.send_raw(sockets[0], to, &[0; 1232], None);
    world.send_raw(sockets[0], to, &[0; 1233], None);
    world.run_until(VirtualTime::after(MS));

    let observations = world.take_observations();
    assert_eq!(observations.iter().filter(|seen| matches!(seen.what, Observed::Read { .. })).count(), 1);
    assert_eq!(observations.iter().filter(|seen| matches!(seen.what, Observed::Lost { .. })).count(), 1);
}
