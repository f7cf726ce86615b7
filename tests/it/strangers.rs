//! Bytes of strangers: the seeds of the fuzz targets and thousands of mutations of them, the same ones each time. What
//! `cargo fuzz` has found is a seed too, so that it stays mended.

use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "a library to the fuzz targets")]
mod targets;

/// Mutations of each seed in a round.
const MUTATIONS: usize = 400;

/// Rounds, each with other mutations: one, unless `REMIT_TEST_ROUNDS` says more, to look for something new.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever looks for something new says for how long"
)]
fn rounds() -> u64 {
    let said = std::env::var("REMIT_TEST_ROUNDS");
    said.map_or(1, |rounds| rounds.parse().unwrap())
}

/// Numbers that look random and are the same each time (xorshift64*, Vigna 2016).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap() % below.max(1)
    }
}

/// Changes a few places: a bit, a byte that means something, a cut, a repetition, a piece of another seed.
fn mutate(seed: &[u8], others: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    const TELLING: &[u8] = b"\0\n\r\t\"'\\{}[]():,.-+=/?&%#@!*<>| 09eEuxAZ\x7f\x80\xc0\xff";
    let mut bytes = seed.to_vec();
    for _ in 0..=numbers.next(4) {
        let at = numbers.next(bytes.len());
        match numbers.next(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << numbers.next(8),
            1 if !bytes.is_empty() => bytes[at] = TELLING[numbers.next(TELLING.len())],
            2 => bytes.insert(at, TELLING[numbers.next(TELLING.len())]),
            3 => bytes.truncate(at),
            4 => {
                let end = at + numbers.next(bytes.len() - at.min(bytes.len()));
                let piece = bytes[at..end].repeat(1 + numbers.next(40));
                bytes.splice(at..at, piece);
            }
            _ => {
                let other = &others[numbers.next(others.len())];
                let from = numbers.next(other.len());
                bytes.splice(at..at, other[from..].iter().copied());
            }
        }
        bytes.truncate(1 << 16);
    }
    bytes
}

fn replay(name: &str, target: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/seeds")
        .join(name);
    let mut files: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect();
    assert!(seeds.len() >= 3, "`{}` has too few seeds", dir.display());
    for round in 1..=rounds() {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(round));
        for seed in &seeds {
            target(seed);
            for n in 0..MUTATIONS {
                let bytes = mutate(seed, &seeds, &mut numbers);
                let held = std::panic::AssertUnwindSafe(|| target(&bytes));
                if let Err(why) = std::panic::catch_unwind(held) {
                    let kept = std::env::temp_dir().join(format!("{name}-{round}-{n}"));
                    std::fs::write(&kept, &bytes).unwrap();
                    let said = format!("what broke it is kept in `{}`\n", kept.display());
                    let _ = std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes());
                    std::panic::resume_unwind(why);
                }
            }
        }
    }
}

#[test]
fn tokens() {
    replay("token", targets::token);
}

#[test]
fn mcp_messages() {
    replay("mcp", targets::mcp);
}

#[test]
fn documents() {
    replay("yaml", targets::yaml);
}

#[test]
fn ledgers() {
    replay("ledger", targets::ledger);
}
