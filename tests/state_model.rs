//! Whatever is done in whatever order, with crashes between, the state is what a plain model says (J10).

#![cfg(feature = "sim")]
#![allow(clippy::expect_used, clippy::panic, reason = "this is a test")]

mod state_parts;

use everlog::journal::Retention;
use everlog::medium::Sim;
use everlog::medium::sim::Crash;
use everlog::{Durability, Journaled, Position, When};
use proptest::prelude::*;
use state_parts::*;

#[derive(Clone, Debug)]
enum Step {
    Deposit(u32, u64),
    Transaction(Vec<u64>),
    /// Panics in the fold unless the account has that much.
    Move(u32, u32, u64),
    Buffered(u64),
    /// Buffered, and nobody waits for the disk.
    Loose(u64),
    Snapshot,
    Compact(u64),
    /// Back to one of the states that were noted, counted from the last.
    Rollback(usize),
    Past(usize),
    Pin,
    Reopen,
    Crash(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..4_u32, 1..50_u64).prop_map(|(account, cents)| Step::Deposit(account, cents)),
        2 => prop::collection::vec(1..9_u64, 0..250).prop_map(Step::Transaction),
        2 => (0..4_u32, 0..4_u32, 1..60_u64).prop_map(|(from, to, cents)| Step::Move(from, to, cents)),
        1 => (1..50_u64).prop_map(Step::Buffered),
        3 => (1..50_u64).prop_map(Step::Loose),
        1 => Just(Step::Snapshot),
        1 => (0..60_000_u64).prop_map(Step::Compact),
        1 => (0..8_usize).prop_map(Step::Rollback),
        2 => (0..20_usize).prop_map(Step::Past),
        1 => Just(Step::Pin),
        1 => Just(Step::Reopen),
        1 => any::<u64>().prop_map(Step::Crash),
    ];
    prop::collection::vec(step, 1..60)
}

/// The journal, and every state that it was in after an acknowledged commit.
struct Run {
    sim: Sim,
    bank: Journaled<Bank>,
    noted: Vec<(Position, Bank)>,
    /// How many of them are durable for sure.
    sure: usize,
}

impl Run {
    fn new() -> Run {
        let sim = Sim::new(1);
        Run { bank: open_on(&sim), sim, noted: vec![(Position::START, Bank::default())], sure: 1 }
    }

    fn present(&self) -> &Bank {
        &self.noted.last().expect("one at least").1
    }

    /// What the balances must be, told by a plain map and not by the fold.
    fn note(&mut self, change: impl FnOnce(&mut Bank)) {
        let mut model = self.present().clone();
        change(&mut model);
        let live = state(&self.bank);
        assert_eq!((&live.balances, live.events), (&model.balances, model.events));
        self.noted.push((self.bank.position(), live));
        self.sure = self.noted.len();
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Deposit(account, cents) => {
                self.bank.commit(deposit(*account, *cents)).expect("commits");
                self.note(|model| model.add(*account, *cents));
            }
            Step::Transaction(amounts) => {
                self.bank
                    .transaction(|_| Ok(amounts.iter().map(|cents| deposit(1, *cents))))
                    .expect("commits");
                self.note(|model| amounts.iter().for_each(|cents| model.add(1, *cents)));
            }
            Step::Move(from, to, cents) => {
                let (enough, from, to, cents) = (self.enough(*from, *to, *cents), *from, *to, *cents);
                let outcome = self.bank.commit(Event::Moved { from, to, cents });
                assert_eq!(outcome.is_ok(), enough, "{outcome:?}");
                // The refusal, too, waited for the state that it was decided on.
                self.sure = self.noted.len();
                if enough {
                    self.note(|model| {
                        model.add(to, cents);
                        *model.balances.get_mut(&from).expect("has it") -= cents;
                    });
                }
            }
            Step::Buffered(cents) => {
                let buffered = self.bank.with_durability(Durability::Buffered);
                let receipt = buffered.commit(deposit(2, *cents)).expect("is written");
                self.bank.wait(receipt.position).expect("is durable");
                self.note(|model| model.add(2, *cents));
            }
            Step::Loose(cents) => {
                let buffered = self.bank.with_durability(Durability::Buffered);
                let receipt = buffered.commit(deposit(3, *cents)).expect("is written");
                let mut model = self.present().clone();
                model.add(3, *cents);
                let latest = self.bank.latest(Bank::clone).expect("reads");
                assert_eq!((&latest.balances, latest.events), (&model.balances, model.events));
                self.noted.push((receipt.position, latest));
            }
            Step::Snapshot => {
                self.bank.snapshot().expect("makes a snapshot");
            }
            Step::Compact(bytes) => self.compact(*bytes),
            Step::Rollback(back) => self.rollback(*back),
            Step::Past(back) => self.past(*back),
            Step::Pin => {
                self.bank.pin("one", When::now(), "").expect("pins");
                self.sure = self.noted.len();
            }
            Step::Reopen => {
                self.bank.close().expect("closes");
                self.sure = self.noted.len();
                self.reopen(self.sim.clone());
            }
            Step::Crash(seed) => self.reopen(self.sim.crash(Crash::Random(*seed))),
        }
    }

    fn enough(&self, from: u32, to: u32, cents: u64) -> bool {
        self.present().of(from) + if from == to { cents } else { 0 } >= cents
    }

    fn compact(&mut self, bytes: u64) {
        self.bank.tick().expect("works");
        let compacted = self.bank.compact(&Retention::forever().bytes(bytes)).expect("compacts");
        // The round of work synced everything.
        self.noted.retain(|(position, _)| position.lsn >= compacted.horizon.lsn);
        if self.noted.is_empty() {
            self.noted.push((self.bank.position(), state(&self.bank)));
        }
        self.sure = self.noted.len();
    }

    fn noted(&self, back: usize) -> (Position, Bank) {
        self.noted[self.sure - 1 - back % self.sure].clone()
    }

    fn past(&self, back: usize) {
        let (position, was) = self.noted(back);
        assert_eq!(self.bank.at(position).expect("is there").into_state(), was);
    }

    fn rollback(&mut self, back: usize) {
        let (position, was) = self.noted(back);
        let preview = self.bank.rollback_to(position).expect("previews");
        assert_eq!(preview.state_after(), &was);
        let receipt = preview.commit().expect("commits");
        assert_eq!(state(&self.bank), was);
        self.noted.push((receipt.position, was));
        self.sure = self.noted.len();
    }

    fn reopen(&mut self, sim: Sim) {
        self.sim = sim;
        self.bank = open_on(&self.sim);
        let found = state(&self.bank);
        // From what is durable for sure up to everything, and nothing in between two commits.
        let at = (self.sure - 1..self.noted.len()).find(|index| self.noted[*index].1 == found);
        self.noted.truncate(at.expect("one of the states that may be left") + 1);
        self.sure = self.noted.len();
        assert_eq!(&self.bank.latest(Bank::clone).expect("reads"), self.present());
    }
}

