//! What a workload was promised, to be held against what is found after a crash.

use crate::testing::Outcome;

/// The records a workload handed in and what it was promised about them.
///
/// Note a transaction with [`Acked::submit`] *before* handing it in: a crash may keep it though nobody was told.
#[derive(Clone, Debug, Default)]
pub struct Acked {
    submitted: Vec<Vec<u8>>,
    /// How many records there are after each transaction.
    ends: Vec<usize>,
    /// How many of them must be there.
    synced: usize,
}

impl Acked {
    /// Notes a transaction that is about to be handed in.
    pub fn submit<P: Into<Vec<u8>>>(&mut self, payloads: impl IntoIterator<Item = P>) {
        self.submitted.extend(payloads.into_iter().map(Into::into));
        self.ends.push(self.submitted.len());
    }

    /// Everything noted so far was acknowledged as synced.
    pub fn all_synced(&mut self) {
        self.synced = self.submitted.len();
    }

    /// The last transaction was refused before anything was written: it must not be there.
    pub fn refused(&mut self) {
        self.ends.pop();
        self.submitted.truncate(self.ends.last().copied().unwrap_or_default());
        self.synced = self.synced.min(self.submitted.len());
    }

    /// How many records were acknowledged as synced.
    pub fn synced(&self) -> usize {
        self.synced
    }

    /// The records that were handed in, as far as they can still be there.
    pub fn submitted(&self) -> &[Vec<u8>] {
        &self.submitted
    }

    /// Whether `found` is a prefix of what was handed in (J3), holds all that was acknowledged as synced (J1), and ends
    /// with a whole transaction (J2).
    ///
    /// # Errors
    ///
    /// A sentence that says which of these does not hold.
    pub fn check(&self, found: &[Vec<u8>]) -> Outcome {
        if let Some(index) = found.iter().zip(&self.submitted).position(|(found, sent)| found != sent) {
            return Err(format!("J3: record {} is not the one that was handed in", index + 1).into());
        }
        if found.len() > self.submitted.len() {
            return Err(
                format!("J3: {} records found, {} handed in", found.len(), self.submitted.len()).into()
            );
        }
        if found.len() < self.synced {
            return Err(
                format!("J1: {} records found, {} acknowledged as synced", found.len(), self.synced).into()
            );
        }
        if !found.is_empty() && !self.ends.contains(&found.len()) {
            return Err(format!("J2: {} records found, which is inside a transaction", found.len()).into());
        }
        Ok(())
    }

    /// Checks what an opening of the journal found, inside a workload, and goes on from there: what opening shows is
    /// durable, and what it does not show will never be there.
    ///
    /// # Errors
    ///
    /// As [`Acked::check`].
    pub fn reopened(&mut self, found: &[Vec<u8>]) -> Outcome {
        self.check(found)?;
        self.submitted.truncate(found.len());
        self.ends.retain(|end| *end <= found.len());
        self.synced = found.len();
        Ok(())
    }
}
