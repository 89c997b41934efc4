// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which message goes into which lane, and when.

use crate::block::{Block, State};
use sha2::block_api::compress256;

/// The next blocks of one message.
pub struct Job<'a> {
    /// The hash of the blocks before.
    pub state: &'a mut State,
    /// What is added to it.
    pub blocks: &'a [Block],
}

/// One message after another.
pub fn alone<'a>(jobs: impl Iterator<Item = Job<'a>>) {
    for job in jobs {
        compress256(job.state, job.blocks);
    }
}

/// `N` messages at a time, each in a lane of `compress`: that adds as many blocks to all
/// states as the shortest run has. A lane takes the next message when it has finished one.
/// Fewer messages than `least` are not worth it.
#[cfg(target_arch = "x86_64")]
pub fn in_lanes<'a, const N: usize>(
    jobs: impl Iterator<Item = Job<'a>>,
    least: usize,
    compress: impl Fn(&mut [&mut State; N], &[&[Block]; N]),
) {
    let mut waiting = jobs.filter(|job| !job.blocks.is_empty());
    let mut active: Vec<Job<'a>> = Vec::with_capacity(N);
    loop {
        active.extend(waiting.by_ref().take(N - active.len()));
        if active.len() < least {
            return alone(active.into_iter());
        }
        let Some(blocks) = active.first().map(|job| job.blocks) else {
            return;
        };
        // A lane without a message repeats the first one's blocks for nothing.
        let mut idle = [State::default(); N];
        let (mut states, mut runs) = (idle.each_mut(), [blocks; N]);
        let mut steps = blocks.len();
        for (job, (state, run)) in active.iter_mut().zip(states.iter_mut().zip(&mut runs)) {
            (*state, *run) = (&mut *job.state, job.blocks);
            steps = steps.min(job.blocks.len());
        }
        compress(&mut states, &runs);
        active.retain_mut(|job| {
            job.blocks = job.blocks.get(steps..).unwrap_or_default();
            !job.blocks.is_empty()
        });
    }
}
