use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::{Frontier, Tree, leaf_hash};

/// The eight entries, roots and proofs that the Certificate Transparency reference implementation
/// and RFC 6962 implementations since test themselves with.
const ENTRIES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];
const FIRST_OF_EIGHT: [&str; 3] = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
];
const SIX_TO_EIGHT: [&str; 3] = [
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
];
const TWO_TO_FIVE: [&str; 2] = [
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
];

fn hashes(texts: &[&str]) -> Vec<Hash> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn reference_tree() -> Tree {
    let mut tree = Tree::new();
    for entry in ENTRIES {
        tree.append(leaf_hash(&hex::decode(entry).unwrap()))
            .unwrap();
    }
    tree
}

fn tree_of(size: u64) -> Tree {
    let mut tree = Tree::new();
    for n in 0..size {
        tree.append(leaf_hash(&n.to_be_bytes())).unwrap();
    }
    tree
}

/// Built once: a property asks it for any earlier size.
static GROWN: LazyLock<Tree> = LazyLock::new(|| tree_of(400));

fn flipped(hash: Hash, bit: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Hash::new(bytes)
}

#[test]
fn reference_roots_and_proofs() {
    let tree = reference_tree();
    let roots = hashes(&ROOTS);
    for (size, root) in (1..).zip(&roots) {
        assert_eq!(tree.root_at(size).unwrap(), *root);
    }
    assert_eq!(tree.root_at(0).unwrap(), EMPTY_ROOT);
    assert_eq!(tree.root(), roots[7]);
    assert_eq!(tree.prove_inclusion(0, 8).unwrap(), hashes(&FIRST_OF_EIGHT));
    assert_eq!(tree.prove_inclusion(0, 1).unwrap(), []);
    assert_eq!(
        tree.prove_consistency(1, 8).unwrap(),
        hashes(&FIRST_OF_EIGHT)
    );
    assert_eq!(tree.prove_consistency(6, 8).unwrap(), hashes(&SIX_TO_EIGHT));
    assert_eq!(tree.prove_consistency(2, 5).unwrap(), hashes(&TWO_TO_FIVE));
    assert_eq!(
        verify_consistency(6, roots[5], 8, roots[7], &hashes(&SIX_TO_EIGHT)),
        Ok(())
    );
}

#[test]
fn the_empty_tree_begins_every_tree_and_nothing_else_does() {
    let root = tree_of(3).root();
    assert_eq!(verify_consistency(0, EMPTY_ROOT, 3, root, &[]), Ok(()));
    assert_eq!(
        verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, &[]),
        Ok(())
    );
    assert_eq!(
        verify_consistency(0, root, 3, root, &[]),
        Err(ProofError::Mismatch)
    );
    assert_eq!(
        verify_consistency(0, EMPTY_ROOT, 3, root, &[root]),
        Err(ProofError::Mismatch)
    );
    assert_eq!(
        verify_consistency(0, EMPTY_ROOT, 0, root, &[]),
        Err(ProofError::Mismatch)
    );
    // Two different trees of one size: a fork.
    assert_eq!(
        verify_consistency(3, root, 3, EMPTY_ROOT, &[]),
        Err(ProofError::Mismatch)
    );
    assert_eq!(verify_consistency(3, root, 3, root, &[]), Ok(()));
}

#[test]
fn absurd_numbers_and_lengths_are_refused() {
    let root = tree_of(1).root();
    let long = vec![root; PROOF_HASHES_MAX + 1];
    let too_long = Err(ProofError::TooLong {
        count: PROOF_HASHES_MAX + 1,
    });
    assert_eq!(verify_inclusion(root, 0, 1, &long, root), too_long);
    assert_eq!(verify_consistency(1, root, 2, root, &long), too_long);
    for (index, size) in [
        (0, 0),
        (1, 1),
        (u64::MAX, u64::MAX),
        (0, u64::MAX),
        (0, TREE_SIZE_MAX + 1),
    ] {
        assert_eq!(
            verify_inclusion(root, index, size, &[], root),
            Err(ProofError::Range)
        );
        assert!(inclusion_reads(index, size).is_err());
    }
    for (old, new) in [(2, 1), (1, u64::MAX), (u64::MAX, u64::MAX)] {
        assert_eq!(
            verify_consistency(old, root, new, root, &[]),
            Err(ProofError::Range)
        );
        assert!(consistency_reads(old, new).is_err());
    }
    assert_eq!(
        verify_inclusion(root, 0, TREE_SIZE_MAX, &[], root),
        Err(ProofError::Mismatch)
    );
}

#[test]
fn reads_at_the_greatest_size_stay_within_the_bound() {
    for index in [0, 1, TREE_SIZE_MAX / 3, TREE_SIZE_MAX - 1] {
        assert!(inclusion_reads(index, TREE_SIZE_MAX).unwrap().len() <= 2 * 56);
        assert!(consistency_reads(index, TREE_SIZE_MAX).unwrap().len() <= 2 * 56);
    }
    assert_eq!(root_reads(TREE_SIZE_MAX).unwrap().len(), 56);
    assert!(root_reads(0).unwrap().is_empty());
}

