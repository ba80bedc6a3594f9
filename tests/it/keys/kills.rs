//! A rotation that is killed again and again while commands go on.

use std::time::Instant;

use tokio::sync::mpsc::unbounded_channel;
use uuid::Uuid;

use super::{
    rotate,
    seeded::{Keys, check_open, seed},
    verb::{active, drop_old, key_ids, wraps},
};
use crate::{harness::Server, log, process::eventually, writers::Writers};

const WRITERS: usize = 8;
const KILLS: usize = 20;

/// Numbers that nobody can foresee, and that can be had again: `KEYS_SEED` is printed by a run that fails.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let given = std::env::var("KEYS_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0 | 1);
        eprintln!("KEYS_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// How many of the seeded data keys are under a master key.
fn under(rows: &[log::Row], master_key: &str, seeded: &Keys) -> usize {
    let seeded = rows.iter().filter(|row| seeded.contains_key(&row.stream));
    seeded.filter(|row| row.json()["wrapped"]["masterKey"] == master_key).count()
}

/// How many data keys are rotated: `KEYS`, for the long form in release, or few.
fn keys() -> usize {
    std::env::var("KEYS").map_or(3_000, |keys| keys.parse().unwrap())
}

#[tokio::test]
async fn a_rotation_that_is_killed_at_random_places_under_writers_goes_on_and_loses_no_data_key() {
    let keys = keys();
    // The latest moment is before a rotation ends.
    let acknowledged_max = keys as u64 / 30;
    let (mut dice, mut server) = (Dice::new(), Server::start_alone().await);
    server.terminate();
    let data_dir = server.data_dir();
    let seeded = seed(&data_dir, keys).await;
    let (mut all, mut interrupted) = (Vec::new(), 0);
    for round in 0..KILLS {
        assert!(rotate(&data_dir, &[]).status.success());
        server.restart().await;
        let (acknowledged, mut answers) = unbounded_channel();
        let writers = Writers::start(&server.alice(), round, WRITERS, &acknowledged);
        for _ in 0..dice.below(acknowledged_max) {
            answers.recv().await.unwrap();
        }
        server.kill();
        let told = writers.ended().await;
        let mut rows = log::rows(&data_dir);
        log::check_form(&rows);
        let done = under(&rows, &active(&data_dir), &seeded);
        // Those that were seeded have no integrations.
        rows.retain(|row| !seeded.contains_key(&row.stream));
        log::check_creates_are_whole(&rows);
        told.iter().for_each(|told| told.check_commands(&rows));
        all.extend(told);
        check_open(&data_dir, &seeded);
        interrupted += usize::from((1..keys).contains(&done));
    }
    assert!(interrupted > 0, "no rotation was interrupted half-way");
    server.restart().await;
    let started = Instant::now();
    let last = active(&data_dir);
    eventually("every data key is under the last key", async || wraps(&data_dir).into_keys().eq([last.clone()])).await;
    eprintln!("{interrupted} of {KILLS} were interrupted half-way; the rest took {:?}", started.elapsed());
    drop_old(&data_dir).await;
    assert_eq!(key_ids(&data_dir), [last]);
    server.kill();
    server.restart().await;
    check_open(&data_dir, &seeded);
    for told in &all {
        told.repeat_creates(&server.alice()).await;
    }
}
