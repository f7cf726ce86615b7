//! The ledger as a ribbon: blocks of entries from the first to the last, how far they are signed, and where they are broken.

use askama::Template;

use crate::text::Shown;

/// Blocks, and the width of one: each is a link, and wide enough to be met.
const BLOCKS: u64 = 30;
const BLOCK: u64 = 26;

struct Block {
    x: u64,
    class: &'static str,
    sign: &'static str,
    href: String,
    title: Shown,
}

/// The picture.
#[derive(Template)]
#[template(path = "pictures/ribbon.html")]
pub(crate) struct Ribbon {
    width: u64,
    title: String,
    blocks: Vec<Block>,
    /// Where the newest checkpoint stands.
    tick: u64,
}

impl Ribbon {
    /// - `entries`: how many there are.
    /// - `signed`: how many the newest checkpoint covers.
    /// - `broken`: indexes that are not as they were signed.
    /// - `href`: where the entries from an index on are.
    pub(crate) fn new(
        entries: u64,
        signed: u64,
        broken: &[u64],
        href: impl Fn(u64) -> String,
    ) -> Self {
        let each = entries.div_ceil(BLOCKS).max(1);
        let count = entries.div_ceil(each);
        let blocks = (0..count)
            .map(|at| {
                let (from, until) = (at * each, ((at + 1) * each).min(entries));
                let faults = broken.iter().filter(|i| (from..until).contains(*i)).count();
                let (class, sign, words) = match (faults, until <= signed, from < signed) {
                    (1.., _, _) => ("bad", "✕", "broken"),
                    (_, true, _) => ("good", "", "signed"),
                    (_, _, true) => ("warn", "·", "signed in part"),
                    _ => ("never", "∅", "not signed yet"),
                };
                Block {
                    x: at * BLOCK,
                    class,
                    sign,
                    href: href(from),
                    title: Shown::line(format!("#{from} to #{}: {words}", until - 1)),
                }
            })
            .collect();
        let title = match broken.len() {
            0 => format!("{entries} entries, signed up to {signed}"),
            n => format!("{entries} entries, signed up to {signed}, {n} broken"),
        };
        Self {
            width: (count * BLOCK).max(BLOCK) + 8,
            title,
            blocks,
            tick: signed.min(entries) * BLOCK / each,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_everything_once_and_show_where_it_broke() {
        let ribbon = Ribbon::new(1_000_003, 999_000, &[500_000], |from| from.to_string());
        assert!(ribbon.blocks.len() <= 40);
        let signs: String = ribbon.blocks.iter().map(|b| b.sign).collect();
        assert_eq!(signs.matches('✕').count(), 1, "{signs}");
        assert_eq!(ribbon.blocks.last().unwrap().class, "warn");
        assert_eq!(Ribbon::new(0, 0, &[], |_| String::new()).blocks.len(), 0);
        assert_eq!(Ribbon::new(3, 1, &[], |_| String::new()).blocks.len(), 3);
    }
}
