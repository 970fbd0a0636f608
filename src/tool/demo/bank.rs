//! The demo's second half: the state at earlier instants, and a return to one of them.

use std::path::Path;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::journal::{Durability, Journal, Transaction};
use crate::position::Position;
use crate::tool::demo::writer::{ACCOUNTS, Deposit};
use crate::tool::outcome::Outcome;
use crate::tool::render::{Output, count};
use crate::tool::when::When;

/// The round that a rollback's events name: none of the writers'.
const ROLLBACK_ROUND: u16 = 0;

/// What folding the events gives.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bank {
    cents: [i64; ACCOUNTS as usize],
    events: u64,
}

impl Bank {
    fn empty() -> Bank {
        Bank { cents: [0; ACCOUNTS as usize], events: 0 }
    }

    fn apply(&mut self, deposit: &Deposit) {
        self.events += 1;
        self.cents[(deposit.account % ACCOUNTS) as usize] += deposit.cents;
    }

    fn total(&self) -> i64 {
        self.cents.iter().sum()
    }

    /// The state up to `position`.
    fn at(journal: &Journal, position: Position) -> Outcome<Bank> {
        let mut bank = Bank::empty();
        for record in journal.records()? {
            let record = record?;
            if record.position.lsn > position.lsn {
                break;
            }
            let deposit = serde_json::from_slice(&record.payload).map_err(|error| {
                Error::damaged("the history", 0, error.to_string()).at_lsn(record.position.lsn)
            })?;
            bank.apply(&deposit);
        }
        Ok(bank)
    }
}

/// Shows three earlier states, goes back to one of them by appending, and proves it.
pub(crate) fn show(dir: &Path, output: &mut Output) -> Outcome<()> {
    let journal = Journal::open(dir)?;
    let (first, last) = ends(&journal)?;
    let width = last.since(first);
    if !output.is_json() {
        output.line("\nEvery earlier state can be read:\n")?;
        output.line("as of                        position         events  money in the bank")?;
    }
    let mut middle = None;
    for quarter in 1..=3 {
        let time = first.plus(width * quarter / 4);
        let position = When::Time(time).position(&journal)?;
        let bank = Bank::at(&journal, position)?;
        row(output, &time.to_string(), position, &bank)?;
        if quarter == 2 {
            middle = Some((time, position, bank));
        }
    }
    let now = Bank::at(&journal, journal.position())?;
    row(output, "now", journal.position(), &now)?;
    if let Some((time, position, then)) = middle {
        roll_back(&journal, output, &now, (time, position, &then))?;
    }
    journal.close()?;
    Ok(())
}

fn ends(journal: &Journal) -> Outcome<(Timestamp, Timestamp)> {
    let first = journal.records()?.next().transpose()?.map(|record| record.time).unwrap_or_default();
    let last = journal.time_of(journal.position())?;
    Ok((first, last))
}

fn row(output: &mut Output, when: &str, position: Position, bank: &Bank) -> Outcome<()> {
    if output.is_json() {
        return output.json(&serde_json::json!({
            "as_of": when, "position": position.to_string(), "events": bank.events, "cents": bank.total(),
        }));
    }
    let position = position.to_string();
    output.line(format!("{when:<27}  {position:<13}  {:>8}  {:>17}", count(bank.events), money(bank.total())))
}

fn money(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", count(cents.unsigned_abs() / 100), cents.unsigned_abs() % 100)
}

/// Appends what leads back to an earlier state: nothing is erased, so the rollback can be rolled back.
fn roll_back(
    journal: &Journal,
    output: &mut Output,
    now: &Bank,
    (time, position, then): (Timestamp, Position, &Bank),
) -> Outcome<()> {
    let mut transaction = Transaction::new().meta(format!("rollback to {position}"));
    for (account, cents) in (0..ACCOUNTS).zip(then.cents.iter().zip(&now.cents).map(|(then, now)| then - now))
    {
        let deposit = Deposit { round: ROLLBACK_ROUND, thread: 0, number: account, account, cents };
        transaction = transaction.record(deposit.payload()?);
    }
    let receipt = journal.commit(&transaction, Durability::Synced)?;
    let after = Bank::at(journal, receipt.position)?;
    let before = Bank::at(journal, position)?;
    let proven = after.cents == then.cents && before == *then;
    if !proven {
        return Err(Error::damaged("the history", 0, "the rollback did not lead back")
            .at_lsn(receipt.position.lsn)
            .into());
    }
    if output.is_json() {
        let (at, to) = (receipt.position.to_string(), position.to_string());
        return output
            .json(&serde_json::json!({ "rollback_to": to, "position": at, "cents": after.total() }));
    }
    output.line(format!(
        "\nRolled back to {time} at position {}: {} in the bank, every account as it was then.",
        receipt.position,
        money(after.total())
    ))?;
    output.line(format!(
        "A rollback is one more transaction: all {} events before it are still there, and it can be undone.",
        count(now.events)
    ))
}
