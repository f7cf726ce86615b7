//! Check digits.

/// The digits of a text, others skipped.
pub(crate) fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

/// Luhn's check (ISO/IEC 7812-1 annex B) over all digits, the last being the check digit.
pub(crate) fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit * 2) {
            (0, _) => *digit,
            (_, twice) if twice > 9 => twice - 9,
            (_, twice) => twice,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The sum of each digit times its weight; digits beyond the weights are left out.
pub(crate) fn weighted(digits: &[u32], weights: &[u32]) -> u32 {
    digits
        .iter()
        .zip(weights)
        .map(|(digit, weight)| digit * weight)
        .sum()
}

/// The number these digits make, for at most 18 of them.
pub(crate) fn number(digits: &[u32]) -> u64 {
    digits.iter().fold(0, |sum, digit| {
        sum.wrapping_mul(10).wrapping_add(u64::from(*digit))
    })
}

/// ISO 7064 MOD 11,10 over all digits, the last being the check digit.
pub(crate) fn mod11_10(digits: &[u32]) -> bool {
    let Some((check, rest)) = digits.split_last() else {
        return false;
    };
    let product = rest.iter().fold(10, |product, digit| {
        let sum = match (product + digit) % 10 {
            0 => 10,
            sum => sum,
        };
        sum * 2 % 11
    });
    (11 - product) % 10 == *check
}

/// Verhoeff's check over all digits, the last being the check digit.
pub(crate) fn verhoeff(digits: &[u32]) -> bool {
    // The dihedral group of order 10, and the permutation (1 5 8 9 4 2 7 0)(3 6) applied once per place.
    fn times(a: u32, b: u32) -> u32 {
        match (a < 5, b < 5) {
            (true, true) => (a + b) % 5,
            (true, false) => 5 + (a + b - 5) % 5,
            (false, true) => 5 + (a - 5 + 5 - b) % 5,
            (false, false) => (a + 5 - b) % 5,
        }
    }
    const TURN: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let turned = |digit: u32, times: usize| {
        (0..times % 8).fold(digit, |digit, _| {
            TURN.get(digit as usize).copied().unwrap_or(digit)
        })
    };
    let sum = digits
        .iter()
        .rev()
        .enumerate()
        .fold(0, |sum, (at, digit)| times(sum, turned(*digit, at)));
    sum == 0
}

/// Whether these could be day and month of a birth (29 February included).
pub(crate) fn day(month: u32, day: u32) -> bool {
    (1..=12).contains(&month) && (1..=31).contains(&day) && !(month == 2 && day > 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_takes_its_example_and_no_neighbour_of_it() {
        type Check = fn(&[u32]) -> bool;
        let checks: [(Check, &str); 3] = [
            (luhn, "4111111111111111"),
            (mod11_10, "86095742719"),
            (verhoeff, "2363"),
        ];
        for (check, good) in checks {
            let good = digits(good);
            assert!(check(&good), "{good:?}");
            for at in 0..good.len() {
                for other in (0..10).filter(|other| *other != good[at]) {
                    let mut bad = good.clone();
                    bad[at] = other;
                    assert!(!check(&bad), "{bad:?}");
                }
            }
        }
    }
}
