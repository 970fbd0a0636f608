//! The demo's bank, and its second half: the state at earlier instants, and a return to one of them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::Error;
use crate::position::Position;
use crate::state::{Fold, Journaled, Past, Stamp, When};
use crate::tool::outcome::Outcome;
use crate::tool::render::{Output, count};

/// How many accounts there are.
const ACCOUNTS: u64 = 8;

/// The event: money comes in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deposit {
    pub(crate) round: u16,
    pub(crate) thread: u16,
    pub(crate) number: u64,
    pub(crate) account: u64,
    pub(crate) cents: u64,
}

impl Deposit {
    /// What thread `thread` deposits as its `number`-th.
    pub(crate) fn next(round: u16, thread: u16, number: u64) -> Deposit {
        let unique = (number << 16) + u64::from(thread) + 1;
        let mixed = unique.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        Deposit { round, thread, number, account: mixed % ACCOUNTS, cents: 1 + mixed / ACCOUNTS % 1000 }
    }
}

/// The state: what folding the events gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bank {
    cents: BTreeMap<u64, u64>,
    deposits: u64,
}

impl Fold for Bank {
    type Event = Deposit;
    const NAME: &'static str = "demo bank";
    const VERSION: u16 = 1;

    fn apply(&mut self, deposit: &Deposit, _at: &Stamp) {
        *self.cents.entry(deposit.account).or_default() += deposit.cents;
        self.deposits += 1;
    }
}

impl Bank {
    fn total(&self) -> u64 {
        self.cents.values().sum()
    }
}

/// Shows three earlier states, goes back to one of them, and proves it.
pub(crate) fn show(dir: &Path, output: &mut Output) -> Outcome<()> {
    let bank = Journaled::<Bank>::open(dir)?;
    let first = bank.events(..)?.next().transpose()?.map(|event| event.time).unwrap_or_default();
    let now = bank.at(When::now())?;
    let width = now.time().since(first);
    if !output.is_json() {
        output.line("\nEvery earlier state can be read:\n")?;
        output.line("as of                        position       deposits  money in the bank")?;
    }
    let mut middle = None;
    for quarter in 1..=3 {
        let time = first.plus(width * quarter / 4);
        let past = bank.at(When::timestamp(time))?;
        row(output, &time.to_string(), past.position(), past.state())?;
        if quarter == 2 {
            middle = Some((time, past));
        }
    }
    row(output, "now", now.position(), now.state())?;
    if let Some((time, past)) = middle {
        roll_back(&bank, output, (time, &past), &now)?;
    }
    bank.close()?;
    Ok(())
}

fn row(output: &mut Output, when: &str, position: Position, bank: &Bank) -> Outcome<()> {
    if output.is_json() {
        return output.json(&serde_json::json!({
            "as_of": when,
            "position": position.to_string(),
            "deposits": bank.deposits,
            "cents": bank.total(),
        }));
    }
    let (position, deposits) = (position.to_string(), count(bank.deposits));
    output.line(format!("{when:<27}  {position:<13}  {deposits:>8}  {:>17}", money(bank.total())))
}

fn money(cents: u64) -> String {
    format!("{}.{:02}", count(cents / 100), cents % 100)
}

/// Returns to an earlier state: nothing is erased, so the rollback can be rolled back.
fn roll_back(
    bank: &Journaled<Bank>,
    output: &mut Output,
    (time, past): (Timestamp, &Past<Bank>),
    now: &Past<Bank>,
) -> Outcome<()> {
    let receipt = bank.rollback_to(When::position(past.position()))?.commit()?;
    let after = bank.read(Bank::clone)?;
    let still = bank.at(When::position(now.position()))?;
    if after != *past.state() || still.state() != now.state() {
        let what = "the rollback did not lead back";
        return Err(Error::damaged("the history", 0, what).at_lsn(receipt.position.lsn).into());
    }
    if output.is_json() {
        let (to, at) = (past.position().to_string(), receipt.position.to_string());
        let line = serde_json::json!({ "rollback_to": to, "position": at, "cents": after.total() });
        return output.json(&line);
    }
    output.line(format!("\nRolled back to {time}: one more record, at position {}.", receipt.position))?;
    output.line(format!(
        "{} in the bank again, every account as it was then; the {} deposits after it are still in the history.",
        money(after.total()),
        count(now.state().deposits - after.deposits)
    ))
}
