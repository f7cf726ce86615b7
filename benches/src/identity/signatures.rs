//! The signatures alone, as aws-lc-rs makes and verifies them on one thread.

use std::time::Instant;

use anyhow::Context;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    UnparsedPublicKey,
};

use super::GROUP;
use crate::machine;
use crate::report::Report;

const TIMES: usize = 5_000;

/// What one costs, in microseconds: the medians.
pub(super) struct Signatures {
    pub(super) sign_us: f64,
    pub(super) verify_us: f64,
}

impl Signatures {
    pub(super) fn measure(report: &mut Report) -> anyhow::Result<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
        let random = SystemRandom::new();
        // As long as what is signed of an access token.
        let message = [b'x'; 700];
        let signature = pair.sign(&random, &message)?;
        let sign_us = median_us(TIMES, || pair.sign(&random, &message).map(drop))?;
        let verify_us = median_us(TIMES, || public.verify(&message, signature.as_ref()))?;
        let said = |us: f64| format!("{us:.1} µs, {:.0} /s on one thread", 1e6 / us);
        report.note(GROUP, "aws-lc-rs, sign", said(sign_us));
        report.note(GROUP, "aws-lc-rs, verify", said(verify_us));
        Ok(Self { sign_us, verify_us })
    }
}

/// The median time of something, in microseconds.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
pub(super) fn median_us<E: std::error::Error + Send + Sync + 'static>(
    times: usize,
    mut run: impl FnMut() -> Result<(), E>,
) -> anyhow::Result<f64> {
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let began = Instant::now();
        run().context("what is measured failed")?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(machine::median(&mut took))
}
