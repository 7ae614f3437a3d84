//! Fair picks out of a collection, for SRANDMEMBER, SPOP and HRANDFIELD.
//!
//! Ancestors: the cases of `srandmemberWithCountCommand` and `hrandfieldWithCountCommand`. Every way of picking gives
//! each subset of the wanted size the same chance.

use crate::base::rng::Rng;

/// Hands out `count` of `len` items in one walk, in the walk's order (Knuth's algorithm S), with whether each was
/// picked. All items are shown.
pub fn select_each<T>(
    items: impl Iterator<Item = T>,
    len: usize,
    count: usize,
    rng: &mut Rng,
    mut f: impl FnMut(T, bool),
) {
    let mut wanted = count.min(len);
    for (seen, item) in items.take(len).enumerate() {
        let picked = rng.index(len - seen) < wanted;
        wanted -= usize::from(picked);
        f(item, picked);
    }
}

/// Whether so few of a table are wanted that drawing until all differ is cheaper than a walk through the table.
pub fn is_sparse(len: usize, count: usize) -> bool {
    count < len / 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subset_has_the_same_chance() {
        let mut rng = Rng::new(3);
        let mut seen = std::collections::HashMap::new();
        for _ in 0..20_000 {
            let mut picked = Vec::new();
            select_each(0..5, 5, 2, &mut rng, |item, yes| picked.extend(yes.then_some(item)));
            assert_eq!(picked.len(), 2);
            *seen.entry(picked).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 10);
        assert!(seen.values().all(|&times| (1800..2200).contains(&times)), "{seen:?}");
    }

    #[test]
    fn more_than_there_is_means_all() {
        let mut picked = 0;
        select_each(0..4, 4, 9, &mut Rng::new(1), |_, yes| picked += usize::from(yes));
        assert_eq!(picked, 4);
    }
}
