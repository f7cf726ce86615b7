//! A signer that never lets a key out, as a hardware module would: its handles are names.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use remit_ports::Signer;
use remit_ports::signer::SignerError;
use remit_token::SigningKey;
use zeroize::Zeroizing;

/// Keys in a box: it signs with them, and shows none.
#[derive(Default)]
pub struct FakeSigner {
    keys: Mutex<BTreeMap<Vec<u8>, Arc<EcdsaKeyPair>>>,
    broken: Arc<Mutex<bool>>,
}

impl FakeSigner {
    /// From now on it signs nothing.
    ///
    /// # Panics
    /// Never in practice: nothing panics while it holds the lock.
    pub fn breaks(&self) {
        *self.broken.lock().unwrap() = true;
    }

    /// How many keys it has made.
    ///
    /// # Panics
    /// Never in practice.
    pub fn made(&self) -> usize {
        self.keys.lock().unwrap().len()
    }
}

impl Signer for FakeSigner {
    fn make(&self) -> Result<Zeroizing<Vec<u8>>, SignerError> {
        if *self.broken.lock().unwrap() {
            return Err(SignerError::Unavailable("it is broken".to_owned()));
        }
        let mut keys = self.keys.lock().unwrap();
        let handle = format!("key {}", keys.len()).into_bytes();
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        keys.insert(handle.clone(), Arc::new(pair));
        Ok(Zeroizing::new(handle))
    }

    fn open(&self, handle: &[u8]) -> Result<SigningKey, SignerError> {
        let keys = self.keys.lock().unwrap();
        let pair = Arc::clone(keys.get(handle).ok_or(SignerError::Unknown)?);
        let point = pair.public_key().as_ref().to_vec();
        let broken = Arc::clone(&self.broken);
        let sign = move |message: &[u8]| {
            let made = pair.sign(&SystemRandom::new(), message).ok()?;
            let works = !*broken.lock().unwrap();
            made.as_ref().try_into().ok().filter(|_| works)
        };
        SigningKey::elsewhere(&point, Box::new(sign)).map_err(|_| SignerError::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_contract_and_so_do_keys_in_the_process() {
        remit_ports::contract::signer_suite(&FakeSigner::default());
        remit_ports::contract::signer_suite(&remit_ports::signer::InProcess);
    }
}
