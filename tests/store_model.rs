//! Whatever is done to a store in whatever order, with crashes between, it is what a plain map says, now and at every
//! earlier position, and so is each fork of it (J2, J3, J8, J10; E08, E12, E17, E33, E38, T25, T30).

#![cfg(all(feature = "sim", feature = "store"))]
#![allow(clippy::panic, clippy::print_stdout, reason = "this is a test")]

mod store_model_kit;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use store_model_kit::program::programs;
use store_model_kit::world::{World, met};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// `EVERLOG_CASES` asks for more programs, `EVERLOG_SEED` for those of an earlier run.
#[test]
fn a_store_is_what_a_plain_map_says_now_and_at_every_earlier_position() {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let seed = number("EVERLOG_SEED").unwrap_or(now.as_micros() as u64);
    let cases = number("EVERLOG_CASES").unwrap_or(150) as u32;
    println!("{cases} programs of seed {seed}");
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed.to_le_bytes(); 4].concat());
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new_with_rng(config, rng).run(&programs(), |program| {
        World::carry_out(&program);
        Ok(())
    });
    println!("what was met: {:?}", met());
    if let Err(error) = outcome {
        panic!("EVERLOG_SEED={seed}: {error}");
    }
}
