//! The tree beside a sorted `Vec`: the same operations, the same answers, and the tree's own invariants after each.

use super::*;

impl RankedMember for &'static [u8] {
    fn bytes(&self) -> &[u8] {
        self
    }
}

type Tree = Ranked<&'static [u8]>;
type Twin = Vec<(f64, &'static [u8])>;

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n.max(1)
    }
}

fn name(n: usize) -> &'static [u8] {
    Box::leak(format!("member:{n}").into_bytes().into_boxed_slice())
}

/// Checks depth, sizes, counts and first pairs; returns (depth, pairs).
fn check(node: &Node<&'static [u8]>, is_root: bool) -> (usize, usize) {
    match node {
        Node::Leaf(pairs) => {
            assert!(is_root || !pairs.is_empty());
            assert!(pairs.len() <= LEAF_CAPACITY);
            assert!(pairs.capacity() <= LEAF_CAPACITY, "a leaf never outgrows its block");
            assert!(pairs.windows(2).all(|w| is_before(&w[0], &w[1])));
            (0, pairs.len())
        }
        Node::Inner(branches) => {
            assert!(branches.len() >= if is_root { 2 } else { 1 });
            assert!(branches.len() <= INNER_CAPACITY && branches.capacity() <= INNER_CAPACITY);
            assert!(branches.windows(2).all(|w| is_before(&w[0].first, &w[1].first)));
            let below: Vec<_> = branches
                .iter()
                .map(|b| {
                    let (depth, count) = check(&b.node, false);
                    assert_eq!(count, b.count);
                    assert_eq!(b.node.first(), b.first);
                    (depth, count)
                })
                .collect();
            assert!(below.iter().all(|(depth, _)| *depth == below[0].0), "all leaves at one depth");
            (below[0].0 + 1, below.iter().map(|(_, count)| count).sum())
        }
    }
}

fn check_against(tree: &Tree, twin: &Twin) {
    assert_eq!(check(&tree.root, true).1, tree.len());
    assert_eq!(tree.len(), twin.len());
    assert!(tree.iter().eq(twin.iter().copied()));
    assert!(tree.iter().rev().eq(twin.iter().rev().copied()));
}

fn twin_insert(twin: &mut Twin, pair: (f64, &'static [u8])) {
    let at = twin.partition_point(|other| is_before(other, &pair));
    twin.insert(at, pair);
}

fn step(tree: &mut Tree, twin: &mut Twin, dice: &mut Dice, fresh: &mut usize, grow: usize) {
    let scores = [f64::NEG_INFINITY, -0.0, 0.0, 1.5, f64::INFINITY];
    match dice.below(20) {
        n if n < grow => {
            let score = match dice.below(4) {
                0 => scores[dice.below(scores.len())],
                _ => dice.below(10_000) as f64 / 4.0,
            };
            *fresh += 1;
            let member = name(*fresh * 7919 % 1_000_003);
            tree.insert(score, member);
            twin_insert(twin, (score, member));
        }
        18 => {
            let (start, count) = (dice.below(twin.len() + 2), dice.below(150));
            let mut taken = Vec::new();
            let n = tree.remove_range(start, count, |s, m| taken.push((s, m)));
            let from = start.min(twin.len());
            let expected: Twin = twin.drain(from..twin.len().min(from + count)).collect();
            assert_eq!((n, taken), (expected.len(), expected));
        }
        19 => {
            let (start, count) = (dice.below(twin.len() + 2), dice.below(200));
            let from = start.min(twin.len());
            let expected = &twin[from..twin.len().min(from + count)];
            let mut range = tree.range(start, count);
            let (mut a, mut b) = (0, expected.len());
            while a < b {
                assert_eq!(range.len(), b - a);
                if dice.below(2) == 0 {
                    assert_eq!(range.next(), Some(expected[a]));
                    a += 1;
                } else {
                    b -= 1;
                    assert_eq!(range.next_back(), Some(expected[b]));
                }
            }
            assert_eq!((range.next(), range.next_back()), (None, None));
        }
        n if !twin.is_empty() => {
            let at = dice.below(twin.len());
            let (score, member) = twin[at];
            assert_eq!(tree.rank(score, member), Some(at));
            assert_eq!(tree.get(at), Some((score, member)));
            let new = if n % 2 == 0 { score + 0.125 } else { dice.below(5000) as f64 };
            if n % 4 == 3 {
                assert_eq!(tree.remove(score, member), Some(member));
                twin.remove(at);
            } else if !score.is_infinite() {
                assert!(tree.change_score(score, member, new));
                twin.remove(at);
                twin_insert(twin, (new, member));
            }
        }
        _ => assert!(tree.get(0).is_none()),
    }
}

#[test]
fn behaves_like_a_sorted_vector() {
    for seed in 1..=6u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (mut tree, mut twin, mut fresh) = (Tree::new(), Twin::new(), 0);
        for phase in 0..6 {
            let grow = if phase % 2 == 0 { 17 } else { 9 };
            for n in 0..1500 {
                step(&mut tree, &mut twin, &mut dice, &mut fresh, grow);
                if n % 100 == 0 {
                    check_against(&tree, &twin);
                }
            }
        }
        let bound = dice.below(2500) as f64;
        assert_eq!(tree.partition_point(|s, _| s < bound), twin.partition_point(|p| p.0 < bound));
        assert_eq!(tree.partition_point(|s, _| s <= bound), twin.partition_point(|p| p.0 <= bound));
        check_against(&tree, &twin);
        while let Some((score, member)) = tree.get(dice.below(tree.len())) {
            tree.remove(score, member);
        }
        check(&tree.root, true);
        assert!(matches!(tree.root, Node::Leaf(_)));
    }
}

#[test]
fn an_absent_pair_is_absent() {
    let mut tree = Tree::new();
    assert!(tree.is_empty() && tree.get(0).is_none() && tree.rank(0.0, b"x").is_none());
    tree.insert(0.0, b"x");
    assert_eq!(tree.rank(-0.0, b"x"), Some(0), "-0 equals 0");
    assert!(tree.remove(1.0, b"x").is_none() && tree.remove(0.0, b"y").is_none());
    assert!(!tree.change_score(1.0, b"x", 2.0));
    assert_eq!(tree.remove(0.0, b"x"), Some(&b"x"[..]));
}

/// Memory of the tree as a multiple of its bare pairs.
fn overhead(tree: &Tree) -> f64 {
    tree.memory_bytes() as f64 / (tree.len() * size_of::<(f64, &'static [u8])>()) as f64
}

#[test]
fn pairs_in_order_leave_full_leaves() {
    for descending in [false, true] {
        let mut tree = Tree::new();
        for n in 0..20_000usize {
            let score = if descending { 20_000 - n } else { n } as f64;
            tree.insert(score, b"m");
        }
        assert_eq!(check(&tree.root, true).1, 20_000);
        let cost = overhead(&tree);
        assert!(cost < 1.15, "{cost} times the pairs, descending: {descending}");
    }
}

#[test]
fn pairs_in_random_order_fill_leaves_well() {
    let (mut tree, mut dice) = (Tree::new(), Dice(77));
    for n in 0..50_000usize {
        tree.insert(dice.below(1 << 30) as f64 + n as f64 * 1e-6, b"m");
    }
    check(&tree.root, true);
    let cost = overhead(&tree);
    assert!(cost < 1.4, "{cost} times the pairs");
}
