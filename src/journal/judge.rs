//! Recovery's judgement over the end of the history, as a table without I/O: continue, mend, or refuse (J6).

use crate::position::Lsn;
use crate::segment::scan::Survey;

/// What reading the tail came upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// Where the valid frames end.
    pub(crate) offset: u64,
    /// The record that would come next.
    pub(crate) next_lsn: Lsn,
    /// The last record known to be durable, from marks before this point and from the root.
    pub(crate) proven: Lsn,
    /// Whether the last frame is a seal.
    pub(crate) after_seal: bool,
    /// Whether a transaction is unfinished.
    pub(crate) open_transaction: bool,
    /// Where the frames ended when this segment was closed cleanly, as the root says.
    pub(crate) clean_end: Option<u64>,
    /// What lies behind.
    pub(crate) survey: Survey,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Closed cleanly and untouched since: append right here.
    Continue,
    /// Go on in a fresh segment; what lies behind was never acknowledged as synced.
    Mend,
    /// Acknowledged bytes no longer check.
    Refuse(&'static str),
}

/// Judges the end of the history. A hole is judged only by frames of its own segment and by what the root says.
pub(crate) fn judge(evidence: &Evidence) -> Verdict {
    if evidence.proven >= evidence.next_lsn {
        return Verdict::Refuse("records that were durable are gone");
    }
    if evidence.clean_end.is_some_and(|end| evidence.offset < end) {
        return Verdict::Refuse("frames before the seal of a clean close do not check");
    }
    if evidence.survey.sealed {
        return Verdict::Refuse("a frame before a seal does not check");
    }
    if evidence.survey.mark >= evidence.next_lsn {
        return Verdict::Refuse("a later frame vouches for records that do not check");
    }
    let clean = evidence.clean_end == Some(evidence.offset) && evidence.after_seal;
    if clean && !evidence.open_transaction && evidence.survey.remains_end.is_none() {
        return Verdict::Continue;
    }
    Verdict::Mend
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: u64 = 9000;

    /// Every combination of the facts, judged by the sentences of the design rather than by the code's order.
    #[test]
    fn every_combination_of_evidence_has_the_right_verdict() {
        let mut seen = [0; 3];
        for bits in 0..(1_u32 << 7) {
            let bit = |index: u32| bits & (1 << index) != 0;
            let evidence = Evidence {
                offset: END,
                next_lsn: Lsn::new(10),
                proven: Lsn::new(if bit(0) { 10 } else { 9 }),
                after_seal: bit(1),
                open_transaction: bit(2),
                clean_end: match (bit(3), bit(4)) {
                    (false, false) => None,
                    (true, false) => Some(END),
                    (false, true) => Some(END + 64),
                    (true, true) => Some(END - 64),
                },
                survey: Survey {
                    remains_end: bit(5).then_some(END + 10),
                    headers: 1,
                    mark: Lsn::new(if bit(6) { 10 } else { 9 }),
                    sealed: false,
                },
            };
            let damaged = bit(0) || bit(6) || (bit(4) && !bit(3));
            let untouched = bit(1) && !bit(2) && bit(3) && !bit(4) && !bit(5);
            let sealed = Evidence { survey: Survey { sealed: true, ..evidence.survey }, ..evidence };
            assert!(matches!(judge(&sealed), Verdict::Refuse(_)), "{sealed:?}");
            match judge(&evidence) {
                Verdict::Refuse(_) => {
                    assert!(damaged, "{evidence:?}");
                    seen[0] += 1;
                }
                Verdict::Continue => {
                    assert!(!damaged && untouched, "{evidence:?}");
                    seen[1] += 1;
                }
                Verdict::Mend => {
                    assert!(!damaged && !untouched, "{evidence:?}");
                    seen[2] += 1;
                }
            }
        }
        assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    }
}
