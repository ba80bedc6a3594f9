//! The load: keep-alive connections that always have a request under way, and what the server spends on it.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::{
    process::{Cpu, settle},
    wire::{Connection, find, request},
};

/// Threads that send: few, because they share the machine with the server.
const THREADS_MAX: usize = 2;
/// What is replaced in a request by a number that was never sent before.
pub(crate) const NUMBER: &str = "########";

/// What one connection sends, over and over.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    requests: Vec<Vec<u8>>,
    number_at: Option<usize>,
    status: u16,
}

impl Plan {
    /// One request after the other, each to be answered with this status.
    pub(crate) fn cycle(requests: Vec<Vec<u8>>, status: u16) -> Self {
        let number_at = find(&requests[0], NUMBER.as_bytes());
        Self { requests, number_at, status }
    }

    /// The same request; where [`NUMBER`] stands in it, each has a number of its own.
    pub(crate) fn repeat(request: Vec<u8>, status: u16) -> Self {
        Self::cycle(vec![request], status)
    }

    fn next(&mut self, turn: usize) -> &[u8] {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let turn = turn % self.requests.len();
        if let Some(at) = self.number_at {
            let number = format!("{:08}", NEXT.fetch_add(1, Ordering::Relaxed));
            self.requests[turn][at..at + number.len()].copy_from_slice(number.as_bytes());
        }
        &self.requests[turn]
    }
}

/// When enough was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    Elapsed(Duration),
    /// So many requests on each connection; what the server does after its answers is counted too.
    Each(usize),
}

/// A server: which process, and where it listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) pid: u32,
    pub(crate) address: SocketAddr,
}

/// What requests cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// The server's CPU in microseconds a request.
    pub(crate) cpu_us: f64,
    pub(crate) per_second: f64,
}

/// Sends each plan on a connection of its own, and reads what the server spent.
pub(crate) fn measure(target: Target, plans: &[Plan], until: Until) -> Cost {
    let mut lanes: Vec<Lane> = plans.iter().map(|plan| Lane::open(target.address, plan)).collect();
    let share = lanes.len().div_ceil(THREADS_MAX);
    settle(target.pid);
    let (before, started) = (Cpu::of(target.pid), Instant::now());
    let answers: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = lanes.chunks_mut(share).map(|lanes| scope.spawn(|| run(lanes, until, started))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let seconds = started.elapsed().as_secs_f64();
    if matches!(until, Until::Each(_)) {
        settle(target.pid);
    }
    let cpu = Cpu::of(target.pid).seconds_since(&before);
    Cost { cpu_us: cpu * 1e6 / answers as f64, per_second: answers as f64 / seconds }
}

/// A connection with its plan.
struct Lane {
    connection: Connection,
    plan: Plan,
    sent: usize,
    is_waiting: bool,
}

impl Lane {
    fn open(address: SocketAddr, plan: &Plan) -> Self {
        let mut connection = Connection::open(address).unwrap();
        // What a new connection costs is paid before anything is counted.
        connection.exchange(&request("GET", "/livez", &[], ""), 200);
        Self { connection, plan: plan.clone(), sent: 0, is_waiting: false }
    }

    fn send(&mut self) {
        self.connection.send(self.plan.next(self.sent)).unwrap();
        self.sent += 1;
        self.is_waiting = true;
    }

    fn receive(&mut self) {
        let answer = self.connection.receive().unwrap();
        assert_eq!(answer.status, self.plan.status, "{}", String::from_utf8_lossy(answer.body));
        self.is_waiting = false;
    }
}

/// Keeps every connection busy until it is enough; answers how many answers came.
fn run(lanes: &mut [Lane], until: Until, started: Instant) -> usize {
    let goes_on = |lane: &Lane| match until {
        Until::Elapsed(window) => started.elapsed() < window,
        Until::Each(requests) => lane.sent < requests,
    };
    lanes.iter_mut().for_each(Lane::send);
    while lanes.iter().any(|lane| lane.is_waiting) {
        for lane in lanes.iter_mut().filter(|lane| lane.is_waiting) {
            lane.receive();
            if goes_on(lane) {
                lane.send();
            }
        }
    }
    lanes.iter().map(|lane| lane.sent).sum()
}
