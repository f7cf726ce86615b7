use super::*;
use crate::{Hash, Tree, leaf_hash, root_at};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn tree_of(size: u64) -> Tree {
    let mut tree = Tree::new();
    for n in 0..size {
        tree.append(leaf_hash(&n.to_be_bytes())).unwrap();
    }
    tree
}

#[test]
fn paths_are_those_of_the_specification() {
    let path = |level, index, width| tile_path(level, index, width).unwrap();
    assert_eq!(path(0, 1_234_067, 256), "tile/0/x001/x234/067");
    assert_eq!(path(1, 0, 17), "tile/1/000.p/17");
    assert_eq!(path(63, 999, 256), "tile/63/999");
    assert_eq!(path(2, 1000, 255), "tile/2/x001/000.p/255");
    assert_eq!(
        Tile::entries(273, 112).unwrap().path(),
        "tile/entries/273.p/112"
    );
    assert_eq!(
        Tile::entries(1_234_067, 256).unwrap().path(),
        "tile/entries/x001/x234/067"
    );
    for (level, index, width) in [
        (64, 0, 1),
        (0, 0, 0),
        (0, 0, 257),
        (0, u64::MAX, 1),
        (0, 1 << 48, 1),
    ] {
        assert!(
            tile_path(level, index, width).is_err(),
            "{level} {index} {width}"
        );
    }
}

#[test]
fn only_the_one_form_of_a_path_is_read() {
    let bad = [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/+0/000",
        "tile/-1/000",
        "tile/64/000",
        "tile/256/000",
        "tile/data/000",
        "tile/Entries/000",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/00",
        "tile/0/000.p/01",
        "tile/0/000.p/+1",
        "tile/0/000.p/256",
        "tile/0/000.p/257",
        "tile/0/000.p/1/2",
        "tile/0/000.p/1.p/1",
        "tile/0/x000/000",
        "tile/0/x001",
        "tile/0/001/000",
        "tile/0/x001/x000",
        "tile/0/../000",
        "tile/entries/000.p/0",
        "tile/8/0/000",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/x018/x446/x744/x073/x709/x551/615",
    ];
    for path in bad {
        assert!(path.parse::<Tile>().is_err(), "{path}");
    }
}

#[test]
fn the_tiles_of_70000_leaves_are_those_of_the_specification() {
    let tiles = Tile::grown(0, 70_000).unwrap();
    let count = |level: Option<u8>, partial| {
        let of = |tile: &&Tile| tile.level() == level && tile.is_partial() == partial;
        tiles.iter().filter(of).count()
    };
    for level in [None, Some(0)] {
        assert_eq!((count(level, false), count(level, true)), (273, 1));
    }
    assert_eq!((count(Some(1), false), count(Some(1), true)), (1, 1));
    assert_eq!((count(Some(2), false), count(Some(2), true)), (0, 1));
    let widths = |level| {
        tiles
            .iter()
            .filter(|t| t.level() == Some(level) && t.is_partial())
            .map(Tile::width)
            .sum::<u16>()
    };
    assert_eq!([widths(0), widths(1), widths(2)], [112, 17, 1]);
    assert!(tiles.iter().all(|tile| tile.is_in(70_000)));

    let paths: BTreeSet<String> = Tile::grown(0, 256)
        .unwrap()
        .iter()
        .map(Tile::path)
        .collect();
    assert!(
        paths
            .iter()
            .eq(["tile/0/000", "tile/1/000.p/1", "tile/entries/000"])
    );
    assert!(Tile::grown(256, 256).unwrap().is_empty());
    assert!(Tile::grown(TREE_SIZE_MAX - 1, TREE_SIZE_MAX).is_ok());
    assert!(Tile::grown(0, TREE_SIZE_MAX + 1).is_err());
    assert!(Tile::grown(2, 1).is_err());
}

#[test]
fn a_level_is_made_of_the_roots_of_the_level_below() {
    let tree = tree_of(600);
    let leaves = Tile::hashes(0, 1, 256).unwrap().bytes(&tree, 600).unwrap();
    let expected: Vec<u8> = (256..512_u64)
        .flat_map(|n| *leaf_hash(&n.to_be_bytes()).as_bytes())
        .collect();
    assert_eq!(leaves, expected);

    let above = Tile::hashes(1, 0, 2).unwrap().bytes(&tree, 600).unwrap();
    assert_eq!(above[..32], *root_at(&tree, 256).unwrap().as_bytes());
    let second = tlog_tiles::Tile::subtree_hash(&leaves);
    assert_eq!(above[32..], second.0);
}

#[test]
fn tiles_beyond_the_tree_are_refused() {
    let tree = tree_of(300);
    for (level, index, width) in [
        (0, 1, 45),
        (0, 1, 256),
        (0, 2, 1),
        (1, 0, 2),
        (2, 0, 1),
        (7, 0, 1),
        (8, 0, 1),
        (63, 0, 1),
    ] {
        let tile = Tile::hashes(level, index, width).unwrap();
        assert!(
            matches!(tile.bytes(&tree, 300), Err(TileError::NotInTree { .. })),
            "{tile}"
        );
    }
    let bundle = Tile::entries(0, 1).unwrap();
    assert!(matches!(
        bundle.bytes(&tree, 300),
        Err(TileError::NotHashes { .. })
    ));
    let short: Vec<Hash> = Vec::new();
    let refused = Tile::hashes(0, 0, 1).unwrap().bytes(&short, 300);
    assert!(matches!(
        refused,
        Err(TileError::Tree(TreeError::Missing { index: 0 }))
    ));
}

proptest! {
    #[test]
    fn paths_round_trip(level in 0_u8..=63, index in 0..=(TREE_SIZE_MAX >> 8), width in 1_u16..=256, entries: bool) {
        let tile = if entries { Tile::entries(index, width) } else { Tile::hashes(level, index, width) }.unwrap();
        prop_assert_eq!(tile.path().parse::<Tile>().unwrap(), tile);
        let _ = tile.is_in(TREE_SIZE_MAX);
        let _ = tile.reads(TREE_SIZE_MAX);
    }

    #[test]
    fn nothing_makes_it_panic(path in "tile/(entries|data|[0-9+]{0,3})/(x?[0-9]{0,4}/){0,7}[0-9]{0,4}(\\.p/.{0,4})?|\\PC*") {
        if let Ok(tile) = path.parse::<Tile>() {
            prop_assert_eq!(tile.path(), path);
        }
    }

    #[test]
    fn the_announced_reads_are_enough(size in 1_u64..1500) {
        let tree = tree_of(size);
        for tile in Tile::grown(0, size).unwrap().into_iter().filter(|tile| tile.level().is_some()) {
            let kept: BTreeMap<u64, Hash> = tile.reads(size).unwrap().into_iter()
                .map(|index| (index, tree.hash(index).unwrap())).collect();
            let bytes = tile.bytes(&kept, size).unwrap();
            prop_assert_eq!(bytes.len(), usize::from(tile.width()) * 32);
            prop_assert_eq!(bytes, tile.bytes(&tree, size).unwrap());
        }
    }
}
