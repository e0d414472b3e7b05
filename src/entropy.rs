//! Randomness, as an argument. Nothing else in the house may draw random bytes.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// Gives random bytes. Handed to whatever makes secrets, so that tests can repeat themselves.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `target` with random bytes.
    fn fill(&self, target: &mut [u8]);
}

/// Draws `N` random bytes.
pub fn random<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}

/// The operating system's generator, by way of aws-lc.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    /// # Panics
    /// If the system has no randomness to give: a gateway that went on would hand out secrets that can be guessed.
    #[expect(clippy::expect_used, reason = "no caller could go on without randomness")]
    fn fill(&self, target: &mut [u8]) {
        SystemRandom::new().fill(target).expect("the system gives random bytes");
    }
}

/// A counter that looks a little like randomness: the same bytes in every run.
#[derive(Debug, Default)]
pub struct TestEntropy(AtomicU64);

impl Entropy for TestEntropy {
    fn fill(&self, target: &mut [u8]) {
        for chunk in target.chunks_mut(8) {
            let step = self.0.fetch_add(1, Ordering::Relaxed);
            let mixed = step.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
            chunk.copy_from_slice(&mixed[..chunk.len()]);
        }
    }
}
