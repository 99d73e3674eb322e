//! Which spokes nobody holds any more.
//!
//! Answers: is this spoke to be ended now that another lease counts? Which leases are there?
//! Never: ends a spoke of the lease that counts; grows what is reported without a bound.
//! Carries: I-16.

use std::collections::BTreeSet;

use bus::id::LeaseId;
use bus::message::host::MAX_LEASES;

/// Is a spoke of this lease to be ended when only `counts` does? One without a lease is: it is of a hub that knew of none.
pub(crate) fn is_over(lease: &Option<LeaseId>, counts: &LeaseId) -> bool {
    lease.as_ref() != Some(counts)
}

/// The leases as they are reported. Of too many some are left out: then there are others than the one that counts among
/// the rest, and when those are over it is the turn of these.
pub(crate) fn each_once<'a>(leases: impl Iterator<Item = &'a Option<LeaseId>>) -> Vec<Option<LeaseId>> {
    leases.collect::<BTreeSet<_>>().into_iter().take(MAX_LEASES).cloned().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn lease(number: usize) -> Option<LeaseId> {
        (0 < number).then(|| LeaseId::parse(&format!("lease{number}")).unwrap())
    }

    /// What host and hub do until no other lease is reported. Says what is left.
    fn swept(mut spokes: Vec<Option<LeaseId>>, counts: &LeaseId) -> Vec<Option<LeaseId>> {
        loop {
            let reported = each_once(spokes.iter());
            assert!(reported.len() <= MAX_LEASES, "{reported:?}");
            if reported.iter().all(|lease| lease.as_ref() == Some(counts)) {
                return spokes;
            }
            let before = spokes.len();
            spokes.retain(|lease| !is_over(lease, counts));
            assert!(spokes.len() < before, "{reported:?} is reported for ever");
        }
    }

    #[test]
    fn all_spokes_of_other_leases_are_ended_and_none_of_the_one_that_counts() {
        for leases in 0..40 {
            for counts in 1..40 {
                let spokes = (0..leases).flat_map(|number| [lease(number), lease(number)]).collect();
                let counts = lease(counts).unwrap();
                let expected: Vec<_> = [Some(counts.clone()), Some(counts.clone())]
                    .into_iter()
                    .filter(|_| (0..leases).any(|number| lease(number).as_ref() == Some(&counts)))
                    .collect();
                assert_eq!(swept(spokes, &counts), expected, "{leases} leases");
            }
        }
    }
}