#[test]
fn a_missing_hash_is_named() {
    let none = BTreeMap::new();
    let first = inclusion_reads(3, 7).unwrap()[0];
    let error = prove_inclusion(&none, 3, 7).unwrap_err();
    assert!(
        matches!(error, TreeError::Missing { index } if index == first),
        "{error}"
    );
}

/// Two numbers, the first smaller than the second, and a size of a tree that holds both.
fn leaf_of_tree() -> impl Strategy<Value = (u64, u64)> {
    (1_u64..400).prop_flat_map(|size| (0..size, Just(size)))
}

proptest! {
    #[test]
    fn inclusion_is_proved_and_a_flipped_bit_is_not((index, size) in leaf_of_tree(), bit in 0_usize..256, at: prop::sample::Index) {
        let tree = &*GROWN;
        let leaf = leaf_hash(&index.to_be_bytes());
        let root = tree.root_at(size).unwrap();
        let proof = tree.prove_inclusion(index, size).unwrap();
        prop_assert_eq!(verify_inclusion(leaf, index, size, &proof, root), Ok(()));

        prop_assert!(verify_inclusion(flipped(leaf, bit), index, size, &proof, root).is_err());
        prop_assert!(verify_inclusion(leaf, index, size, &proof, flipped(root, bit)).is_err());
        let other = if index + 1 < size { index + 1 } else { 0 };
        prop_assert!(other == index || verify_inclusion(leaf, other, size, &proof, root).is_err());
        let mut longer = proof.clone();
        longer.push(root);
        prop_assert!(verify_inclusion(leaf, index, size, &longer, root).is_err());
        if !proof.is_empty() {
            let mut changed = proof.clone();
            let at = at.index(proof.len());
            changed[at] = flipped(changed[at], bit);
            prop_assert!(verify_inclusion(leaf, index, size, &changed, root).is_err());
            prop_assert!(verify_inclusion(leaf, index, size, &proof[1..], root).is_err());
        }
    }

    #[test]
    fn consistency_is_proved_and_a_flipped_bit_is_not((old, new) in leaf_of_tree(), bit in 0_usize..256, at: prop::sample::Index) {
        let tree = &*GROWN;
        let (old_root, new_root) = (tree.root_at(old).unwrap(), tree.root_at(new).unwrap());
        let proof = tree.prove_consistency(old, new).unwrap();
        prop_assert_eq!(verify_consistency(old, old_root, new, new_root, &proof), Ok(()));

        prop_assert!(verify_consistency(old, flipped(old_root, bit), new, new_root, &proof).is_err());
        // From nothing, any tree may grow.
        prop_assert!(old == 0 || verify_consistency(old, old_root, new, flipped(new_root, bit), &proof).is_err());
        prop_assert!(verify_consistency(new, new_root, old, old_root, &proof).is_err());
        if !proof.is_empty() {
            let mut changed = proof.clone();
            let at = at.index(proof.len());
            changed[at] = flipped(changed[at], bit);
            prop_assert!(verify_consistency(old, old_root, new, new_root, &changed).is_err());
        }
    }

    #[test]
    fn a_rewritten_leaf_breaks_consistency((changed, old) in leaf_of_tree(), more in 0_u64..100) {
        let old_root = tree_of(old).root();
        let mut forged = Tree::new();
        for n in 0..old + more {
            let entry = if n == changed { u64::MAX } else { n };
            forged.append(leaf_hash(&entry.to_be_bytes())).unwrap();
        }
        let proof = forged.prove_consistency(old, old + more).unwrap();
        prop_assert!(verify_consistency(old, old_root, old + more, forged.root(), &proof).is_err());
    }

    #[test]
    fn the_announced_reads_are_enough((index, size) in leaf_of_tree()) {
        let tree = tree_of(size);
        let fetch = |indexes: Vec<u64>| -> BTreeMap<u64, Hash> {
            indexes.into_iter().map(|index| (index, tree.hash(index).unwrap())).collect()
        };
        let kept = fetch(inclusion_reads(index, size).unwrap());
        prop_assert_eq!(prove_inclusion(&kept, index, size).unwrap(), tree.prove_inclusion(index, size).unwrap());
        let kept = fetch(consistency_reads(index, size).unwrap());
        prop_assert_eq!(prove_consistency(&kept, index, size).unwrap(), tree.prove_consistency(index, size).unwrap());
        let kept = fetch(root_reads(size).unwrap());
        prop_assert_eq!(root_at(&kept, size).unwrap(), tree.root());
        prop_assert_eq!(Frontier::resume(size, &kept).unwrap().root(), tree.root());
    }
}