impl Bank {
    fn add(&mut self, account: u32, cents: u64) {
        *self.balances.entry(account).or_default() += cents;
        self.events += 1;
    }
}

fn run(steps: &[Step]) {
    let mut run = Run::new();
    steps.iter().for_each(|step| run.step(step));
    run.bank.tick().expect("syncs what is loose");
    run.sure = run.noted.len();
    assert_eq!(&state(&run.bank), run.present());
    let folded = run.bank.at(When::now()).expect("folds").into_state();
    assert_eq!(&folded, run.present(), "the log says the same");
    run.reopen(run.sim.crash(Crash::LoseAll));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_state_is_what_the_model_says(steps in steps()) {
        run(&steps);
    }
}

#[test]
fn a_snapshot_and_the_rest_of_the_log_give_the_same_as_the_log_alone() {
    let sim = Sim::new(2);
    let bank = open_on(&sim);
    for index in 0..500 {
        bank.commit(deposit(index % 7, 1 + u64::from(index))).expect("commits");
        if index % 100 == 99 {
            bank.snapshot().expect("makes a snapshot");
        }
    }
    bank.commit(deposit(1, 1)).expect("commits");
    let live = state(&bank);
    drop(bank);
    let with = open_on(&sim);
    assert_eq!(with.report().replayed, 1, "only what follows the newest snapshot is replayed");
    assert_eq!(state(&with), live);
    drop(with);
    let names = everlog::medium::Medium::names(&sim).expect("lists");
    for name in names.iter().filter(|name| name.ends_with(".snap") || name.ends_with(".run")) {
        everlog::medium::Medium::remove(&sim, name).expect("removes");
    }
    assert_eq!(state(&open_on(&sim)), live, "with the log whole, snapshots are disposable (J9)");
}

#[test]
fn a_snapshot_whose_state_does_not_read_back_is_passed_over_while_the_log_is_whole() {
    let sim = Sim::new(3);
    let bank = open_on(&sim);
    for round in 0..2 {
        for _ in 0..20 {
            bank.commit(deposit(round, 1)).expect("commits");
        }
        bank.snapshot().expect("makes a snapshot");
    }
    let live = state(&bank);
    bank.close().expect("closes");
    for name in
        everlog::medium::Medium::names(&sim).expect("lists").iter().filter(|name| name.ends_with(".run"))
    {
        sim.flip(name, 150, 0x10).expect("there is that byte");
    }
    let bank = open_on(&sim);
    assert_eq!(state(&bank), live);
    assert_eq!(bank.at(When::now()).expect("folds").into_state(), live);
    bank.commit(deposit(1, 1)).expect("commits");
    bank.snapshot().expect("a new one can be made from the log");
}
